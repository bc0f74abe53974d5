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
	Nobody Kind = iota // the zero Identity: the request was not verified
	Root               // the operator's key, made at the first start
	User               // made through IAM
	Host               // a user whose ARN is the iamUserArn of a registered host
)

// Identity is who made a request.
type Identity struct {
	Kind Kind
	ARN  string
	ID   string // the user's unique id; the account id for root
	User string // the user's name; "" for root
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

func (a *Auth) root() Identity {
	return Identity{Kind: Root, ARN: "arn:aws:iam::" + a.account + ":root", ID: a.account}
}

// identify tells hosts from other users. It asks the store each time: a host loses its rights with its registration, and
// no other part of the program has to remember to say so here.
func (a *Auth) identify(ctx context.Context, u store.User) (Identity, error) {
	id := Identity{Kind: User, ARN: a.UserARN(u), ID: u.ID, User: u.Name}
	host, err := a.store.HostByARN(ctx, id.ARN)
	if errors.Is(err, store.ErrNotFound) {
		return id, nil
	}
	if err != nil {
		return Identity{}, fmt.Errorf("find the host registered with %s: %w", id.ARN, err)
	}
	if awsapi.Value(host.Info.IamUserArn) == id.ARN {
		id.Kind, id.Host = Host, awsapi.Value(host.Info.InstanceName)
	}
	return id, nil
}
