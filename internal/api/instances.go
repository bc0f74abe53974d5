package api

import (
	"context"
	"slices"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// The operations of this file are the older names of those on targets, for the Server platform only.

// hostDeployment loads a deployment that the older operations may be asked about.
func (a *API) hostDeployment(ctx context.Context, id *string) (store.Deployment, error) {
	d, err := a.deployment(ctx, id)
	if err != nil {
		return d, err
	}
	if d.Info.ComputePlatform != awsapi.ComputePlatformServer {
		return d, failure(awsapi.InvalidComputePlatformException,
			"Deployment %s is on the %s platform, which has no instances; use the operations on deployment targets.", *d.Info.DeploymentId, d.Info.ComputePlatform)
	}
	return d, nil
}

// instanceField takes an id, or the ARN that older clients of EC2 send (service.md 1). It returns the id.
func instanceField(value *string) (string, error) {
	if value != nil {
		value = new(instanceID(*value))
	}
	return field(value, "instanceId", awsapi.InstanceIdRequiredException, awsapi.InvalidInstanceNameException, targetIDPattern,
		"list-deployment-instances shows the instances of a deployment")
}

func (a *API) listDeploymentInstances(ctx context.Context, in *awsapi.ListDeploymentInstancesInput) (*awsapi.ListDeploymentInstancesOutput, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	filter, err := readInstanceFilters(in)
	if err != nil {
		return nil, err
	}
	filters := *in
	filters.NextToken = nil
	p, err := a.pages.open(filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	d, err := a.hostDeployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	out := new(awsapi.ListDeploymentInstancesOutput)
	out.InstancesList, out.NextToken, err = a.targetIDs(ctx, d, filter, p)
	return out, err
}

func readInstanceFilters(in *awsapi.ListDeploymentInstancesInput) (targetFilter, error) {
	var f targetFilter
	for _, status := range in.InstanceStatusFilter {
		f.statuses = append(f.statuses, string(status))
	}
	for _, label := range in.InstanceTypeFilter {
		f.labels = true
		if !slices.Contains(label.Values(), label) {
			return f, notOneOf(awsapi.InvalidInstanceTypeException, "instanceTypeFilter", label, label.Values())
		}
	}
	return f, checkStatuses(f.statuses)
}

func (a *API) getDeploymentInstance(ctx context.Context, in *awsapi.GetDeploymentInstanceInput) (*awsapi.GetDeploymentInstanceOutput, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	id, err := instanceField(in.InstanceId)
	if err != nil {
		return nil, err
	}
	summaries, unknown, err := a.instanceSummaries(ctx, in.DeploymentId, []string{id})
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		return nil, failure(awsapi.InstanceDoesNotExistException,
			"Check the id with list-deployment-instances --deployment-id %s. No instance found for id: %s", *in.DeploymentId, id)
	}
	return &awsapi.GetDeploymentInstanceOutput{InstanceSummary: &summaries[0]}, nil
}

// batchGetDeploymentInstances tells of unknown instances in errorMessage: its model has no error for them.
func (a *API) batchGetDeploymentInstances(
	ctx context.Context, in *awsapi.BatchGetDeploymentInstancesInput,
) (*awsapi.BatchGetDeploymentInstancesOutput, error) {
	if _, err := deploymentID(in.DeploymentId); err != nil {
		return nil, err
	}
	if err := each(in.InstanceIds, a.limits.BatchTargets, instanceField); err != nil {
		return nil, err
	}
	ids := make([]string, len(in.InstanceIds))
	for i, id := range in.InstanceIds {
		ids[i] = instanceID(id)
	}
	summaries, unknown, err := a.instanceSummaries(ctx, in.DeploymentId, ids)
	if err != nil {
		return nil, err
	}
	return &awsapi.BatchGetDeploymentInstancesOutput{
		InstancesSummary: summaries,
		ErrorMessage:     new(notFound("instances of deployment "+*in.DeploymentId, unknown)),
	}, nil
}

// instanceSummaries returns instances as clients see them, in the order asked for, and the ids that the deployment lacks.
func (a *API) instanceSummaries(ctx context.Context, deployment *string, ids []string) (found []awsapi.InstanceSummary, unknown []string, err error) {
	d, err := a.hostDeployment(ctx, deployment)
	if err != nil {
		return nil, nil, err
	}
	targets, unknown, err := a.targets(ctx, d, ids)
	if err != nil {
		return nil, nil, err
	}
	found = make([]awsapi.InstanceSummary, len(targets))
	for i, t := range targets {
		found[i] = awsapi.InstanceSummary{
			DeploymentId:    d.Info.DeploymentId,
			InstanceId:      &t.ID,
			Status:          awsapi.InstanceStatus(t.Status),
			LastUpdatedAt:   awsapi.At(t.UpdatedAt),
			LifecycleEvents: lifecycleEvents(d.Plan, t),
		}
	}
	return found, unknown, nil
}
