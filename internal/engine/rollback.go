package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// planRollback adds to a round the deployment that its decision asks for, and its id to the message of the one that is rolled
// back: that message names both (service.md 6.1). If what it would be made of is gone, the
// deployment ends without one, and its message says so: to try for ever would keep it from ending.
func (e *Engine) planRollback(ctx context.Context, r *store.Round) error {
	rollback, err := e.rollbackOf(ctx, r)
	if impossible := new(impossibleError); errors.Is(err, store.ErrNotFound) || errors.As(err, &impossible) {
		r.Decision.Rollback = false
		r.Decision.RollbackMessage = fmt.Sprintf("Deployment %s cannot be rolled back: %v.", r.State.ID, err)
		return nil
	}
	if err != nil {
		return err
	}
	r.Rollback = rollback
	r.Decision.RollbackMessage = strings.TrimSuffix(r.Decision.RollbackMessage, ".") + " as deployment " + *rollback.Info.DeploymentId + "."
	return nil
}

// impossibleError says that today's settings of a group allow no plan. The same settings will not allow one later.
type impossibleError struct{ error }

// rollbackOf builds the deployment that rolls back the one of the round (service.md 6.1): the revision and the
// fileExistsBehavior of the last good deployment, the group's settings of today, every host that they select now.
func (e *Engine) rollbackOf(ctx context.Context, r *store.Round) (*store.Deployment, error) {
	ended, err := e.store.Deployment(ctx, r.State.ID)
	if err != nil {
		return nil, err
	}
	good, err := e.store.Deployment(ctx, r.State.Facts.LastGood)
	if err != nil {
		return nil, fmt.Errorf("the last successful deployment %q: %w", r.State.Facts.LastGood, err)
	}
	group, err := e.group(ctx, ended)
	if err != nil {
		return nil, err
	}
	config, err := e.config(ctx, awsapi.Value(group.DeploymentConfigName))
	if err != nil {
		return nil, err
	}
	// The ended deployment's own setting goes before the group's: alarms that it was told to disregard must not keep it from being
	// rolled back.
	if override := ended.Info.OverrideAlarmConfiguration; override != nil {
		group.AlarmConfiguration = override
	}
	hosts, err := store.Candidates(ctx, e.store, ended.GroupID)
	if err != nil {
		return nil, err
	}
	remember(hosts, r, ended.RevisionKey)
	// A rollback runs the whole order on every host: the hosts that the ended deployment did not reach may have been half
	// changed by an earlier one.
	plan, err := planner.Compile(planner.Request{
		Group: group, Config: config, Hosts: hosts,
		RevisionKey: good.RevisionKey, CurrentKey: good.RevisionKey,
		IgnoreApplicationStopFailures: awsapi.Value(ended.Info.IgnoreApplicationStopFailures),
	})
	if err != nil {
		return nil, &impossibleError{err}
	}
	return &store.Deployment{
		Info:        rollbackInfo(r, ended.Info, good.Info, group),
		GroupID:     ended.GroupID,
		RevisionKey: good.RevisionKey,
		Plan:        plan,
		Facts:       deploy.Facts{RollbackOf: r.State.ID},
		Status:      deploy.Created,
	}, nil
}

// remember adds to what the group remembers of its hosts how the round leaves them: the store learns it in the same
// transaction as the rollback. Without it a host that has just failed would pass for healthy, and a healthy one might be
// taken out of service while it is broken.
func remember(hosts []planner.Host, r *store.Round, revision string) {
	left := make(map[string]deploy.TargetStatus)
	for _, t := range r.State.Targets {
		left[t.ID] = t.Status
	}
	for _, c := range r.Decision.Targets {
		left[c.ID] = c.Status
	}
	for i := range hosts {
		switch h := &hosts[i]; left[h.Name] {
		case deploy.TargetSucceeded:
			h.Healthy, h.RevisionKey = true, revision
		case deploy.TargetFailed:
			h.Healthy = false
		}
	}
}

// rollbackInfo returns the frozen wire shape of a rollback.
func rollbackInfo(r *store.Round, ended, good awsapi.DeploymentInfo, group awsapi.DeploymentGroupInfo) awsapi.DeploymentInfo {
	return awsapi.DeploymentInfo{
		ApplicationName:               ended.ApplicationName,
		DeploymentGroupName:           ended.DeploymentGroupName,
		DeploymentConfigName:          group.DeploymentConfigName,
		DeploymentId:                  new(store.NewDeploymentID()),
		Revision:                      good.Revision,
		CreateTime:                    awsapi.At(r.At),
		Creator:                       awsapi.DeploymentCreatorCodeDeployRollback,
		IgnoreApplicationStopFailures: new(awsapi.Value(ended.IgnoreApplicationStopFailures)),
		AutoRollbackConfiguration:     group.AutoRollbackConfiguration,
		UpdateOutdatedInstancesOnly:   new(false),
		DeploymentStyle:               group.DeploymentStyle,
		LoadBalancerInfo:              group.LoadBalancerInfo,
		FileExistsBehavior:            good.FileExistsBehavior,
		ComputePlatform:               ended.ComputePlatform,
		OverrideAlarmConfiguration:    ended.OverrideAlarmConfiguration,
		Description:                   new(fmt.Sprintf("Rollback of deployment %s", r.State.ID)),
		RollbackInfo: &awsapi.RollbackInfo{
			RollbackTriggeringDeploymentId: new(r.State.ID),
			RollbackMessage:                new(r.Decision.RollbackMessage),
		},
	}
}

// group returns the group of a deployment as it is now.
func (e *Engine) group(ctx context.Context, d store.Deployment) (awsapi.DeploymentGroupInfo, error) {
	application, name := awsapi.Value(d.Info.ApplicationName), awsapi.Value(d.Info.DeploymentGroupName)
	group, err := e.store.Group(ctx, application, name)
	if err != nil {
		return awsapi.DeploymentGroupInfo{}, fmt.Errorf("the deployment group %s of application %s: %w", name, application, err)
	}
	return group.Info, nil
}

// config returns a predefined or a custom deployment config.
func (e *Engine) config(ctx context.Context, name string) (awsapi.DeploymentConfigInfo, error) {
	if c, ok := planner.PredefinedConfig(name); ok {
		return c, nil
	}
	config, err := e.store.Config(ctx, name)
	if err != nil {
		return awsapi.DeploymentConfigInfo{}, fmt.Errorf("the deployment config %s: %w", name, err)
	}
	return config, nil
}
