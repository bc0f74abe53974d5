// Package iam is the IAM and STS endpoints: users, their access keys and inline policies, and who a caller is. It holds
// what `aws deploy register` and `deregister` call (service.md 9), and what it takes to look after the users they make.
//
// Differences from AWS: policies are stored but not evaluated (package auth says who may do what), users have no tags and
// no permissions boundary, their names are case sensitive, and the root key is the server's setting rather than IAM's.
package iam

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"grapnel/internal/auth"
	"grapnel/internal/awsquery"
	"grapnel/internal/store"
)

// Codes of errors as IAM defines them.
const (
	deleteConflict          = "DeleteConflict"
	entityAlreadyExists     = "EntityAlreadyExists"
	invalidInput            = "InvalidInput"
	limitExceeded           = "LimitExceeded"
	malformedPolicyDocument = "MalformedPolicyDocument"
	noSuchEntity            = "NoSuchEntity"
)

// Users is how users are read and deleted; package auth makes them.
type Users interface {
	User(ctx context.Context, name string) (store.User, error)
	Users(ctx context.Context, after string, limit int) ([]store.User, error)
	DeleteUser(ctx context.Context, name string) error
}

// Policies keeps the inline policies of users.
type Policies interface {
	PutPolicy(ctx context.Context, user, name, document string) error
	Policy(ctx context.Context, user, name string) (string, error)
	Policies(ctx context.Context, user string) ([]string, error)
	DeletePolicy(ctx context.Context, user, name string) error
}

// Store is what of store.Store this package needs.
type Store interface {
	Users
	Policies
}

// Options are the settings of the endpoints.
type Options struct {
	Auth      *auth.Auth
	Store     Store
	AccountID string       // twelve digits
	Log       *slog.Logger // nil means slog.Default
}

type service struct {
	auth     *auth.Auth
	users    Users
	policies Policies
	account  string
}

// New returns the two endpoints. Their requests must be verified before, and carry their auth.Identity.
func New(opts Options) (iam, sts http.Handler) {
	s := &service{auth: opts.Auth, users: opts.Store, policies: opts.Store, account: opts.AccountID}
	return s.iam(opts.Log), s.sts(opts.Log)
}

func (s *service) iam(log *slog.Logger) *awsquery.Mux {
	m := awsquery.NewMux(awsquery.Options{
		Namespace: "https://iam.amazonaws.com/doc/2010-05-08/", Version: "2010-05-08", Log: log,
	})
	handle(m, "CreateUser", s.createUser)
	handle(m, "GetUser", s.getUser)
	handle(m, "ListUsers", s.listUsers)
	handle(m, "DeleteUser", s.deleteUser)
	handle(m, "CreateAccessKey", s.createAccessKey)
	handle(m, "ListAccessKeys", s.listAccessKeys)
	handle(m, "UpdateAccessKey", s.updateAccessKey)
	handle(m, "DeleteAccessKey", s.deleteAccessKey)
	handle(m, "PutUserPolicy", s.putUserPolicy)
	handle(m, "GetUserPolicy", s.getUserPolicy)
	handle(m, "ListUserPolicies", s.listUserPolicies)
	handle(m, "DeleteUserPolicy", s.deleteUserPolicy)
	return m
}

// handle registers an operation whose refusals are told to the caller.
func handle[In, Out any](m *awsquery.Mux, action string, fn func(context.Context, *In) (*Out, error)) {
	awsquery.Handle(m, action, func(ctx context.Context, in *In) (*Out, error) {
		out, err := fn(ctx, in)
		if denied, ok := errors.AsType[*auth.DeniedError](err); ok {
			return nil, awsquery.Errorf(http.StatusForbidden, awsquery.AccessDenied, "%v", denied)
		}
		return out, err
	})
}

// allow asks whether the caller may perform an IAM action.
func (s *service) allow(ctx context.Context, action, resource string) error {
	return s.auth.Allow(ctx, auth.FromContext(ctx), "iam:"+action, resource)
}

// subject returns the user that a request names, if the caller may perform the action on it. Without a name it is the
// caller.
func (s *service) subject(ctx context.Context, action, name string) (store.User, error) {
	if name == "" {
		name = auth.FromContext(ctx).User
	}
	if name == "" {
		return store.User{}, invalid("UserName is missing: root is not a user, so %s needs to be told which user is meant", action)
	}
	if err := checkName("UserName", name, maxExistingName); err != nil {
		return store.User{}, err
	}
	u, err := s.users.User(ctx, name)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return store.User{}, err
	}
	if missing {
		u = store.User{Name: name, Path: "/"} // rights come first: NoSuchEntity is for those who may ask
	}
	if err := s.allow(ctx, action, s.auth.UserARN(u)); err != nil {
		return store.User{}, err
	}
	if missing {
		return store.User{}, noSuchUser(name)
	}
	return u, nil
}

func noSuchUser(name string) error {
	return awsquery.Errorf(http.StatusNotFound, noSuchEntity, "The user with name %s cannot be found.", name)
}

// instead returns replacement for an error of the store that the operation expects, and any other error as it is.
func instead(err, expected, replacement error) error {
	if errors.Is(err, expected) {
		return replacement
	}
	return err
}
