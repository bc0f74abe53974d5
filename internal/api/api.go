// Package api serves the operations of the CodeDeploy API (service.md 2) over a store: a file per resource.
//
// An operation checks its input in the order of service.md 2.1 (each field alone, then what it names, then how fields go
// together, then conflicts), and stores settings or facts. It never decides what a deployment does next: after storing a
// fact it wakes the engine. Before an operation runs, its caller is asked about: Register says for what, access.go how.
package api

import (
	"context"
	"fmt"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// Store is what the operations need of a store.
type Store interface {
	store.Applications
	store.Groups
	store.Configs
	store.Revisions
	store.Hosts
	store.Deployments
	store.GitHubTokens
	// Complete is that of store.Commands: a hook's report ends a Work as a host's does.
	Complete(ctx context.Context, work string, status deploy.WorkStatus, d deploy.Diagnostics, at time.Time) error
}

// Options are the settings of an API. All but Deregistered, TryTrigger and Limits are needed.
type Options struct {
	Store     Store
	Region    string                  // in ARNs
	AccountID string                  // in ARNs, twelve digits
	Sealer    Sealer                  // of GitHub tokens
	TokenKey  []byte                  // signs page tokens; the same on every server that shares the store
	Wake      func(deployment string) // tells the engine that something about the deployment has changed
	// Authorize returns nil if the caller, who is in the context, may perform an action such as "codedeploy:GetDeployment"
	// on a resource, an ARN. Its error is what the caller is told.
	Authorize func(ctx context.Context, action, resource string) error
	// AllowHost returns nil if the caller may make a host of the bearer of an ARN; nil means that everybody may.
	AllowHost func(ctx context.Context, arn string) error
	// Deregistered tells the host protocol that a host's polls are to end; nil means that nobody is told.
	Deregistered func(host string)
	// TryTrigger sends the topic of a new trigger a first message, and says why it does not take it; nil means that none is sent.
	TryTrigger func(ctx context.Context, group awsapi.DeploymentGroupInfo, trigger awsapi.TriggerConfig) error
	// Limits are those that the operations check; the store has been given the Quotas among them.
	Limits Limits
}

// API holds what the operations share.
type API struct {
	store        Store
	arns         arns
	pages        pages
	sealer       Sealer
	wake         func(string)
	authorize    func(ctx context.Context, action, resource string) error
	allowHost    func(ctx context.Context, arn string) error
	deregistered func(string)
	tryTrigger   func(ctx context.Context, group awsapi.DeploymentGroupInfo, trigger awsapi.TriggerConfig) error
	predefined   map[string]awsapi.DeploymentConfigInfo
	limits       Limits
}

// New returns the operations over a store.
func New(opts Options) *API {
	a := &API{
		store:        opts.Store,
		arns:         arns{region: opts.Region, account: opts.AccountID},
		pages:        pages{key: opts.TokenKey},
		sealer:       opts.Sealer,
		wake:         opts.Wake,
		authorize:    opts.Authorize,
		allowHost:    opts.AllowHost,
		deregistered: opts.Deregistered,
		tryTrigger:   opts.TryTrigger,
		predefined:   map[string]awsapi.DeploymentConfigInfo{},
		limits:       opts.Limits.complete(),
	}
	if a.allowHost == nil {
		a.allowHost = func(context.Context, string) error { return nil }
	}
	if a.deregistered == nil {
		a.deregistered = func(string) {}
	}
	if a.tryTrigger == nil {
		a.tryTrigger = func(context.Context, awsapi.DeploymentGroupInfo, awsapi.TriggerConfig) error { return nil }
	}
	for _, c := range planner.Predefined() {
		a.predefined[*c.DeploymentConfigName] = c
	}
	return a
}

// Register makes every operation of the API known to the mux: what serves it, and what its caller needs (service.md 13).
// Access is asked about before the input is validated (service.md 2.1), so names may be missing or malformed there: a
// malformed one is a part of the ARN like any other, a missing one leaves a wildcard in its place.
func (a *API) Register(mux *awsjson.Mux) {
	handle(a, mux, "CreateApplication", a.createApplication,
		func(c *access, in *awsapi.CreateApplicationInput) { c.application(in.ApplicationName) })
	handle(a, mux, "GetApplication", a.getApplication,
		func(c *access, in *awsapi.GetApplicationInput) { c.application(in.ApplicationName) })
	handle(a, mux, "BatchGetApplications", a.batchGetApplications,
		func(c *access, _ *awsapi.BatchGetApplicationsInput) { c.application(nil) })
	handle(a, mux, "ListApplications", a.listApplications,
		func(c *access, _ *awsapi.ListApplicationsInput) { c.application(nil) })
	handle(a, mux, "UpdateApplication", a.updateApplication,
		func(c *access, in *awsapi.UpdateApplicationInput) {
			c.application(in.ApplicationName)
			if awsapi.Value(in.NewApplicationName) != "" {
				c.application(in.NewApplicationName)
			}
		})
	handle(a, mux, "DeleteApplication", a.deleteApplication,
		func(c *access, in *awsapi.DeleteApplicationInput) { c.application(in.ApplicationName) })

	handle(a, mux, "RegisterApplicationRevision", a.registerApplicationRevision,
		func(c *access, in *awsapi.RegisterApplicationRevisionInput) { c.application(in.ApplicationName) })
	handle(a, mux, "GetApplicationRevision", a.getApplicationRevision,
		func(c *access, in *awsapi.GetApplicationRevisionInput) { c.application(in.ApplicationName) })
	handle(a, mux, "BatchGetApplicationRevisions", a.batchGetApplicationRevisions,
		func(c *access, in *awsapi.BatchGetApplicationRevisionsInput) { c.application(in.ApplicationName) })
	handle(a, mux, "ListApplicationRevisions", a.listApplicationRevisions,
		func(c *access, _ *awsapi.ListApplicationRevisionsInput) { c.application(nil) })

	handle(a, mux, "CreateDeploymentConfig", a.createDeploymentConfig,
		func(c *access, in *awsapi.CreateDeploymentConfigInput) { c.config(in.DeploymentConfigName) })
	handle(a, mux, "GetDeploymentConfig", a.getDeploymentConfig,
		func(c *access, in *awsapi.GetDeploymentConfigInput) { c.config(in.DeploymentConfigName) })
	handle(a, mux, "ListDeploymentConfigs", a.listDeploymentConfigs,
		func(c *access, _ *awsapi.ListDeploymentConfigsInput) { c.config(nil) })
	handle(a, mux, "DeleteDeploymentConfig", a.deleteDeploymentConfig,
		func(c *access, in *awsapi.DeleteDeploymentConfigInput) { c.config(in.DeploymentConfigName) })

	handle(a, mux, "CreateDeploymentGroup", a.createDeploymentGroup,
		func(c *access, in *awsapi.CreateDeploymentGroupInput) {
			c.group(in.ApplicationName, in.DeploymentGroupName)
		})
	handle(a, mux, "GetDeploymentGroup", a.getDeploymentGroup,
		func(c *access, in *awsapi.GetDeploymentGroupInput) {
			c.group(in.ApplicationName, in.DeploymentGroupName)
		})
	handle(a, mux, "BatchGetDeploymentGroups", a.batchGetDeploymentGroups,
		func(c *access, in *awsapi.BatchGetDeploymentGroupsInput) {
			for _, name := range entries(in.DeploymentGroupNames, c.api.limits.BatchApplications) {
				c.group(in.ApplicationName, &name)
			}
		})
	handle(a, mux, "ListDeploymentGroups", a.listDeploymentGroups,
		func(c *access, in *awsapi.ListDeploymentGroupsInput) { c.group(in.ApplicationName, nil) })
	handle(a, mux, "UpdateDeploymentGroup", a.updateDeploymentGroup,
		func(c *access, in *awsapi.UpdateDeploymentGroupInput) {
			c.group(in.ApplicationName, in.CurrentDeploymentGroupName)
			if awsapi.Value(in.NewDeploymentGroupName) != "" {
				c.group(in.ApplicationName, in.NewDeploymentGroupName)
			}
		})
	handle(a, mux, "DeleteDeploymentGroup", a.deleteDeploymentGroup,
		func(c *access, in *awsapi.DeleteDeploymentGroupInput) {
			c.group(in.ApplicationName, in.DeploymentGroupName)
		})

	handle(a, mux, "CreateDeployment", a.createDeployment, (*access).createDeployment)
	handle(a, mux, "GetDeployment", a.getDeployment,
		func(c *access, in *awsapi.GetDeploymentInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "BatchGetDeployments", a.batchGetDeployments,
		func(c *access, in *awsapi.BatchGetDeploymentsInput) {
			for _, id := range entries(in.DeploymentIds, c.api.limits.BatchDeployments) {
				c.deployment(&id)
			}
		})
	handle(a, mux, "ListDeployments", a.listDeployments,
		func(c *access, in *awsapi.ListDeploymentsInput) { c.group(in.ApplicationName, in.DeploymentGroupName) })
	handle(a, mux, "StopDeployment", a.stopDeployment,
		func(c *access, in *awsapi.StopDeploymentInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "ContinueDeployment", a.continueDeployment,
		func(c *access, in *awsapi.ContinueDeploymentInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "SkipWaitTimeForInstanceTermination", a.skipWaitTimeForInstanceTermination,
		func(c *access, _ *awsapi.SkipWaitTimeForInstanceTerminationInput) { c.instance(nil) })
	handle(a, mux, "PutLifecycleEventHookExecutionStatus", a.putLifecycleEventHookExecutionStatus,
		func(c *access, in *awsapi.PutLifecycleEventHookExecutionStatusInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "DeleteResourcesByExternalId", a.deleteResourcesByExternalID,
		func(c *access, _ *awsapi.DeleteResourcesByExternalIdInput) { c.everything() })

	handle(a, mux, "ListDeploymentTargets", a.listDeploymentTargets,
		func(c *access, in *awsapi.ListDeploymentTargetsInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "GetDeploymentTarget", a.getDeploymentTarget,
		func(c *access, in *awsapi.GetDeploymentTargetInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "BatchGetDeploymentTargets", a.batchGetDeploymentTargets,
		func(c *access, in *awsapi.BatchGetDeploymentTargetsInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "ListDeploymentInstances", a.listDeploymentInstances,
		func(c *access, in *awsapi.ListDeploymentInstancesInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "GetDeploymentInstance", a.getDeploymentInstance,
		func(c *access, in *awsapi.GetDeploymentInstanceInput) { c.deployment(in.DeploymentId) })
	handle(a, mux, "BatchGetDeploymentInstances", a.batchGetDeploymentInstances,
		func(c *access, in *awsapi.BatchGetDeploymentInstancesInput) { c.deployment(in.DeploymentId) })

	handle(a, mux, "RegisterOnPremisesInstance", a.registerOnPremisesInstance,
		func(c *access, in *awsapi.RegisterOnPremisesInstanceInput) {
			c.instance(in.InstanceName)
			c.host(in.IamUserArn)
			c.host(in.IamSessionArn)
		})
	handle(a, mux, "DeregisterOnPremisesInstance", a.deregisterOnPremisesInstance,
		func(c *access, in *awsapi.DeregisterOnPremisesInstanceInput) { c.instance(in.InstanceName) })
	handle(a, mux, "GetOnPremisesInstance", a.getOnPremisesInstance,
		func(c *access, in *awsapi.GetOnPremisesInstanceInput) { c.instance(in.InstanceName) })
	handle(a, mux, "BatchGetOnPremisesInstances", a.batchGetOnPremisesInstances,
		func(c *access, _ *awsapi.BatchGetOnPremisesInstancesInput) { c.everything() })
	handle(a, mux, "ListOnPremisesInstances", a.listOnPremisesInstances,
		func(c *access, _ *awsapi.ListOnPremisesInstancesInput) { c.everything() })
	handle(a, mux, "AddTagsToOnPremisesInstances", a.addTagsToOnPremisesInstances,
		func(c *access, in *awsapi.AddTagsToOnPremisesInstancesInput) { c.instances(in.InstanceNames) })
	handle(a, mux, "RemoveTagsFromOnPremisesInstances", a.removeTagsFromOnPremisesInstances,
		func(c *access, in *awsapi.RemoveTagsFromOnPremisesInstancesInput) { c.instances(in.InstanceNames) })

	handle(a, mux, "TagResource", a.tagResource,
		func(c *access, in *awsapi.TagResourceInput) { c.named(in.ResourceArn) })
	handle(a, mux, "UntagResource", a.untagResource,
		func(c *access, in *awsapi.UntagResourceInput) { c.named(in.ResourceArn) })
	handle(a, mux, "ListTagsForResource", a.listTagsForResource,
		func(c *access, in *awsapi.ListTagsForResourceInput) { c.named(in.ResourceArn) })

	handle(a, mux, "ListGitHubAccountTokenNames", a.listGitHubAccountTokenNames,
		func(c *access, _ *awsapi.ListGitHubAccountTokenNamesInput) { c.everything() })
	handle(a, mux, "DeleteGitHubAccountToken", a.deleteGitHubAccountToken,
		func(c *access, _ *awsapi.DeleteGitHubAccountTokenInput) { c.everything() })
}

// handle registers an operation, which runs when its caller is not refused what it needs.
func handle[In, Out any](
	a *API, mux *awsjson.Mux, operation string, fn func(context.Context, *In) (*Out, error), needs func(*access, *In),
) {
	awsjson.Handle(mux, awsapi.Target(operation), func(ctx context.Context, in *In) (*Out, error) {
		caller := access{ctx: ctx, api: a, operation: operation}
		if needs(&caller, in); caller.err != nil {
			return nil, caller.err
		}
		if caller.loaded != nil {
			ctx = context.WithValue(ctx, loadedKey{}, caller.loaded)
		}
		return fn(ctx, in)
	})
}

// eachKnown loads what the ids of a batch name and passes it on in their order; unknown ones are left out (service.md 2.6,
// 2.8).
func eachKnown[T any](ctx context.Context, what string, ids []string, load func(context.Context, string) (T, error), use func(T)) error {
	for _, id := range ids {
		v, err := load(ctx, id)
		switch {
		case isMissing(err):
		case err != nil:
			return fmt.Errorf("load %s %s: %w", what, id, err)
		default:
			use(v)
		}
	}
	return nil
}
