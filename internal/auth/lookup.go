package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"grapnel/internal/sigv4"
	"grapnel/internal/store"
)

// credential is an access key, or a session, that was found good.
type credential struct {
	id      Identity
	secret  string
	expires time.Time // zero for an access key
}

// Lookup returns whose credentials these are, and their secret. token is "" for an access key. What is not good is a
// *sigv4.Error with the problem UnknownKey, BadToken or ExpiredToken.
func (a *Auth) Lookup(ctx context.Context, accessKeyID, token string) (Identity, string, error) {
	c, err := a.credentials.find(accessKeyID+"/"+token, a.store.IdentityVersion, func() (credential, error) {
		if token != "" {
			return a.readSession(ctx, accessKeyID, token)
		}
		return a.readKey(ctx, accessKeyID)
	})
	if err != nil {
		return Identity{}, "", err
	}
	if !c.expires.IsZero() && !time.Now().Before(c.expires) {
		return Identity{}, "", sigv4.Errorf(sigv4.ExpiredToken, "The security token included in the request is expired, since %s. "+
			"Take the role on again: aws sts assume-role.", c.expires.Format(time.RFC3339))
	}
	return c.id, c.secret, nil
}

// readKey reads an active access key. A key without its user is as good as none: a user is deleted after its keys, so then
// the key was deleted between the two reads.
func (a *Auth) readKey(ctx context.Context, accessKeyID string) (credential, error) {
	c, err := a.readOwnedKey(ctx, accessKeyID)
	switch {
	case errors.Is(err, store.ErrNotFound) && strings.HasPrefix(accessKeyID, temporary):
		return credential{}, sigv4.Errorf(sigv4.UnknownKey, "The security token included in the request is invalid: %s is the key of a "+
			"session, which needs its session token. Set AWS_SESSION_TOKEN too.", accessKeyID)
	case errors.Is(err, store.ErrNotFound):
		return credential{}, sigv4.Errorf(sigv4.UnknownKey, "The security token included in the request is invalid: there is no access "+
			"key %q. Check the access key id, and that the request goes to the server that made it.", accessKeyID)
	}
	if err != nil {
		return credential{}, fmt.Errorf("load access key %q: %w", accessKeyID, err)
	}
	return c, nil
}

func (a *Auth) readOwnedKey(ctx context.Context, accessKeyID string) (credential, error) {
	row, err := a.store.AccessKey(ctx, accessKeyID)
	if err != nil {
		return credential{}, err
	}
	if !row.Active {
		return credential{}, sigv4.Errorf(sigv4.UnknownKey, "The security token included in the request is invalid: the access key %s "+
			"is inactive. Activate it, or use another.", row.ID)
	}
	secret, err := a.open(row)
	if err != nil {
		return credential{}, err
	}
	if row.User == "" {
		return credential{id: a.root(), secret: secret}, nil
	}
	u, err := a.store.User(ctx, row.User)
	if err != nil {
		return credential{}, err
	}
	id, err := a.orHost(ctx, Identity{Kind: User, ARN: a.UserARN(u), ID: u.ID, User: u.Name})
	return credential{id: id, secret: secret}, err
}
