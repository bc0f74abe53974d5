// Package api serves the operations of the CodeDeploy API (service.md 2) over a store: a file per resource.
//
// An operation checks its input in the order of service.md 2.1 (each field alone, then what it names, then how fields go
// together, then conflicts), and stores settings or facts. It never decides what a deployment does next: after storing a
// fact it wakes the engine. Who may call what has been settled before a request arrives here.
package api

import (
	"context"
	"fmt"
	"sync"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
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
}

// Options are the settings of an API. All but Deregistered are needed.
type Options struct {
	Store     Store
	Region    string                  // in ARNs
	AccountID string                  // in ARNs, twelve digits
	Sealer    Sealer                  // of GitHub tokens
	TokenKey  []byte                  // signs page tokens; the same on every server that shares the store
	Wake      func(deployment string) // tells the engine that something about the deployment has changed
	// Deregistered tells the host protocol that a host's polls are to end; nil means that nobody is told.
	Deregistered func(host string)
}

// API holds what the operations share.
type API struct {
	store        Store
	arns         arns
	pages        pages
	sealer       Sealer
	wake         func(string)
	deregistered func(string)
	predefined   map[string]awsapi.DeploymentConfigInfo

	// settings serialises operations that read a setting, change a part of it and store it: two at once would undo one
	// another's part.
	settings sync.Mutex
}

// New returns the operations over a store.
func New(opts Options) *API {
	a := &API{
		store:        opts.Store,
		arns:         arns{region: opts.Region, account: opts.AccountID},
		pages:        pages{key: opts.TokenKey},
		sealer:       opts.Sealer,
		wake:         opts.Wake,
		deregistered: opts.Deregistered,
		predefined:   map[string]awsapi.DeploymentConfigInfo{},
	}
	if a.deregistered == nil {
		a.deregistered = func(string) {}
	}
	for _, c := range planner.Predefined() {
		a.predefined[*c.DeploymentConfigName] = c
	}
	return a
}

// Register makes every operation of the API known to the mux.
func (a *API) Register(mux *awsjson.Mux) {
	handle(mux, "CreateApplication", a.createApplication)
	handle(mux, "GetApplication", a.getApplication)
	handle(mux, "BatchGetApplications", a.batchGetApplications)
	handle(mux, "ListApplications", a.listApplications)
	handle(mux, "UpdateApplication", a.updateApplication)
	handle(mux, "DeleteApplication", a.deleteApplication)

	handle(mux, "RegisterApplicationRevision", a.registerApplicationRevision)
	handle(mux, "GetApplicationRevision", a.getApplicationRevision)
	handle(mux, "BatchGetApplicationRevisions", a.batchGetApplicationRevisions)
	handle(mux, "ListApplicationRevisions", a.listApplicationRevisions)

	handle(mux, "CreateDeploymentConfig", a.createDeploymentConfig)
	handle(mux, "GetDeploymentConfig", a.getDeploymentConfig)
	handle(mux, "ListDeploymentConfigs", a.listDeploymentConfigs)
	handle(mux, "DeleteDeploymentConfig", a.deleteDeploymentConfig)

	handle(mux, "CreateDeploymentGroup", a.createDeploymentGroup)
	handle(mux, "GetDeploymentGroup", a.getDeploymentGroup)
	handle(mux, "BatchGetDeploymentGroups", a.batchGetDeploymentGroups)
	handle(mux, "ListDeploymentGroups", a.listDeploymentGroups)
	handle(mux, "UpdateDeploymentGroup", a.updateDeploymentGroup)
	handle(mux, "DeleteDeploymentGroup", a.deleteDeploymentGroup)

	handle(mux, "CreateDeployment", a.createDeployment)
	handle(mux, "GetDeployment", a.getDeployment)
	handle(mux, "BatchGetDeployments", a.batchGetDeployments)
	handle(mux, "ListDeployments", a.listDeployments)
	handle(mux, "StopDeployment", a.stopDeployment)
	handle(mux, "ContinueDeployment", a.continueDeployment)
	handle(mux, "SkipWaitTimeForInstanceTermination", a.skipWaitTimeForInstanceTermination)
	handle(mux, "PutLifecycleEventHookExecutionStatus", a.putLifecycleEventHookExecutionStatus)
	handle(mux, "DeleteResourcesByExternalId", a.deleteResourcesByExternalID)

	handle(mux, "ListDeploymentTargets", a.listDeploymentTargets)
	handle(mux, "GetDeploymentTarget", a.getDeploymentTarget)
	handle(mux, "BatchGetDeploymentTargets", a.batchGetDeploymentTargets)
	handle(mux, "ListDeploymentInstances", a.listDeploymentInstances)
	handle(mux, "GetDeploymentInstance", a.getDeploymentInstance)
	handle(mux, "BatchGetDeploymentInstances", a.batchGetDeploymentInstances)

	handle(mux, "RegisterOnPremisesInstance", a.registerOnPremisesInstance)
	handle(mux, "DeregisterOnPremisesInstance", a.deregisterOnPremisesInstance)
	handle(mux, "GetOnPremisesInstance", a.getOnPremisesInstance)
	handle(mux, "BatchGetOnPremisesInstances", a.batchGetOnPremisesInstances)
	handle(mux, "ListOnPremisesInstances", a.listOnPremisesInstances)
	handle(mux, "AddTagsToOnPremisesInstances", a.addTagsToOnPremisesInstances)
	handle(mux, "RemoveTagsFromOnPremisesInstances", a.removeTagsFromOnPremisesInstances)

	handle(mux, "TagResource", a.tagResource)
	handle(mux, "UntagResource", a.untagResource)
	handle(mux, "ListTagsForResource", a.listTagsForResource)

	handle(mux, "ListGitHubAccountTokenNames", a.listGitHubAccountTokenNames)
	handle(mux, "DeleteGitHubAccountToken", a.deleteGitHubAccountToken)
}

func handle[In, Out any](mux *awsjson.Mux, operation string, fn func(context.Context, *In) (*Out, error)) {
	awsjson.Handle(mux, awsapi.Target(operation), fn)
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
