package service

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// No lifecycle hook is put onto an Auto Scaling group: the names are settings, so that there is none to restore, to remove or
// to report as left behind. service.md 15: G99, G100, G101
func TestAutoScalingGroupsHaveNoHooks(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	ok(t, w.newGroup("shop", "prod", func(in *settings) { in.AutoScalingGroups = []string{"blue"} }))
	update := func(names []string) []types.AutoScalingGroup {
		t.Helper()
		out := must(w.UpdateDeploymentGroup(t.Context(), &codedeploy.UpdateDeploymentGroupInput{
			ApplicationName: aws.String("shop"), CurrentDeploymentGroupName: aws.String("prod"), AutoScalingGroups: names,
		}))(t)
		same(t, "hooks that were not cleaned up", len(out.HooksNotCleanedUp), 0)
		return w.shown("shop", "prod").AutoScalingGroups
	}
	same(t, "a group that is sent again", update([]string{"blue"}), []types.AutoScalingGroup{{Name: aws.String("blue")}})
	same(t, "an empty list", update([]string{}), []types.AutoScalingGroup{})
	out := must(w.DeleteDeploymentGroup(t.Context(), &codedeploy.DeleteDeploymentGroupInput{
		ApplicationName: aws.String("shop"), DeploymentGroupName: aws.String("prod"),
	}))(t)
	if out.HooksNotCleanedUp == nil || len(out.HooksNotCleanedUp) > 0 {
		t.Errorf("hooks that were not cleaned up: %v, want an empty list", out.HooksNotCleanedUp)
	}
}
