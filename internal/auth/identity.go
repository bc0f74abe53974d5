package auth

import (
	"context"
	"errors"
	"fmt"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// Kind says what an identity is, which decides about its rights.
type Kind int

// The kinds of identities.
const (
	Nobody  Kind = iota // the zero Identity: the request was not verified
	Root                // the operator's key, made at the first start
	User                // made through IAM
	Session             // somebody who has taken on a role
	Host                // a user or a session whose ARN is that of a registered host
)

// Identity is who made a request.
type Identity struct {
	Kind Kind
	ARN  string
	ID   string // the user's unique id; that of the role, a colon and the session's name; the account id for root
	User string // the user's name; "" for root and sessions
	Role string // the name of the role that a session has taken on, else ""
	Host string // the registered host's name; "" unless Kind is Host
	Key  string // the id of the access key that signed the request; set by whoever verified it
}

type contextKey struct{}

// NewContext returns a context that carries the identity which a request was verified to come from.
func NewContext(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// FromContext returns the identity that NewContext stored, and Nobody without one.
func FromContext(ctx context.Context) Identity {
	id, _ := ctx.Value(contextKey{}).(Identity)
	return id
}

// UserARN returns the ARN of a user: `arn:aws:iam::ACCOUNT:user` followed by its path and name.
func (a *Auth) UserARN(u store.User) string {
	return "arn:aws:iam::" + a.account + ":user" + u.Path + u.Name
}

// RoleARN returns the ARN of a role: `arn:aws:iam::ACCOUNT:role` followed by its path and name.
func (a *Auth) RoleARN(r store.Role) string {
	return "arn:aws:iam::" + a.account + ":role" + r.Path + r.Name
}

// sessionARN is the ARN of a session, which does not tell the path of its role.
func (a *Auth) sessionARN(role, session string) string {
	return "arn:aws:sts::" + a.account + ":assumed-role/" + role + "/" + session
}

func (a *Auth) root() Identity {
	return Identity{Kind: Root, ARN: "arn:aws:iam::" + a.account + ":root", ID: a.account}
}

// orHost returns the identity as that of the host which is registered with its ARN, if there is one.
func (a *Auth) orHost(ctx context.Context, id Identity) (Identity, error) {
	host, err := a.store.HostByARN(ctx, id.ARN)
	if errors.Is(err, store.ErrNotFound) {
		return id, nil
	}
	if err != nil {
		return Identity{}, fmt.Errorf("find the host registered with %s: %w", id.ARN, err)
	}
	id.Kind, id.Host = Host, awsapi.Value(host.Info.InstanceName)
	return id, nil
}
