package api

import (
	"context"
	"fmt"
	"slices"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

func checkStarted(d store.Deployment) error {
	if d.Status == deploy.Created {
		return deploymentNotStarted(*d.Info.DeploymentId)
	}
	return nil
}

func (a *API) listDeploymentTargets(ctx context.Context, in *awsapi.ListDeploymentTargetsInput) (*awsapi.ListDeploymentTargetsOutput, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	filter, err := readTargetFilters(in.TargetFilters)
	if err != nil {
		return nil, err
	}
	filters := *in
	filters.NextToken = nil
	p, err := a.pages.open(filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	d, err := a.deployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	out := new(awsapi.ListDeploymentTargetsOutput)
	out.TargetIds, out.NextToken, err = a.targetIDs(ctx, d, filter, p)
	return out, err
}

// targetFilter selects targets: values of one kind are alternatives, kinds add up.
type targetFilter struct {
	statuses []string // empty for all
	labels   bool     // Blue or Green was asked for
}

func readTargetFilters(filters map[awsapi.TargetFilterName][]string) (targetFilter, error) {
	var f targetFilter
	for name, values := range filters {
		switch name {
		case awsapi.TargetFilterNameTargetStatus:
			f.statuses = values
		case awsapi.TargetFilterNameServerInstanceLabel:
			f.labels = true
			for _, v := range values {
				if err := oneOf(awsapi.InvalidInstanceTypeException, "ServerInstanceLabel", awsapi.TargetLabel(v)); err != nil {
					return f, err
				}
			}
		default:
			return f, notOneOf(awsapi.InvalidTargetFilterNameException, "The name of a target filter", name, name.Values())
		}
	}
	return f, checkStatuses(f.statuses)
}

func checkStatuses(statuses []string) error {
	for _, s := range statuses {
		if known := awsapi.TargetStatus("").Values(); !slices.Contains(known, awsapi.TargetStatus(s)) {
			return notOneOf(awsapi.InvalidInstanceStatusException, "The status of a target", awsapi.TargetStatus(s), known)
		}
	}
	return nil
}

// targetIDs returns a page of the targets that the filter selects, in the order of the plan, which names them all: only a
// filter by status has to look at the targets themselves.
func (a *API) targetIDs(ctx context.Context, d store.Deployment, f targetFilter, p page) ([]string, *string, error) {
	if err := checkStarted(d); err != nil {
		return nil, nil, err
	}
	if f.labels {
		return nil, nil, failure(awsapi.InvalidDeploymentInstanceTypeException,
			"Deployment %s is in-place, where no instance is Blue or Green; leave that filter out.", *d.Info.DeploymentId)
	}
	ids := following(p, d.Plan.TargetIDs(), itself)
	if len(f.statuses) > 0 {
		targets, _, err := a.targets(ctx, d, ids)
		if err != nil {
			return nil, nil, err
		}
		ids = nil
		for _, t := range targets {
			if slices.Contains(f.statuses, string(t.Status)) {
				ids = append(ids, t.ID)
			}
		}
	}
	ids, next := cut(p, ids, itself)
	return ids, next, nil
}

// targets loads targets of a deployment in the order asked for, and tells which of the ids it lacks.
func (a *API) targets(ctx context.Context, d store.Deployment, ids []string) (found []store.Target, unknown []string, err error) {
	stored, err := a.store.Targets(ctx, *d.Info.DeploymentId, ids...)
	if err != nil {
		return nil, nil, fmt.Errorf("load targets of deployment %s: %w", *d.Info.DeploymentId, err)
	}
	byID := map[string]store.Target{}
	for _, t := range stored {
		byID[t.ID] = t
	}
	for _, id := range ids {
		if t, ok := byID[id]; ok {
			found = append(found, t)
		} else {
			unknown = append(unknown, id)
		}
	}
	return found, unknown, nil
}

func (a *API) getDeploymentTarget(ctx context.Context, in *awsapi.GetDeploymentTargetInput) (*awsapi.GetDeploymentTargetOutput, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	id, err := targetID(in.TargetId)
	if err != nil {
		return nil, err
	}
	targets, err := a.deploymentTargets(ctx, in.DeploymentId, []string{id})
	if err != nil {
		return nil, err
	}
	return &awsapi.GetDeploymentTargetOutput{DeploymentTarget: &targets[0]}, nil
}

func (a *API) batchGetDeploymentTargets(ctx context.Context, in *awsapi.BatchGetDeploymentTargetsInput) (*awsapi.BatchGetDeploymentTargetsOutput, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	if len(in.TargetIds) > a.limits.BatchTargets {
		return nil, failure(awsapi.DeploymentTargetListSizeExceededException, "The call names %d targets; it may name %d. Split it.", len(in.TargetIds), a.limits.BatchTargets)
	}
	if err := each(in.TargetIds, a.limits.BatchTargets, targetID); err != nil {
		return nil, err
	}
	targets, err := a.deploymentTargets(ctx, in.DeploymentId, in.TargetIds)
	if err != nil {
		return nil, err
	}
	return &awsapi.BatchGetDeploymentTargetsOutput{DeploymentTargets: targets}, nil
}

// deploymentTargets returns targets as clients see them, in the order asked for.
func (a *API) deploymentTargets(ctx context.Context, deployment *string, ids []string) ([]awsapi.DeploymentTarget, error) {
	d, err := a.deployment(ctx, deployment)
	if err != nil {
		return nil, err
	}
	if platform := d.Info.ComputePlatform; platform != awsapi.ComputePlatformServer && len(ids) != 1 {
		return nil, failure(awsapi.DeploymentTargetListSizeExceededException,
			"Deployment %s is on the %s platform, where a call may name one target.", *deployment, platform)
	}
	if err := checkStarted(d); err != nil {
		return nil, err
	}
	targets, unknown, err := a.targets(ctx, d, ids)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		return nil, failure(awsapi.DeploymentTargetDoesNotExistException,
			"Check the id with list-deployment-targets --deployment-id %s. No deployment target found for id: %s", *deployment, unknown[0])
	}
	shown := make([]awsapi.DeploymentTarget, len(targets))
	for i, t := range targets {
		shown[i] = a.shownTarget(d, t)
	}
	return shown, nil
}

func (a *API) shownTarget(d store.Deployment, t store.Target) awsapi.DeploymentTarget {
	return awsapi.DeploymentTarget{
		DeploymentTargetType: awsapi.DeploymentTargetTypeInstanceTarget,
		InstanceTarget: &awsapi.InstanceTarget{
			DeploymentId:    d.Info.DeploymentId,
			TargetId:        &t.ID,
			TargetArn:       new(a.arns.target(t.ID)),
			Status:          awsapi.TargetStatus(t.Status),
			LastUpdatedAt:   awsapi.At(t.UpdatedAt),
			LifecycleEvents: lifecycleEvents(d.Plan, t),
		},
	}
}
