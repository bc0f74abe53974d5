package api

import (
	"context"
	"errors"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// group loads a deployment group, or tells the caller that there is none. The application is not looked for.
func (a *API) group(ctx context.Context, application, name string) (store.Group, error) {
	group, err := a.store.Group(ctx, application, name)
	return group, instead(err, store.ErrNotFound, groupDoesNotExist(application, name), "load deployment group "+name)
}

// groupOf loads a deployment group; a missing application is reported before a missing group.
func (a *API) groupOf(ctx context.Context, application, name string) (store.Group, error) {
	if _, err := a.application(ctx, application); err != nil {
		return store.Group{}, err
	}
	return a.group(ctx, application, name)
}

func (a *API) createDeploymentGroup(ctx context.Context, in *awsapi.CreateDeploymentGroupInput) (*awsapi.CreateDeploymentGroupOutput, error) {
	application, name, err := applicationAndGroup(in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	settings := settingsToCreate(in)
	if err := settings.checkFields(a.limits); err != nil {
		return nil, err
	}
	if err := a.limits.checkResourceTags(in.Tags); err != nil {
		return nil, err
	}
	app, err := a.application(ctx, application)
	if err != nil {
		return nil, err
	}
	info := newGroup(app.Info, name)
	settings.apply(&info)
	if err := a.checkGroup(ctx, info, settings); err != nil {
		return nil, err
	}
	if err := a.tryTriggers(ctx, info, nil); err != nil {
		return nil, err
	}
	err = a.store.CreateGroup(ctx, store.Group{Info: info, Tags: in.Tags})
	if err := groupNotStored(err, info, applicationDoesNotExist(application)); err != nil {
		return nil, err
	}
	return &awsapi.CreateDeploymentGroupOutput{DeploymentGroupId: info.DeploymentGroupId}, nil
}

// tryTriggers sends a test message to each topic that a trigger of the group names, unless one of those before did: it has
// taken one then (service.md 2.5).
func (a *API) tryTriggers(ctx context.Context, group awsapi.DeploymentGroupInfo, before []awsapi.TriggerConfig) error {
	tried := map[string]bool{}
	for _, t := range before {
		tried[awsapi.Value(t.TriggerTargetArn)] = true
	}
	for _, t := range group.TriggerConfigurations {
		topic := awsapi.Value(t.TriggerTargetArn)
		if tried[topic] {
			continue
		}
		tried[topic] = true
		if err := a.tryTrigger(ctx, group, t); err != nil {
			return failure(awsapi.InvalidTriggerConfigException,
				"The topic %s of trigger %s did not take a test message: %v. Make it take the messages of this server, or leave the trigger out.",
				topic, awsapi.Value(t.TriggerName), err)
		}
	}
	return nil
}

// groupNotStored says why the store did not take a group; gone is the answer when the application, or the group to be
// changed, has been deleted meanwhile.
func groupNotStored(err error, info awsapi.DeploymentGroupInfo, gone error) error {
	application, name := *info.ApplicationName, *info.DeploymentGroupName
	if taken := (*store.ServiceTakenError)(nil); errors.As(err, &taken) {
		return failure(awsapi.ECSServiceMappingLimitExceededException,
			"ECS service %s belongs to deployment group %s of application %s already; take another service, or delete that group first.",
			taken.Service, taken.Group, taken.Application)
	}
	switch {
	case isMissing(err):
		return gone
	case errors.Is(err, store.ErrNoConfig):
		return configDoesNotExist(*info.DeploymentConfigName)
	}
	err = limited(err, awsapi.DeploymentGroupLimitExceededException, "delete one of application "+application+" first")
	return instead(err, store.ErrExists, groupAlreadyExists(application, name), "store deployment group "+name)
}

// newGroup returns a group with the defaults of service.md 2.5.
func newGroup(app awsapi.ApplicationInfo, name string) awsapi.DeploymentGroupInfo {
	info := awsapi.DeploymentGroupInfo{
		ApplicationName:              app.ApplicationName,
		DeploymentGroupId:            new(awsjson.UUID()),
		DeploymentGroupName:          &name,
		ComputePlatform:              app.ComputePlatform,
		DeploymentConfigName:         new(defaultConfig(app.ComputePlatform)),
		Ec2TagFilters:                []awsapi.EC2TagFilter{},
		OnPremisesInstanceTagFilters: []awsapi.TagFilter{},
		AutoScalingGroups:            []awsapi.AutoScalingGroup{},
		TriggerConfigurations:        []awsapi.TriggerConfig{},
		AutoRollbackConfiguration:    &awsapi.AutoRollbackConfiguration{Enabled: new(false)},
		OutdatedInstancesStrategy:    awsapi.OutdatedInstancesStrategyUpdate,
		TerminationHookEnabled:       new(false),
	}
	if app.ComputePlatform == awsapi.ComputePlatformServer {
		info.DeploymentStyle = wholeStyle(awsapi.DeploymentStyle{})
	}
	return info
}

func defaultConfig(platform awsapi.ComputePlatform) string {
	switch platform {
	case awsapi.ComputePlatformLambda:
		return planner.PredefinedPrefix + "LambdaAllAtOnce"
	case awsapi.ComputePlatformECS:
		return planner.PredefinedPrefix + "ECSAllAtOnce"
	}
	return planner.PredefinedPrefix + "OneAtATime"
}

func (a *API) getDeploymentGroup(ctx context.Context, in *awsapi.GetDeploymentGroupInput) (*awsapi.GetDeploymentGroupOutput, error) {
	application, name, err := applicationAndGroup(in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	group, err := a.groupOf(ctx, application, name)
	if err != nil {
		return nil, err
	}
	return &awsapi.GetDeploymentGroupOutput{DeploymentGroupInfo: shownGroup(group)}, nil
}

// shownGroup is a group as clients see it.
func shownGroup(group store.Group) *awsapi.DeploymentGroupInfo {
	info := group.Info
	if info.TargetRevision != nil {
		info.TargetRevision = new(withoutContent(*info.TargetRevision))
	}
	info.BlueGreenDeploymentConfiguration = withWaits(info.BlueGreenDeploymentConfiguration)
	return &info
}

// withWaits returns a blue/green configuration in which both waits are numbers, because "aws ecs deploy" reads them unguarded
// (service.md 2.5).
func withWaits(c *awsapi.BlueGreenDeploymentConfiguration) *awsapi.BlueGreenDeploymentConfiguration {
	if c == nil {
		return nil
	}
	blueGreen := *c
	ready, terminate := awsapi.Value(blueGreen.DeploymentReadyOption), awsapi.Value(blueGreen.TerminateBlueInstancesOnDeploymentSuccess)
	ready.WaitTimeInMinutes = new(awsapi.Value(ready.WaitTimeInMinutes))
	terminate.TerminationWaitTimeInMinutes = new(awsapi.Value(terminate.TerminationWaitTimeInMinutes))
	blueGreen.DeploymentReadyOption, blueGreen.TerminateBlueInstancesOnDeploymentSuccess = &ready, &terminate
	return &blueGreen
}

// batchGetDeploymentGroups tells of unknown groups in errorMessage: its model has no error for them.
func (a *API) batchGetDeploymentGroups(ctx context.Context, in *awsapi.BatchGetDeploymentGroupsInput) (*awsapi.BatchGetDeploymentGroupsOutput, error) {
	application, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := each(in.DeploymentGroupNames, a.limits.BatchApplications, groupName); err != nil {
		return nil, err
	}
	if _, err := a.application(ctx, application); err != nil {
		return nil, err
	}
	out := &awsapi.BatchGetDeploymentGroupsOutput{DeploymentGroupsInfo: []awsapi.DeploymentGroupInfo{}}
	var unknown []string
	for _, name := range in.DeploymentGroupNames {
		group, err := a.store.Group(ctx, application, name)
		switch {
		case isMissing(err):
			unknown = append(unknown, name)
		case err != nil:
			return nil, fmt.Errorf("load deployment group %s: %w", name, err)
		default:
			out.DeploymentGroupsInfo = append(out.DeploymentGroupsInfo, *shownGroup(group))
		}
	}
	out.ErrorMessage = new(notFound("deployment groups of application "+application, unknown))
	return out, nil
}

func (a *API) listDeploymentGroups(ctx context.Context, in *awsapi.ListDeploymentGroupsInput) (*awsapi.ListDeploymentGroupsOutput, error) {
	application, err := applicationName(in.ApplicationName)
	if err != nil {
		return nil, err
	}
	p, err := a.pages.open(awsapi.ListDeploymentGroupsInput{ApplicationName: &application}, in.NextToken)
	if err != nil {
		return nil, err
	}
	if _, err := a.application(ctx, application); err != nil {
		return nil, err
	}
	names, err := a.store.Groups(ctx, application, p.after, p.limit())
	if err != nil {
		return nil, fmt.Errorf("list deployment groups of application %s: %w", application, err)
	}
	out := &awsapi.ListDeploymentGroupsOutput{ApplicationName: &application}
	out.DeploymentGroups, out.NextToken = cut(p, names, itself)
	return out, nil
}

// updateDeploymentGroup leaves absent members as they are and replaces present ones whole.
func (a *API) updateDeploymentGroup(ctx context.Context, in *awsapi.UpdateDeploymentGroupInput) (*awsapi.UpdateDeploymentGroupOutput, error) {
	application, name, err := applicationAndGroup(in.ApplicationName, in.CurrentDeploymentGroupName)
	if err != nil {
		return nil, err
	}
	newName := name
	if in.NewDeploymentGroupName != nil {
		if newName, err = groupName(in.NewDeploymentGroupName); err != nil {
			return nil, err
		}
	}
	settings := groupSettings{UpdateDeploymentGroupInput: *in}
	if err := settings.checkFields(a.limits); err != nil {
		return nil, err
	}
	if err := untilCurrent(func() error { return a.changeGroup(ctx, application, name, newName, settings) }); err != nil {
		return nil, err
	}
	return &awsapi.UpdateDeploymentGroupOutput{HooksNotCleanedUp: []awsapi.AutoScalingGroup{}}, nil
}

func (a *API) changeGroup(ctx context.Context, application, name, newName string, settings groupSettings) error {
	group, err := a.groupOf(ctx, application, name)
	if err != nil {
		return err
	}
	before := group.Info.TriggerConfigurations
	group.Info.DeploymentGroupName = &newName
	settings.apply(&group.Info)
	if err := a.checkGroup(ctx, group.Info, settings); err != nil {
		return err
	}
	if err := a.tryTriggers(ctx, group.Info, before); err != nil {
		return err
	}
	err = a.store.UpdateGroup(ctx, application, name, group)
	return groupNotStored(err, group.Info, groupDoesNotExist(application, name))
}

// deleteDeploymentGroup succeeds when there is no such group (service.md 2.2).
func (a *API) deleteDeploymentGroup(ctx context.Context, in *awsapi.DeleteDeploymentGroupInput) (*awsapi.DeleteDeploymentGroupOutput, error) {
	application, name, err := applicationAndGroup(in.ApplicationName, in.DeploymentGroupName)
	if err != nil {
		return nil, err
	}
	if err := a.store.DeleteGroup(ctx, application, name); err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("delete deployment group %s: %w", name, err)
	}
	return &awsapi.DeleteDeploymentGroupOutput{HooksNotCleanedUp: []awsapi.AutoScalingGroup{}}, nil
}
