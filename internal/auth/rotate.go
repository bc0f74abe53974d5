package auth

import (
	"context"

	"grapnel/internal/store"
)

// NewHostIdentity returns the user that a host signs as, and an access key of it with its secret. Nothing is stored.
func (a *Auth) NewHostIdentity(name string) (u store.User, k store.AccessKey, secret string) {
	u = store.User{Name: name, Path: "/AWS/CodeDeploy/", ID: randomID("AIDA", 17), CreatedAt: now()}
	c := newCredentials(permanent)
	return u, a.row(name, c), c.SecretAccessKey
}

// RotateAccessKey gives a user a new access key besides the one to keep, and returns it with its secret. Any other one goes:
// it was made by an earlier call whose reply was lost. store.ErrNotFound when the user has not the key to keep.
func (a *Auth) RotateAccessKey(ctx context.Context, user, keep string) (store.AccessKey, string, error) {
	c := newCredentials(permanent)
	row := a.row(user, c)
	return row, c.SecretAccessKey, a.store.ReplaceAccessKeys(ctx, user, keep, row)
}

// RetireAccessKeys deletes every access key of a user but the one to keep; store.ErrNotFound without that one.
func (a *Auth) RetireAccessKeys(ctx context.Context, user, keep string) error {
	return a.store.ReplaceAccessKeys(ctx, user, keep)
}
