package api

import (
	"context"
	"crypto/subtle"
	"errors"
	"slices"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
	"grapnel/internal/store"
)

// stopDeployment stores the wish. The first answer is Pending: commands under way end by themselves. Asked again while
// they do, it is Succeeded: nothing more is going to be scheduled.
func (a *API) stopDeployment(ctx context.Context, in *awsapi.StopDeploymentInput) (*awsapi.StopDeploymentOutput, error) {
	d, err := a.deployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	id := *d.Info.DeploymentId
	err = a.store.StopDeployment(ctx, id, deploy.Stop{At: time.Now().UTC(), Rollback: in.AutoRollbackEnabled})
	switch {
	case errors.Is(err, store.ErrEnded):
		return nil, deploymentAlreadyCompleted(id)
	case err != nil:
		return nil, instead(err, store.ErrNotFound, deploymentDoesNotExist(id), "stop deployment "+id)
	}
	a.wake(id)
	if d.Facts.Stop != nil {
		return &awsapi.StopDeploymentOutput{
			Status: awsapi.StopStatusSucceeded, StatusMessage: new("The deployment is stopping. No more commands will be scheduled."),
		}, nil
	}
	return &awsapi.StopDeploymentOutput{
		Status: awsapi.StopStatusPending, StatusMessage: new("The deployment stops when the commands under way have ended."),
	}, nil
}

// continueDeployment ends one of the two waits of a blue/green deployment before its time: for traffic to be rerouted, or
// for the original environment to be terminated (service.md 2.6).
func (a *API) continueDeployment(ctx context.Context, in *awsapi.ContinueDeploymentInput) (*awsjson.Empty, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	if err := oneOf(awsapi.InvalidDeploymentWaitTypeException, "deploymentWaitType", in.DeploymentWaitType); err != nil {
		return nil, err
	}
	d, err := a.waitingDeployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	id := *d.Info.DeploymentId
	switch {
	case in.DeploymentWaitType == awsapi.DeploymentWaitTypeTerminationWait && !d.TerminationWaitStarted():
		return nil, failure(awsapi.InvalidDeploymentStatusException,
			"Deployment %s does not wait to terminate the original environment; it will once all traffic has been rerouted.", id)
	case in.DeploymentWaitType != awsapi.DeploymentWaitTypeTerminationWait && d.Status != deploy.Ready:
		return nil, failure(awsapi.DeploymentIsNotInReadyStateException,
			"Deployment %s is %s; it can be continued while it is Ready.", id, d.Status)
	}
	return nil, a.approve(ctx, d)
}

// skipWaitTimeForInstanceTermination is the deprecated name of continuing with TERMINATION_WAIT; its model has another error
// for a wait that has not begun.
func (a *API) skipWaitTimeForInstanceTermination(ctx context.Context, in *awsapi.SkipWaitTimeForInstanceTerminationInput) (*awsjson.Empty, error) {
	d, err := a.waitingDeployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	if !d.TerminationWaitStarted() {
		return nil, failure(awsapi.DeploymentNotStartedException,
			"Deployment %s has not begun to wait for the termination of the original environment; it will once all traffic has been rerouted.",
			*d.Info.DeploymentId)
	}
	return nil, a.approve(ctx, d)
}

// waitingDeployment loads a live deployment of a kind that may wait: blue/green, to hosts or to an ECS service.
func (a *API) waitingDeployment(ctx context.Context, id *string) (store.Deployment, error) {
	d, err := a.deployment(ctx, id)
	if err != nil {
		return d, err
	}
	blueGreen := awsapi.Value(d.Info.DeploymentStyle).DeploymentType == awsapi.DeploymentTypeBlueGreen
	switch {
	case d.Status.Terminal():
		return d, deploymentAlreadyCompleted(*id)
	case d.Info.ComputePlatform == awsapi.ComputePlatformLambda:
		return d, failure(awsapi.UnsupportedActionForDeploymentTypeException,
			"Deployment %s is on the Lambda platform and goes on by itself; only blue/green deployments to hosts and to ECS wait to be continued.", *id)
	case !blueGreen:
		return d, failure(awsapi.UnsupportedActionForDeploymentTypeException,
			"Deployment %s is in-place and goes on by itself; only blue/green deployments wait to be continued.", *id)
	}
	return d, nil
}

// approve lets the phase begin for which the deployment waits.
func (a *API) approve(ctx context.Context, d store.Deployment) error {
	id := *d.Info.DeploymentId
	err := a.store.ApprovePhase(ctx, id, d.Phase)
	switch {
	case errors.Is(err, store.ErrEnded):
		return deploymentAlreadyCompleted(id)
	case err != nil:
		return instead(err, store.ErrNotFound, deploymentDoesNotExist(id), "continue deployment "+id)
	}
	a.wake(id)
	return nil
}

// putLifecycleEventHookExecutionStatus stores what a hook function found: the end of the Work that waits for it.
func (a *API) putLifecycleEventHookExecutionStatus(
	ctx context.Context, in *awsapi.PutLifecycleEventHookExecutionStatusInput,
) (*awsapi.PutLifecycleEventHookExecutionStatusOutput, error) {
	status, found, err := hookOutcome(in.Status)
	if err != nil {
		return nil, err
	}
	execution := awsapi.Value(in.LifecycleEventHookExecutionId)
	if execution == "" {
		return nil, missing(awsapi.InvalidLifecycleEventHookExecutionIdException, "lifecycleEventHookExecutionId")
	}
	d, err := a.deployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	id := *d.Info.DeploymentId
	if d.Info.ComputePlatform == awsapi.ComputePlatformServer {
		return nil, failure(awsapi.UnsupportedActionForDeploymentTypeException,
			"Deployment %s is on the Server platform, whose hooks are scripts on the hosts; only ECS and Lambda deployments have hook functions.", id)
	}
	unknown := failure(awsapi.InvalidLifecycleEventHookExecutionIdException,
		"Deployment %s runs no hook with this lifecycleEventHookExecutionId; report the one that the function was called with.", id)
	work, ok := hookWork(d, execution)
	if !ok {
		return nil, unknown
	}
	err = a.store.Complete(ctx, work, status, found, time.Now().UTC())
	switch {
	case errors.Is(err, store.ErrEnded):
		return nil, failure(awsapi.LifecycleEventAlreadyCompletedException,
			"The hook's lifecycle event of deployment %s has ended: it was reported before, it took too long, or the deployment was stopped.", id)
	case err != nil:
		return nil, instead(err, store.ErrNotFound, unknown, "store what a hook of deployment "+id+" found")
	}
	a.wake(id)
	return &awsapi.PutLifecycleEventHookExecutionStatusOutput{LifecycleEventHookExecutionId: in.LifecycleEventHookExecutionId}, nil
}

// hookOutcome is what a hook's report says of its Work.
func hookOutcome(reported awsapi.LifecycleEventStatus) (deploy.WorkStatus, deploy.Diagnostics, error) {
	switch reported {
	case awsapi.LifecycleEventStatusSucceeded:
		return deploy.WorkSucceeded, deploy.Diagnostics{}, nil
	case awsapi.LifecycleEventStatusFailed:
		code := string(awsapi.LifecycleErrorCodeScriptFailed)
		return deploy.WorkFailed, deploy.Diagnostics{ErrorCode: code, Message: "The hook function reported Failed."}, nil
	}
	return "", deploy.Diagnostics{}, failure(awsapi.InvalidLifecycleEventHookExecutionStatusException,
		"status is %q; it must be Succeeded or Failed.", reported)
}

// hookWork returns the id of the Work whose hook was told the execution id. How long the comparison takes tells nothing of
// the id.
func hookWork(d store.Deployment, execution string) (work string, ok bool) {
	for i, phase := range d.Plan.Phases {
		step := slices.IndexFunc(phase.Steps, func(s deploy.Step) bool {
			return s.By == lifecycle.Hook && subtle.ConstantTimeCompare([]byte(s.Execution), []byte(execution)) == 1
		})
		if step >= 0 {
			return deploy.WorkID(*d.Info.DeploymentId, i, step, phase.Targets[0]), true
		}
	}
	return "", false
}
