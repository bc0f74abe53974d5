// Package api serves the operations of the CodeDeploy API (service.md 2) over a store: a file per resource.
//
// An operation checks its input in the order of service.md 2.1 (each field alone, then what it names, then how fields go
// together, then conflicts), and stores settings or facts. It never decides what a deployment does next: after storing a
// fact it wakes the engine. Before an operation runs, access.go says what its caller has to be allowed.
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
		deregistered: opts.Deregistered,
		tryTrigger:   opts.TryTrigger,
		predefined:   map[string]awsapi.DeploymentConfigInfo{},
		limits:       opts.Limits.complete(),
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

// Register makes every operation of the API known to the mux.
func (a *API) Register(mux *awsjson.Mux) {
	handle(a, mux, "CreateApplication", a.createApplication)
	handle(a, mux, "GetApplication", a.getApplication)
	handle(a, mux, "BatchGetApplications", a.batchGetApplications)
	handle(a, mux, "ListApplications", a.listApplications)
	handle(a, mux, "UpdateApplication", a.updateApplication)
	handle(a, mux, "DeleteApplication", a.deleteApplication)

	handle(a, mux, "RegisterApplicationRevision", a.registerApplicationRevision)
	handle(a, mux, "GetApplicationRevision", a.getApplicationRevision)
	handle(a, mux, "BatchGetApplicationRevisions", a.batchGetApplicationRevisions)
	handle(a, mux, "ListApplicationRevisions", a.listApplicationRevisions)

	handle(a, mux, "CreateDeploymentConfig", a.createDeploymentConfig)
	handle(a, mux, "GetDeploymentConfig", a.getDeploymentConfig)
	handle(a, mux, "ListDeploymentConfigs", a.listDeploymentConfigs)
	handle(a, mux, "DeleteDeploymentConfig", a.deleteDeploymentConfig)

	handle(a, mux, "CreateDeploymentGroup", a.createDeploymentGroup)
	handle(a, mux, "GetDeploymentGroup", a.getDeploymentGroup)
	handle(a, mux, "BatchGetDeploymentGroups", a.batchGetDeploymentGroups)
	handle(a, mux, "ListDeploymentGroups", a.listDeploymentGroups)
	handle(a, mux, "UpdateDeploymentGroup", a.updateDeploymentGroup)
	handle(a, mux, "DeleteDeploymentGroup", a.deleteDeploymentGroup)

	handle(a, mux, "CreateDeployment", a.createDeployment)
	handle(a, mux, "GetDeployment", a.getDeployment)
	handle(a, mux, "BatchGetDeployments", a.batchGetDeployments)
	handle(a, mux, "ListDeployments", a.listDeployments)
	handle(a, mux, "StopDeployment", a.stopDeployment)
	handle(a, mux, "ContinueDeployment", a.continueDeployment)
	handle(a, mux, "SkipWaitTimeForInstanceTermination", a.skipWaitTimeForInstanceTermination)
	handle(a, mux, "PutLifecycleEventHookExecutionStatus", a.putLifecycleEventHookExecutionStatus)
	handle(a, mux, "DeleteResourcesByExternalId", a.deleteResourcesByExternalID)

	handle(a, mux, "ListDeploymentTargets", a.listDeploymentTargets)
	handle(a, mux, "GetDeploymentTarget", a.getDeploymentTarget)
	handle(a, mux, "BatchGetDeploymentTargets", a.batchGetDeploymentTargets)
	handle(a, mux, "ListDeploymentInstances", a.listDeploymentInstances)
	handle(a, mux, "GetDeploymentInstance", a.getDeploymentInstance)
	handle(a, mux, "BatchGetDeploymentInstances", a.batchGetDeploymentInstances)

	handle(a, mux, "RegisterOnPremisesInstance", a.registerOnPremisesInstance)
	handle(a, mux, "DeregisterOnPremisesInstance", a.deregisterOnPremisesInstance)
	handle(a, mux, "GetOnPremisesInstance", a.getOnPremisesInstance)
	handle(a, mux, "BatchGetOnPremisesInstances", a.batchGetOnPremisesInstances)
	handle(a, mux, "ListOnPremisesInstances", a.listOnPremisesInstances)
	handle(a, mux, "AddTagsToOnPremisesInstances", a.addTagsToOnPremisesInstances)
	handle(a, mux, "RemoveTagsFromOnPremisesInstances", a.removeTagsFromOnPremisesInstances)

	handle(a, mux, "TagResource", a.tagResource)
	handle(a, mux, "UntagResource", a.untagResource)
	handle(a, mux, "ListTagsForResource", a.listTagsForResource)

	handle(a, mux, "ListGitHubAccountTokenNames", a.listGitHubAccountTokenNames)
	handle(a, mux, "DeleteGitHubAccountToken", a.deleteGitHubAccountToken)
}

// handle registers an operation, which runs when its caller has been allowed what access.go says.
func handle[In, Out any](a *API, mux *awsjson.Mux, operation string, fn func(context.Context, *In) (*Out, error)) {
	awsjson.Handle(mux, awsapi.Target(operation), func(ctx context.Context, in *In) (*Out, error) {
		caller := access{ctx: ctx, api: a, operation: operation}
		if caller.judge(in); caller.err != nil {
			return nil, caller.err
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
