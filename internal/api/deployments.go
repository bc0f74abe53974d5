package api

import (
	"context"
	"fmt"
	"slices"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// deployment checks an id and loads its deployment, or tells the caller that there is none.
func (a *API) deployment(ctx context.Context, value *string) (store.Deployment, error) {
	id, err := deploymentID(value)
	if err != nil {
		return store.Deployment{}, err
	}
	d, err := a.deploymentSeen(ctx, id)
	return d, instead(err, store.ErrNotFound, deploymentDoesNotExist(id), "load deployment "+id)
}

func (a *API) getDeployment(ctx context.Context, in *awsapi.GetDeploymentInput) (*awsapi.GetDeploymentOutput, error) {
	d, err := a.deployment(ctx, in.DeploymentId)
	if err != nil {
		return nil, err
	}
	info := shownDeployment(d)
	if info.DeploymentStatusMessages, err = a.waitingFor(ctx, d); err != nil {
		return nil, err
	}
	return &awsapi.GetDeploymentOutput{DeploymentInfo: info}, nil
}

// An agent that has not polled for longer than offline is not there: its polls are held for half of that.
const (
	offline     = 90 * time.Second
	maxMessages = 10
)

// waitingFor says of a live deployment which hosts it waits for although their agents are not there, long before the
// event fails because of it (users.md 5).
func (a *API) waitingFor(ctx context.Context, d store.Deployment) ([]string, error) {
	if d.Status.Terminal() {
		return nil, nil
	}
	since := time.Now().Add(-offline).Truncate(time.Second) // the same question for a second, which the store remembers
	silent, err := a.store.Silent(ctx, awsapi.Value(d.Info.DeploymentId), since, maxMessages)
	if err != nil {
		return nil, fmt.Errorf("find the hosts that do not answer: %w", err)
	}
	var messages []string
	for _, t := range silent {
		seen := "has never polled this server"
		if !t.LastSeen.IsZero() {
			seen = "last polled at " + t.LastSeen.UTC().Format(time.RFC3339)
		}
		messages = append(messages, fmt.Sprintf("Waiting for host %s: its agent %s. Is it running there (codedeploy-agent status), and can it reach this server?", t.ID, seen))
	}
	return messages, nil
}

// shownDeployment is a deployment as clients see it: without AppSpec content (service.md 2.6).
func shownDeployment(d store.Deployment) *awsapi.DeploymentInfo {
	info := d.Info
	info.InstanceTerminationWaitTimeStarted = new(d.TerminationWaitStarted())
	for _, revision := range []**awsapi.RevisionLocation{&info.Revision, &info.PreviousRevision} {
		if *revision != nil {
			*revision = new(withoutContent(**revision))
		}
	}
	return &info
}

// batchGetDeployments leaves out unknown ids.
func (a *API) batchGetDeployments(ctx context.Context, in *awsapi.BatchGetDeploymentsInput) (*awsapi.BatchGetDeploymentsOutput, error) {
	if err := each(in.DeploymentIds, a.limits.BatchDeployments, deploymentID); err != nil {
		return nil, err
	}
	out := &awsapi.BatchGetDeploymentsOutput{DeploymentsInfo: []awsapi.DeploymentInfo{}}
	err := eachKnown(ctx, "deployment", in.DeploymentIds, a.deploymentSeen, func(d store.Deployment) {
		out.DeploymentsInfo = append(out.DeploymentsInfo, *shownDeployment(d))
	})
	return out, err
}

// listDeployments lists ids, newest first.
func (a *API) listDeployments(ctx context.Context, in *awsapi.ListDeploymentsInput) (*awsapi.ListDeploymentsOutput, error) {
	filter, err := deploymentFilter(in)
	if err != nil {
		return nil, err
	}
	filters := *in
	filters.NextToken = nil
	p, err := a.pages.open(filters, in.NextToken)
	if err != nil {
		return nil, err
	}
	if filter.Application != "" {
		if _, err := a.groupOf(ctx, filter.Application, filter.Group); err != nil {
			return nil, err
		}
	}
	filter.Before, filter.Limit = listedAt(p.after), p.limit()
	var listed []store.Listed
	if awsapi.Value(in.ExternalId) == "" { // no deployment of this server comes from outside and has an external id
		if listed, err = a.store.ListDeployments(ctx, filter); err != nil {
			return nil, fmt.Errorf("list deployments: %w", err)
		}
	}
	listed, next := cut(p, listed, listedKey)
	out := &awsapi.ListDeploymentsOutput{Deployments: make([]string, len(listed)), NextToken: next}
	for i, l := range listed {
		out.Deployments[i] = l.ID
	}
	return out, nil
}

// listedKey is a deployment's place in the list for a page token: it must tell the place even when the deployment has gone.
func listedKey(l store.Listed) string { return fmt.Sprint(l.CreatedAt.UnixMicro(), " ", l.ID) }

// listedAt reads what listedKey wrote. "" is the zero place, before the first.
func listedAt(key string) (l store.Listed) {
	var micros int64
	if n, _ := fmt.Sscan(key, &micros, &l.ID); n == 2 {
		l.CreatedAt = time.UnixMicro(micros)
	}
	return l
}

func deploymentFilter(in *awsapi.ListDeploymentsInput) (store.DeploymentFilter, error) {
	var filter store.DeploymentFilter
	if in.ApplicationName != nil || in.DeploymentGroupName != nil {
		var err error
		if filter.Application, filter.Group, err = applicationAndGroup(in.ApplicationName, in.DeploymentGroupName); err != nil {
			return filter, err
		}
	}
	if in.CreateTimeRange != nil {
		filter.From, filter.To = in.CreateTimeRange.Start.Time, in.CreateTimeRange.End.Time
		if !filter.To.IsZero() && filter.From.After(filter.To) {
			return filter, failure(awsapi.InvalidTimeRangeException, "createTimeRange starts after it ends; swap start and end.")
		}
	}
	for _, status := range in.IncludeOnlyStatuses {
		if !slices.Contains(status.Values(), status) {
			return filter, notOneOf(awsapi.InvalidDeploymentStatusException, "includeOnlyStatuses", status, status.Values())
		}
		filter.Statuses = append(filter.Statuses, deploy.Status(status))
	}
	return filter, nil
}

// deleteResourcesByExternalID has nothing to delete: external ids come with deployments of CloudFormation.
func (a *API) deleteResourcesByExternalID(
	context.Context, *awsapi.DeleteResourcesByExternalIdInput,
) (*awsapi.DeleteResourcesByExternalIdOutput, error) {
	return nil, nil
}
