package cli

import (
	"context"
	"fmt"
	"slices"

	"grapnel/internal/awsapi"
)

// maxTargets is how many targets one call may ask for (service.md 2.6).
const maxTargets = 25

// targetIDs returns the ids of a deployment's targets.
func (c *client) targetIDs(ctx context.Context, deployment string) (ids []string, err error) {
	in := awsapi.ListDeploymentTargetsInput{DeploymentId: &deployment}
	for {
		var page awsapi.ListDeploymentTargetsOutput
		if err := c.call(ctx, "ListDeploymentTargets", &in, &page); err != nil {
			return nil, err
		}
		ids = append(ids, page.TargetIds...)
		if in.NextToken = page.NextToken; awsapi.Value(page.NextToken) == "" {
			return ids, nil
		}
	}
}

// targets returns targets of a deployment as they stand.
func (c *client) targets(ctx context.Context, deployment string, ids []string) (targets []*awsapi.InstanceTarget, err error) {
	for some := range slices.Chunk(ids, maxTargets) {
		var got awsapi.BatchGetDeploymentTargetsOutput
		in := awsapi.BatchGetDeploymentTargetsInput{DeploymentId: &deployment, TargetIds: some}
		if err := c.call(ctx, "BatchGetDeploymentTargets", &in, &got); err != nil {
			return nil, fmt.Errorf("targets of deployment %s: %w", deployment, err)
		}
		for _, t := range got.DeploymentTargets {
			if t.InstanceTarget != nil {
				targets = append(targets, t.InstanceTarget)
			}
		}
	}
	return targets, nil
}
