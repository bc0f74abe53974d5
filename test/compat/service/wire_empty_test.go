package service

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// silentCalls are the ten operations that answer nothing, for a typed client.
func (w *world) silentCalls() map[string]func(context.Context) error {
	app, name, names, tags := aws.String("app"), aws.String("web-1"), []string{"web-2"}, []types.Tag{tag("k", "v")}
	return map[string]func(context.Context) error{
		"AddTagsToOnPremisesInstances": func(ctx context.Context) error {
			return second(w.AddTagsToOnPremisesInstances(ctx, &codedeploy.AddTagsToOnPremisesInstancesInput{InstanceNames: names, Tags: tags}))
		},
		"ContinueDeployment": func(context.Context) error { return w.carryOn(readyID, "") },
		"DeleteApplication": func(ctx context.Context) error {
			return second(w.DeleteApplication(ctx, &codedeploy.DeleteApplicationInput{ApplicationName: aws.String("gone")}))
		},
		"DeleteDeploymentConfig": func(ctx context.Context) error {
			return second(w.DeleteDeploymentConfig(ctx, &codedeploy.DeleteDeploymentConfigInput{DeploymentConfigName: aws.String("gone")}))
		},
		"DeregisterOnPremisesInstance": func(context.Context) error { return w.deregister("gone") },
		"RegisterApplicationRevision": func(ctx context.Context) error {
			return second(w.RegisterApplicationRevision(ctx, &codedeploy.RegisterApplicationRevisionInput{ApplicationName: app, Revision: bundle("1.zip")}))
		},
		"RegisterOnPremisesInstance": func(context.Context) error { return w.register(*name, hostUser+"web-1", "") },
		"RemoveTagsFromOnPremisesInstances": func(ctx context.Context) error {
			return second(w.RemoveTagsFromOnPremisesInstances(ctx, &codedeploy.RemoveTagsFromOnPremisesInstancesInput{InstanceNames: names, Tags: tags}))
		},
		"SkipWaitTimeForInstanceTermination": func(context.Context) error { return w.skipWait(terminationID) },
		"UpdateApplication": func(ctx context.Context) error {
			return second(w.UpdateApplication(ctx, &codedeploy.UpdateApplicationInput{ApplicationName: aws.String("old"), NewApplicationName: aws.String("new")}))
		},
	}
}

func second[Out any](_ Out, err error) error { return err }

// silentCommands are the same for the aws CLI.
var silentCommands = []string{
	"add-tags-to-on-premises-instances --instance-names web-2 --tags Key=k,Value=v",
	"continue-deployment --deployment-id " + readyID,
	"delete-application --application-name gone",
	"delete-deployment-config --deployment-config-name gone",
	"deregister-on-premises-instance --instance-name gone",
	"register-application-revision --application-name app --s3-location bucket=bundles,key=1.zip,bundleType=zip",
	"register-on-premises-instance --instance-name web-1 --iam-user-arn " + hostUser + "web-1",
	"remove-tags-from-on-premises-instances --instance-names web-2 --tags Key=k,Value=v",
	"skip-wait-time-for-instance-termination --deployment-id " + terminationID,
	"update-application --application-name old --new-application-name new",
}

// silentWorld is a server on which each of them succeeds.
func silentWorld(t *testing.T) *world {
	w := start(t, seedLive(t, waiting()...))
	for _, name := range []string{"app", "old"} {
		w.application(name)
	}
	ok(t, w.register("web-2", hostUser+"web-2", ""))
	w.settled()
	return w
}

// service.md 15: W14
func TestCallsThatAnswerNothing(t *testing.T) {
	t.Parallel()
	w := silentWorld(t)
	for name, call := range w.silentCalls() {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// service.md 15: W14
func TestCallsThatAnswerNothingWithCLI(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the aws CLI is missing; install it with: pip install awscli")
	}
	w := silentWorld(t)
	const several = `printf '%s\n' "$@" | xargs -P 4 -L 1 aws deploy` // ends badly when one of them does
	if out := w.command("sh", append([]string{"-c", several, "sh"}, silentCommands...)...); strings.TrimSpace(out) != "" {
		t.Errorf("the commands wrote %s", out)
	}
}
