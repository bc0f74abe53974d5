package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// createDeployment resolves what the call names, freezes it with the plan, and leaves the rest to the engine.
func (a *API) createDeployment(ctx context.Context, in *awsapi.CreateDeploymentInput) (*awsapi.CreateDeploymentOutput, error) {
	application, name, err := applicationAndGroup(in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	revision, err := a.checkDeployment(in)
	if err != nil {
		return nil, err
	}
	var id string
	err = untilCurrent(func() error {
		group, err := a.groupOf(ctx, application, name)
		if err != nil {
			return err
		}
		id, err = a.deploy(ctx, in, group, revision)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.wake(id)
	return &awsapi.CreateDeploymentOutput{DeploymentId: &id}, nil
}

// deploy stores a deployment to the group as it is now and returns its id.
func (a *API) deploy(ctx context.Context, in *awsapi.CreateDeploymentInput, group store.Group, revision awsapi.RevisionLocation) (id string, err error) {
	if in.DeploymentMode == awsapi.DeploymentModeRestart {
		if revision, err = restarted(group.Info); err != nil {
			return "", err
		}
	}
	if err := checkPlatform(in, revision, group.Info); err != nil {
		return "", err
	}
	if err := a.checkGitHubToken(ctx, *group.Info.DeploymentGroupId, revision); err != nil {
		return "", err
	}
	config, err := a.configOf(ctx, in, group.Info)
	if err != nil {
		return "", err
	}
	plan, err := a.plan(ctx, in, group, config, revision)
	if err != nil {
		return "", err
	}
	d := store.Deployment{
		Info:        a.frozen(in, group.Info, config, revision),
		GroupID:     *group.Info.DeploymentGroupId,
		RevisionKey: store.RevisionKey(revision),
		Plan:        plan,
		Status:      deploy.Created,
	}
	err = a.storeDeployment(ctx, d)
	return *d.Info.DeploymentId, err
}

// checkDeployment checks each member of the call alone and returns the revision as it is stored, none for a restart.
func (a *API) checkDeployment(in *awsapi.CreateDeploymentInput) (revision awsapi.RevisionLocation, err error) {
	if in.DeploymentMode == awsapi.DeploymentModeRestart {
		err = checkRestart(in)
	} else {
		revision, err = checkedRevision(in.Revision)
	}
	if err != nil {
		return revision, err
	}
	for _, err := range []error{
		checkConfigName(in.DeploymentConfigName),
		checkDescription(in.Description),
		a.limits.checkTargetInstances(in.TargetInstances),
		a.limits.checkAlarms("overrideAlarmConfiguration", in.OverrideAlarmConfiguration),
		checkAutoRollback(in.AutoRollbackConfiguration),
		oneOf(awsapi.InvalidFileExistsBehaviorException, "fileExistsBehavior", in.FileExistsBehavior),
		checkEC2Options(in.Ec2DeploymentOptions),
		oneOf(awsapi.InvalidInputException, "deploymentMode", in.DeploymentMode),
	} {
		if err != nil {
			return revision, err
		}
	}
	return revision, nil
}

// checkRestart checks what deploymentMode RESTART leaves to be said (the documentation in botocore 1.44.5).
func checkRestart(in *awsapi.CreateDeploymentInput) error {
	switch {
	case in.Revision != nil:
		return failure(awsapi.InvalidInputException,
			"deploymentMode RESTART deploys the revision of the group's last successful deployment again; leave out revision.")
	case awsapi.Value(in.UpdateOutdatedInstancesOnly):
		return failure(awsapi.InvalidUpdateOutdatedInstancesOnlyValueException,
			"deploymentMode RESTART is for instances that have the revision already; leave out updateOutdatedInstancesOnly.")
	}
	return nil
}

// restarted returns the revision that a restart deploys again; the store refuses it when another one has succeeded
// meanwhile. Agents install it from the archive that the last successful
// deployment left on their hosts, and download it only where that is missing.
func restarted(group awsapi.DeploymentGroupInfo) (awsapi.RevisionLocation, error) {
	var refused error
	switch {
	case group.ComputePlatform != awsapi.ComputePlatformServer:
		refused = failure(awsapi.InvalidComputePlatformException,
			"deploymentMode RESTART is for the Server platform; give a revision to deploy to %s.", group.ComputePlatform)
	case awsapi.Value(group.DeploymentStyle).DeploymentType == awsapi.DeploymentTypeBlueGreen:
		refused = failure(awsapi.InvalidInputException,
			"deploymentMode RESTART is for in-place deployments; give a revision to deploy blue/green.")
	case group.TargetRevision == nil:
		refused = failure(awsapi.RevisionDoesNotExistException,
			"No deployment to group %s has succeeded yet, so there is nothing to restart; deploy a revision first.", *group.DeploymentGroupName)
	}
	return awsapi.Value(group.TargetRevision), refused
}

func (l Limits) checkTargetInstances(t *awsapi.TargetInstances) error {
	const invalid = awsapi.InvalidTargetInstancesException
	if t == nil {
		return nil
	}
	groups := awsapi.Value(t.Ec2TagSet).Ec2TagSetList
	switch {
	case len(t.TagFilters) > 0 && len(groups) > 0:
		return failure(invalid, "Give either tagFilters or ec2TagSet in targetInstances, not both.")
	case len(groups) > l.TagGroups:
		return failure(invalid, "ec2TagSet in targetInstances may have %d groups of filters.", l.TagGroups)
	}
	for _, list := range append([][]awsapi.EC2TagFilter{t.TagFilters}, groups...) {
		if err := l.checkEC2Filters(invalid, list); err != nil {
			return err
		}
	}
	return l.checkAutoScalingGroups(invalid, t.AutoScalingGroups)
}

// checkPlatform checks what the group's platform and style allow (service.md 2.6).
func checkPlatform(in *awsapi.CreateDeploymentInput, revision awsapi.RevisionLocation, group awsapi.DeploymentGroupInfo) error {
	if err := deployable(revision, group.ComputePlatform); err != nil {
		return err
	}
	server := group.ComputePlatform == awsapi.ComputePlatformServer
	blueGreen := awsapi.Value(group.DeploymentStyle).DeploymentType == awsapi.DeploymentTypeBlueGreen
	green := awsapi.Value(awsapi.Value(group.BlueGreenDeploymentConfiguration).GreenFleetProvisioningOption).Action
	switch {
	case in.TargetInstances != nil && !(server && blueGreen):
		return failure(awsapi.InvalidTargetInstancesException, "targetInstances is for blue/green deployments to hosts; leave it out, the group's tag filters choose.")
	case in.TargetInstances != nil && green == awsapi.GreenFleetProvisioningActionCopyAutoScalingGroup:
		return failure(awsapi.InvalidTargetInstancesException,
			"The group copies its Auto Scaling group for the replacement; leave out targetInstances, or set greenFleetProvisioningOption to DISCOVER_EXISTING.")
	case awsapi.Value(in.UpdateOutdatedInstancesOnly) && !server:
		return failure(awsapi.InvalidUpdateOutdatedInstancesOnlyValueException,
			"updateOutdatedInstancesOnly is for the Server platform; leave it out for %s.", group.ComputePlatform)
	case awsapi.Value(in.IgnoreApplicationStopFailures) && !server:
		return failure(awsapi.InvalidIgnoreApplicationStopFailuresValueException,
			"ignoreApplicationStopFailures is for the Server platform; leave it out for %s.", group.ComputePlatform)
	}
	return nil
}

// configOf loads the deployment config that the call names, or else the group's.
func (a *API) configOf(ctx context.Context, in *awsapi.CreateDeploymentInput, group awsapi.DeploymentGroupInfo) (awsapi.DeploymentConfigInfo, error) {
	name := group.DeploymentConfigName
	if in.DeploymentConfigName != nil {
		name = in.DeploymentConfigName
	}
	return a.configFor(ctx, *name, group.ComputePlatform)
}

// plan compiles the deployment's plan. Settings that would silently be left out of it refuse the deployment instead.
func (a *API) plan(ctx context.Context, in *awsapi.CreateDeploymentInput, group store.Group, config awsapi.DeploymentConfigInfo,
	revision awsapi.RevisionLocation,
) (deploy.Plan, error) {
	hosts, err := store.Candidates(ctx, a.store, *group.Info.DeploymentGroupId)
	if err != nil {
		return deploy.Plan{}, err
	}
	settings := group.Info
	set(&settings.AlarmConfiguration, in.OverrideAlarmConfiguration)
	plan, err := planner.Compile(planner.Request{
		Group:                         settings,
		Config:                        config,
		Hosts:                         hosts,
		RevisionKey:                   store.RevisionKey(revision),
		CurrentKey:                    store.RevisionKey(awsapi.Value(group.Info.TargetRevision)),
		IgnoreApplicationStopFailures: awsapi.Value(in.IgnoreApplicationStopFailures),
		UpdateOutdatedInstancesOnly:   awsapi.Value(in.UpdateOutdatedInstancesOnly),
		MaxTargets:                    a.limits.Instances,
		AutoRollback:                  in.AutoRollbackConfiguration,
	})
	if unsupported := (*planner.UnsupportedError)(nil); errors.As(err, &unsupported) {
		return plan, notYet(unsupported)
	}
	if err != nil {
		return plan, fmt.Errorf("plan a deployment of group %s: %w", *group.Info.DeploymentGroupName, err)
	}
	return plan, nil
}

// frozen is the deployment as it is shown and as it runs, whatever happens to the group's settings later.
func (a *API) frozen(in *awsapi.CreateDeploymentInput, group awsapi.DeploymentGroupInfo, config awsapi.DeploymentConfigInfo,
	revision awsapi.RevisionLocation,
) awsapi.DeploymentInfo {
	info := awsapi.DeploymentInfo{
		ApplicationName:                  group.ApplicationName,
		DeploymentGroupName:              group.DeploymentGroupName,
		DeploymentConfigName:             config.DeploymentConfigName,
		DeploymentId:                     new(store.NewDeploymentID()),
		Revision:                         &revision,
		CreateTime:                       awsapi.At(time.Now()),
		Description:                      in.Description,
		Creator:                          awsapi.DeploymentCreatorUser,
		IgnoreApplicationStopFailures:    new(awsapi.Value(in.IgnoreApplicationStopFailures)),
		AutoRollbackConfiguration:        group.AutoRollbackConfiguration,
		UpdateOutdatedInstancesOnly:      new(awsapi.Value(in.UpdateOutdatedInstancesOnly)),
		DeploymentStyle:                  group.DeploymentStyle,
		TargetInstances:                  in.TargetInstances,
		BlueGreenDeploymentConfiguration: withWaits(group.BlueGreenDeploymentConfiguration),
		LoadBalancerInfo:                 group.LoadBalancerInfo,
		FileExistsBehavior:               awsapi.FileExistsBehaviorDisallow,
		ComputePlatform:                  group.ComputePlatform,
		OverrideAlarmConfiguration:       in.OverrideAlarmConfiguration,
		Ec2DeploymentOptions:             group.Ec2DeploymentOptions,
	}
	set(&info.AutoRollbackConfiguration, in.AutoRollbackConfiguration)
	set(&info.Ec2DeploymentOptions, in.Ec2DeploymentOptions)
	if in.DeploymentMode == awsapi.DeploymentModeRestart { // absent of others, as in the service
		info.DeploymentMode = in.DeploymentMode
	}
	if in.FileExistsBehavior != "" {
		info.FileExistsBehavior = in.FileExistsBehavior
	}
	return info
}

// storeDeployment stores a deployment; an id that is taken is drawn anew.
func (a *API) storeDeployment(ctx context.Context, d store.Deployment) error {
	err := a.store.CreateDeployment(ctx, d)
	if errors.Is(err, store.ErrExists) {
		*d.Info.DeploymentId = store.NewDeploymentID()
		err = a.store.CreateDeployment(ctx, d)
	}
	err = limited(err, awsapi.DeploymentLimitExceededException, "wait until one has ended")
	group := *d.Info.DeploymentGroupName
	if busy := (*store.BusyError)(nil); errors.As(err, &busy) {
		return deploymentLimitExceeded(group, busy.Deployment)
	}
	return instead(err, store.ErrNotFound, groupDoesNotExist(*d.Info.ApplicationName, group), "create a deployment of group "+group)
}
