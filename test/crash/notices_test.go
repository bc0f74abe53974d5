package crash

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/notify/snstest"
	"grapnel/test/harness"
)

// TestKillBeforeANoticeIsSent kills the server when a deployment has ended and its topic has taken no notice of it. After the
// restart the topic hears everything, in order.
func TestKillBeforeANoticeIsSent(t *testing.T) {
	t.Parallel()
	topics := snstest.Start(t)
	topic := "arn:aws:sns:us-east-1:000000000000:deploys"
	args := []string{"--sns-endpoint", topics.URL, "--sns-access-key-id", "AKID", "--sns-secret-access-key", "secret"}
	dir := t.TempDir()
	server := harness.StartServer(t, dir, args...)
	api := server.CodeDeploy(t)
	must(t)(api.CreateApplication(t.Context(), &codedeploy.CreateApplicationInput{ApplicationName: aws.String("web")}))
	must(t)(api.CreateDeploymentGroup(t.Context(), &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		ServiceRoleArn: aws.String("arn:aws:iam::000000000000:role/deploy"),
		TriggerConfigurations: []types.TriggerConfig{{
			TriggerName: aws.String("tell"), TriggerTargetArn: &topic, TriggerEvents: types.TriggerEventType("").Values(),
		}},
	}))
	topics.Refuse(topic)
	// It selects no hosts, and so fails at once.
	out := must(t)(api.CreateDeployment(t.Context(), &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("bundles"), Key: aws.String("app.zip"), BundleType: types.BundleTypeZip,
		}},
	})).(*codedeploy.CreateDeploymentOutput)
	w := &world{server: server}
	w.waitForEnd(t, *out.DeploymentId)
	topics.WaitForAttempts(t, topic, 1)
	server.Kill()
	topics.Accept(topic)
	harness.StartServer(t, dir, args...)
	var told []string
	for _, m := range topics.Wait(t, topic, 3) {
		status, _, _ := strings.Cut(m.Subject, ":")
		told = append(told, status)
	}
	if got := strings.Join(told, " "); got != "TEST CREATED FAILED" {
		t.Errorf("the topic was told %s", got)
	}
}
