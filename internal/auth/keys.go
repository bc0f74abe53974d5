package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"grapnel/internal/sigv4"
	"grapnel/internal/store"
)

// MaxKeys is how many access keys a user may have: two, so that one can be replaced while the other is in use.
const MaxKeys = 2

// ErrTooManyKeys says that a user has MaxKeys access keys.
var ErrTooManyKeys = errors.New("too many access keys")

// Lookup returns whose access key it is, and its secret. A key that does not exist or is switched off is a *sigv4.Error
// with the problem UnknownKey.
func (a *Auth) Lookup(ctx context.Context, accessKeyID string) (Identity, string, error) {
	k, ok := a.cache.get(accessKeyID, time.Now())
	if !ok {
		var err error
		if k, err = a.load(ctx, accessKeyID); err != nil {
			return Identity{}, "", err
		}
	}
	if k.user == nil {
		return a.root(), k.secret, nil
	}
	id, err := a.identify(ctx, *k.user)
	if err != nil {
		return Identity{}, "", err
	}
	return id, k.secret, nil
}

// load reads an active key from the store and remembers it.
func (a *Auth) load(ctx context.Context, accessKeyID string) (knownKey, error) {
	began := a.cache.begin()
	k, err := a.read(ctx, accessKeyID)
	if errors.Is(err, store.ErrNotFound) {
		return knownKey{}, sigv4.Errorf(sigv4.UnknownKey, "There is no access key %q. Check the access key id, and that the "+
			"request goes to the server that made it.", accessKeyID)
	}
	if err != nil {
		return knownKey{}, fmt.Errorf("load access key %q: %w", accessKeyID, err)
	}
	a.cache.put(accessKeyID, k, began, time.Now())
	return k, nil
}

// read returns store.ErrNotFound without the key, and also without its user: a user is deleted after its keys, so then
// the key was deleted between the two reads.
func (a *Auth) read(ctx context.Context, accessKeyID string) (knownKey, error) {
	row, err := a.store.AccessKey(ctx, accessKeyID)
	if err != nil {
		return knownKey{}, err
	}
	if !row.Active {
		return knownKey{}, sigv4.Errorf(sigv4.UnknownKey, "The access key %s is inactive. Activate it, or use another.", row.ID)
	}
	k := knownKey{}
	if k.secret, err = a.open(row); err != nil || row.User == "" {
		return k, err
	}
	u, err := a.store.User(ctx, row.User)
	k.user = &u
	return k, err
}

// CreateUser stores a new user with an id of its own; store.ErrExists when the name is taken. The path starts and ends
// with "/".
func (a *Auth) CreateUser(ctx context.Context, path, name string) (store.User, error) {
	u := store.User{Name: name, Path: path, ID: randomID("AIDA", 17), CreatedAt: now()}
	return u, a.store.CreateUser(ctx, u)
}

// CreateAccessKey makes an active access key for a user and returns it with its secret, which nobody is shown again.
// ErrTooManyKeys; store.ErrNotFound without the user.
func (a *Auth) CreateAccessKey(ctx context.Context, user string) (store.AccessKey, string, error) {
	a.issuing.Lock()
	defer a.issuing.Unlock()
	keys, err := a.store.AccessKeys(ctx, user)
	if err != nil {
		return store.AccessKey{}, "", err
	}
	if len(keys) >= MaxKeys {
		return store.AccessKey{}, "", ErrTooManyKeys
	}
	c := newCredentials()
	row := a.row(user, c)
	return row, c.SecretAccessKey, a.store.CreateAccessKey(ctx, row)
}

// AccessKeys returns the keys of a user in the order of their ids.
func (a *Auth) AccessKeys(ctx context.Context, user string) ([]store.AccessKey, error) {
	return a.store.AccessKeys(ctx, user)
}

// SetAccessKeyActive switches a key on or off; store.ErrNotFound when the user has no such key.
func (a *Auth) SetAccessKeyActive(ctx context.Context, user, id string, active bool) error {
	defer a.cache.forget(id)
	return a.store.SetAccessKeyActive(ctx, user, id, active)
}

// DeleteAccessKey removes a key; store.ErrNotFound when the user has no such key.
func (a *Auth) DeleteAccessKey(ctx context.Context, user, id string) error {
	defer a.cache.forget(id)
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
func newCredentials() sigv4.Credentials {
	var secret [30]byte
	rand.Read(secret[:]) //nolint:errcheck // never fails since Go 1.24
	return sigv4.Credentials{
		AccessKeyID:     randomID("AKIA", 16),
		SecretAccessKey: base64.StdEncoding.EncodeToString(secret[:]),
	}
}

// randomID returns the prefix and n characters of A-Z2-7, five bits each.
func randomID(prefix string, n int) string { return prefix + rand.Text()[:n] }

// now has the resolution of the store.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
