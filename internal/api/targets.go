package api

import (
	"context"
	"fmt"
	"slices"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// started loads a deployment whose targets may be asked for.
func (a *API) started(ctx context.Context, id *string) (store.Deployment, error) {
	d, err := a.deployment(ctx, id)
	if err != nil {
		return d, err
	}
	return d, checkStarted(d)
}

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
	d, err := a.started(ctx, in.DeploymentId)
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
	if f.labels {
		return nil, nil, failure(awsapi.InvalidDeploymentInstanceTypeException,
			"Deployment %s is in-place, where no instance is Blue or Green; leave that filter out.", *d.Info.DeploymentId)
	}
	ids := following(p, d.Plan.TargetIDs(), itself)
	if len(f.statuses) > 0 {
		targets, err := a.targets(ctx, d, ids)
		if err != nil {
			return nil, nil, err
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return !slices.Contains(f.statuses, string(targets[id].Status)) })
	}
	ids, next := cut(p, ids, itself)
	return ids, next, nil
}

// targets loads targets of a deployment by id; unknown ones are left out.
func (a *API) targets(ctx context.Context, d store.Deployment, ids []string) (map[string]store.Target, error) {
	targets, err := a.store.Targets(ctx, *d.Info.DeploymentId, ids...)
	if err != nil {
		return nil, fmt.Errorf("load targets of deployment %s: %w", *d.Info.DeploymentId, err)
	}
	byID := map[string]store.Target{}
	for _, t := range targets {
		byID[t.ID] = t
	}
	return byID, nil
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
	if len(in.TargetIds) > maxBatch {
		return nil, failure(awsapi.DeploymentTargetListSizeExceededException, "The call names %d targets; it may name %d. Split it.", len(in.TargetIds), maxBatch)
	}
	if err := each(in.TargetIds, maxBatch, targetID); err != nil {
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
	d, err := a.started(ctx, deployment)
	if err != nil {
		return nil, err
	}
	targets, err := a.targets(ctx, d, ids)
	if err != nil {
		return nil, err
	}
	shown := make([]awsapi.DeploymentTarget, len(ids))
	for i, id := range ids {
		target, ok := targets[id]
		if !ok {
			return nil, failure(awsapi.DeploymentTargetDoesNotExistException,
				"Check the id with list-deployment-targets --deployment-id %s. No deployment target found for id: %s", *deployment, id)
		}
		shown[i] = a.shownTarget(d, target)
	}
	return shown, nil
}

func (a *API) shownTarget(d store.Deployment, t store.Target) awsapi.DeploymentTarget {
	return awsapi.DeploymentTarget{
		DeploymentTargetType: awsapi.DeploymentTargetTypeInstanceTarget,
		InstanceTarget: &awsapi.InstanceTarget{
			DeploymentId:    d.Info.DeploymentId,
			TargetId:        &t.ID,
			TargetArn:       new(a.arns.instance(t.ID)),
			Status:          awsapi.TargetStatus(t.Status),
			LastUpdatedAt:   awsapi.At(t.UpdatedAt),
			LifecycleEvents: lifecycleEvents(d.Plan, t),
		},
	}
}
