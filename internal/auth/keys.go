package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"time"

	"grapnel/internal/audit"
	"grapnel/internal/sigv4"
	"grapnel/internal/store"
)

// MaxKeys is how many access keys a user may have: two, so that one can be replaced while the other is in use.
const MaxKeys = 2

// permanent begins the ids of access keys that need no session token, as on AWS.
const permanent = "AKIA"

// ErrTooManyKeys says that a user has MaxKeys access keys.
var ErrTooManyKeys = errors.New("too many access keys")

// CreateUser stores a new user with an id of its own; store.ErrExists when the name is taken. The path starts and ends
// with "/".
func (a *Auth) CreateUser(ctx context.Context, path, name string) (store.User, error) {
	u := store.User{Name: name, Path: path, ID: randomID("AIDA", 17), CreatedAt: now()}
	return u, a.store.CreateUser(ctx, u)
}

// CreateAccessKey makes an active access key for a user and returns it with its secret, which nobody is shown again.
// ErrTooManyKeys; store.ErrNotFound without the user.
func (a *Auth) CreateAccessKey(ctx context.Context, user string) (store.AccessKey, string, error) {
	c := newCredentials("AKIA")
	row := a.row(user, c)
	audit.Note(ctx, "iam:CreateAccessKey", row.ID)
	err := a.store.CreateAccessKey(ctx, row, MaxKeys)
	if _, full := errors.AsType[*store.QuotaError](err); full {
		return store.AccessKey{}, "", ErrTooManyKeys
	}
	return row, c.SecretAccessKey, err
}

// AccessKeys returns the keys of a user in the order of their ids.
func (a *Auth) AccessKeys(ctx context.Context, user string) ([]store.AccessKey, error) {
	return a.store.AccessKeys(ctx, user)
}

// SetAccessKeyActive switches a key on or off; store.ErrNotFound when the user has no such key.
func (a *Auth) SetAccessKeyActive(ctx context.Context, user, id string, active bool) error {
	audit.Note(ctx, "iam:UpdateAccessKey", id)
	return a.store.SetAccessKeyActive(ctx, user, id, active)
}

// DeleteAccessKey removes a key; store.ErrNotFound when the user has no such key.
func (a *Auth) DeleteAccessKey(ctx context.Context, user, id string) error {
	audit.Note(ctx, "iam:DeleteAccessKey", id)
	return a.store.DeleteAccessKey(ctx, user, id)
}

// row returns an active key with its secret sealed.
func (a *Auth) row(user string, c sigv4.Credentials) store.AccessKey {
	return store.AccessKey{
		ID: c.AccessKeyID, User: user, Active: true, CreatedAt: now(),
		Secret: a.key.Seal(sealName(c.AccessKeyID, user), []byte(c.SecretAccessKey)),
	}
}

func (a *Auth) open(row store.AccessKey) (string, error) {
	secret, err := a.key.Open(sealName(row.ID, row.User), row.Secret)
	return string(secret), err
}

// sealName binds a secret to its key and to the key's owner: somebody who can write to the database, but has not the key
// file, cannot make their own key the root's.
func sealName(id, user string) string { return "access-key/" + id + "/" + user }

// newCredentials makes an access key in the form of AWS's: ids of at least 16 characters are what clients insist on
// (service.md 9).
func newCredentials(prefix string) sigv4.Credentials {
	var secret [30]byte
	rand.Read(secret[:]) //nolint:errcheck // never fails since Go 1.24
	return sigv4.Credentials{
		AccessKeyID:     randomID(prefix, 16),
		SecretAccessKey: base64.StdEncoding.EncodeToString(secret[:]),
	}
}

// randomID returns the prefix and n characters of A-Z2-7, five bits each.
func randomID(prefix string, n int) string { return prefix + rand.Text()[:n] }

// now has the resolution of the store.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
