package service

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
	"grapnel/internal/server"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// live is a blue/green deployment that is under way when the server starts: no call can make one. Its application is its
// platform's name, its group has its own id for a name.
type live struct {
	id       string // d- and nine characters
	platform awsapi.ComputePlatform
	phases   []deploy.Phase
}

// seedLive stores deployments with their groups before the server starts.
func seedLive(t *testing.T, deployments ...live) func(*server.Options) {
	return seed(t, func(s *sqlstore.Store) {
		for _, d := range deployments {
			d.store(t, s)
		}
	})
}

func (d live) store(t *testing.T, s *sqlstore.Store) {
	t.Helper()
	ctx, application := t.Context(), string(d.platform)
	if _, err := s.Application(ctx, application); err != nil {
		ok(t, s.CreateApplication(ctx, store.Application{Info: awsapi.ApplicationInfo{
			ApplicationId: &application, ApplicationName: &application, CreateTime: awsapi.At(time.Now()), ComputePlatform: d.platform,
		}}))
	}
	style := &awsapi.DeploymentStyle{
		DeploymentType: awsapi.DeploymentTypeBlueGreen, DeploymentOption: awsapi.DeploymentOptionWithTrafficControl,
	}
	config := aws.String("CodeDeployDefault." + map[awsapi.ComputePlatform]string{
		awsapi.ComputePlatformServer: "AllAtOnce", awsapi.ComputePlatformECS: "ECSAllAtOnce", awsapi.ComputePlatformLambda: "LambdaAllAtOnce",
	}[d.platform])
	ok(t, s.CreateGroup(ctx, store.Group{Info: awsapi.DeploymentGroupInfo{
		ApplicationName: &application, DeploymentGroupName: &d.id, DeploymentGroupId: &d.id, ComputePlatform: d.platform,
		DeploymentConfigName: config, DeploymentStyle: style, ServiceRoleArn: aws.String(role),
	}}))
	ok(t, s.CreateDeployment(ctx, store.Deployment{
		Info: awsapi.DeploymentInfo{
			ApplicationName: &application, DeploymentGroupName: &d.id, DeploymentId: &d.id, ComputePlatform: d.platform,
			DeploymentConfigName: config, DeploymentStyle: style, CreateTime: awsapi.At(time.Now()), Creator: awsapi.DeploymentCreatorUser,
		},
		GroupID: d.id,
		Plan:    deploy.Plan{Phases: d.phases, Limit: 109 * time.Hour},
		Status:  deploy.Created,
	}))
}

// Gates of a blue/green deployment (service.md 4.3).
var (
	readyWait       = deploy.Gate{Approval: true, Delay: time.Hour}
	terminationWait = deploy.Gate{Termination: true, Delay: time.Hour}
)

// phase is one for a single target that only waits, unless it has steps.
func phase(gate deploy.Gate, steps ...deploy.Step) deploy.Phase {
	return deploy.Phase{Targets: []string{"green"}, Gate: gate, Steps: steps, Health: deploy.Health{Type: deploy.HostCount}}
}

// hook is a step that ends when a hook function reports under the execution id.
func hook(event lifecycle.Event, execution string) deploy.Step {
	return deploy.Step{Event: event, By: lifecycle.Hook, Execution: execution, Acknowledge: time.Hour, Timeout: time.Hour}
}

// Deployments that wait.
const (
	readyID       = "d-READY0000"
	terminationID = "d-TERMINATE"
)

// waiting are a deployment that waits to be continued, and one that waits to terminate what it has replaced.
func waiting() []live {
	return []live{
		{readyID, awsapi.ComputePlatformServer, []deploy.Phase{phase(deploy.Gate{}), phase(readyWait), phase(terminationWait)}},
		{terminationID, awsapi.ComputePlatformECS, []deploy.Phase{phase(deploy.Gate{}), phase(terminationWait)}},
	}
}

// settled waits until both have come to their waits.
func (w *world) settled() {
	w.t.Helper()
	w.ends(readyID, types.DeploymentStatusReady)
	eventually(w.t, "the termination wait has begun", func() bool { return w.info(terminationID).InstanceTerminationWaitTimeStarted })
}

// carryOn continues a deployment.
func (w *world) carryOn(id string, wait types.DeploymentWaitType) error {
	_, err := w.ContinueDeployment(w.t.Context(), &codedeploy.ContinueDeploymentInput{DeploymentId: &id, DeploymentWaitType: wait})
	return err
}
