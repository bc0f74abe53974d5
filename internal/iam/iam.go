// Package iam is the IAM and STS endpoints: users, their access keys, roles, the inline policies of both, sessions of roles,
// and who a caller is. It holds what `aws deploy register` and `deregister` call (service.md 9), and what it takes to look
// after the users they make, and those of people.
//
// Differences from AWS: policies are inline ones only, without conditions (package policy); users and roles have no tags and
// no permissions boundary, and their names are case sensitive; sessions have no policies and tags of their own; root, whose key
// is the server's setting rather than IAM's, may take on every role; a trust policy goes by the name of a user, also when the
// user was made again.
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

// Store is what of store.Store this package needs: package auth makes users and roles, the rest is done here.
type Store interface {
	User(ctx context.Context, name string) (store.User, error)
	Users(ctx context.Context, after string, limit int) ([]store.User, error)
	DeleteUser(ctx context.Context, name string) error
	Role(ctx context.Context, name string) (store.Role, error)
	Roles(ctx context.Context, after string, limit int) ([]store.Role, error)
	UpdateRole(ctx context.Context, name string, change store.RoleChange) error
	DeleteRole(ctx context.Context, name string) error
	PutPolicy(ctx context.Context, of store.Owner, p store.Policy) error
	Policies(ctx context.Context, of store.Owner) ([]store.Policy, error)
	DeletePolicy(ctx context.Context, of store.Owner, name string) error
}

// Options are the settings of the endpoints.
type Options struct {
	Auth      *auth.Auth
	Store     Store
	AccountID string       // twelve digits
	Log       *slog.Logger // nil means slog.Default
}

type service struct {
	auth    *auth.Auth
	store   Store
	account string
}

// New returns the two endpoints. Their requests must be verified before, and carry their auth.Identity.
func New(opts Options) (iam, sts http.Handler) {
	s := &service{auth: opts.Auth, store: opts.Store, account: opts.AccountID}
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
	handle(m, "CreateRole", s.createRole)
	handle(m, "GetRole", s.getRole)
	handle(m, "ListRoles", s.listRoles)
	handle(m, "UpdateRole", s.updateRole)
	handle(m, "UpdateAssumeRolePolicy", s.updateAssumeRolePolicy)
	handle(m, "DeleteRole", s.deleteRole)
	handle(m, "PutUserPolicy", ofUser(s, "PutUserPolicy", (*service).putPolicy))
	handle(m, "GetUserPolicy", ofUser(s, "GetUserPolicy", (*service).getPolicy))
	handle(m, "ListUserPolicies", ofUser(s, "ListUserPolicies", (*service).listPolicies))
	handle(m, "DeleteUserPolicy", ofUser(s, "DeleteUserPolicy", (*service).deletePolicy))
	handle(m, "PutRolePolicy", ofRole(s, "PutRolePolicy", (*service).putPolicy))
	handle(m, "GetRolePolicy", ofRole(s, "GetRolePolicy", (*service).getPolicy))
	handle(m, "ListRolePolicies", ofRole(s, "ListRolePolicies", (*service).listPolicies))
	handle(m, "DeleteRolePolicy", ofRole(s, "DeleteRolePolicy", (*service).deletePolicy))
	s.absent(m)
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
		return store.User{}, invalid("UserName is missing: the caller is not a user, so %s needs to be told which user is meant", action)
	}
	if err := checkName("UserName", name, maxExistingName); err != nil {
		return store.User{}, err
	}
	u, err := s.store.User(ctx, name)
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
