package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"grapnel/internal/store"
)

// AllowHost returns nil if the identity may make a host of the bearer of an ARN, a user or a session of a role. A host may do
// nothing else from then on, so that a registration takes rights away: who registers somebody with policies, or somebody who
// does not exist yet, needs the right to take their policies, which `aws deploy register` has because it puts one. Otherwise a
// right on instances would be one over every person. A *DeniedError if not; an ARN that can be nobody's here is allowed.
func (a *Auth) AllowHost(ctx context.Context, id Identity, arn string) error {
	action, resource, owner, err := a.bearer(ctx, arn)
	if err != nil || action == "" {
		return err
	}
	if owner != (store.Owner{}) {
		policies, err := a.store.Policies(ctx, owner)
		if err != nil || len(policies) == 0 {
			return err
		}
	}
	err = a.Allow(ctx, id, action, resource)
	if denied, ok := errors.AsType[*DeniedError](err); ok {
		denied.Why += "; it is asked for because " + arn + ", once it is registered, may do nothing but what a host does"
	}
	return err
}

// bearer returns what the right over the bearer of an ARN is called, on what it is had, and whose policies the bearer has: none
// of somebody who does not exist. Without an action the ARN is nobody's here.
func (a *Auth) bearer(ctx context.Context, arn string) (action, resource string, owner store.Owner, err error) {
	if path, ok := strings.CutPrefix(arn, "arn:aws:iam::"+a.account+":user/"); ok {
		name := path[strings.LastIndex(path, "/")+1:]
		u, err := a.store.User(ctx, name)
		if err == nil && a.UserARN(u) == arn {
			owner.User = name
		}
		return "iam:PutUserPolicy", arn, owner, found(err)
	}
	if rest, ok := strings.CutPrefix(arn, "arn:aws:sts::"+a.account+":assumed-role/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		r, err := a.store.Role(ctx, name)
		if err == nil {
			owner.Role = name
		} else {
			r = store.Role{Path: "/", Name: name}
		}
		return "iam:PutRolePolicy", a.RoleARN(r), owner, found(err)
	}
	return "", "", owner, nil
}

// found is nil also when there is no such identity.
func found(err error) error {
	if err == nil || errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("find who would become a host: %w", err)
}
