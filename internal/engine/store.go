package engine

import (
	"context"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// Store is what the engine needs of the store.
type Store interface {
	store.Rounds
	Settings
}

// Settings is what a rollback is planned from, as an operator's deployment would be.
type Settings interface {
	Deployment(ctx context.Context, id string) (store.Deployment, error)
	Group(ctx context.Context, application, name string) (store.Group, error)
	Config(ctx context.Context, name string) (awsapi.DeploymentConfigInfo, error)
	Hosts(ctx context.Context) ([]store.Host, error)
	GroupHealth(ctx context.Context, group string) ([]store.TargetHealth, error)
}
