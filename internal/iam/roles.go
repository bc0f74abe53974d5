package iam

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"

	"grapnel/internal/auth"
	"grapnel/internal/awsquery"
	"grapnel/internal/policy"
	"grapnel/internal/store"
)

// roleXML is a role on the wire.
type roleXML struct {
	Path                     string
	RoleName                 string
	RoleID                   string `xml:"RoleId"`
	ARN                      string `xml:"Arn"`
	CreateDate               time.Time
	AssumeRolePolicyDocument string // percent-encoded
	Description              string `xml:",omitempty"`
	MaxSessionDuration       int    // seconds
}

func (s *service) wireRole(r store.Role) roleXML {
	return roleXML{
		Path: r.Path, RoleName: r.Name, RoleID: r.ID, ARN: s.auth.RoleARN(r), CreateDate: seconds(r.CreatedAt),
		AssumeRolePolicyDocument: percentEncode(r.Trust), Description: r.Description, MaxSessionDuration: int(r.MaxSession / time.Second),
	}
}

// role returns the role that a request names, if the caller may perform the action on it.
func (s *service) role(ctx context.Context, action, name string) (store.Role, error) {
	if err := checkName("RoleName", name, maxNewName); err != nil {
		return store.Role{}, err
	}
	r, err := s.store.Role(ctx, name)
	missing := errors.Is(err, store.ErrNotFound)
	if err != nil && !missing {
		return store.Role{}, err
	}
	if missing {
		r = store.Role{Name: name, Path: "/"} // rights come first: NoSuchEntity is for those who may ask
	}
	if err := s.allow(ctx, action, s.auth.RoleARN(r)); err != nil {
		return store.Role{}, err
	}
	if missing {
		return store.Role{}, noSuchRole(name)
	}
	return r, nil
}

func noSuchRole(name string) error {
	return awsquery.Errorf(http.StatusNotFound, noSuchEntity, "The role with name %s cannot be found.", name)
}

type roleInput struct {
	RoleName    string
	Path        string
	Description string
	// MaxSessionDuration is in seconds.
	MaxSessionDuration       *int
	AssumeRolePolicyDocument string // in CreateRole
	PolicyDocument           string // the same, in UpdateAssumeRolePolicy
	PermissionsBoundary      string
	FirstTag                 string `query:"Tags.member.1.Key"`
}

type roleOutput struct{ Role roleXML }

func (s *service) createRole(ctx context.Context, in *roleInput) (*roleOutput, error) {
	r := store.Role{Name: in.RoleName, Path: cmp.Or(in.Path, "/"), Description: in.Description, Trust: in.AssumeRolePolicyDocument}
	var err error
	if r.MaxSession, err = maxSession(in.MaxSessionDuration); err != nil {
		return nil, err
	}
	if err := cmp.Or(checkName("RoleName", r.Name, maxNewName), checkPath(r.Path), checkDescription(r.Description)); err != nil {
		return nil, err
	}
	if in.PermissionsBoundary != "" || in.FirstTag != "" {
		return nil, awsquery.Errorf(http.StatusBadRequest, invalidInput,
			"Roles have neither tags nor a permissions boundary on this server. Leave Tags and PermissionsBoundary out.")
	}
	if err := s.allow(ctx, "CreateRole", s.auth.RoleARN(r)); err != nil {
		return nil, err
	}
	if err := checkTrust("AssumeRolePolicyDocument", r.Trust); err != nil {
		return nil, err
	}
	if r, err = s.auth.CreateRole(ctx, r); err != nil {
		return nil, instead(err, store.ErrExists, awsquery.Errorf(http.StatusConflict, entityAlreadyExists,
			"Role with name %s already exists.", in.RoleName))
	}
	return &roleOutput{s.wireRole(r)}, nil
}

func maxSession(given *int) (time.Duration, error) {
	if given == nil {
		return auth.DefaultSession, nil
	}
	d := time.Duration(*given) * time.Second
	if *given < int(auth.DefaultSession/time.Second) || *given > int(auth.MaxSession/time.Second) {
		return 0, invalid("MaxSessionDuration must be between %d and %d seconds, got %d", auth.DefaultSession/time.Second,
			auth.MaxSession/time.Second, *given)
	}
	return d, nil
}

// descriptionPattern is what IAM's model allows.
var descriptionPattern = regexp.MustCompile(`^[\t\n\r -~¡-ÿ]{0,1000}$`)

func checkDescription(text string) error {
	if !descriptionPattern.MatchString(text) {
		return invalid("Description may have at most 1000 characters, and only those of Latin-1")
	}
	return nil
}

func checkTrust(parameter, document string) error {
	if _, err := policy.ParseTrust(document); err != nil {
		return awsquery.Errorf(http.StatusBadRequest, malformedPolicyDocument, "%s: %v", parameter, err)
	}
	return nil
}

func (s *service) getRole(ctx context.Context, in *roleInput) (*roleOutput, error) {
	r, err := s.role(ctx, "GetRole", in.RoleName)
	if err != nil {
		return nil, err
	}
	return &roleOutput{s.wireRole(r)}, nil
}

type listRolesOutput struct {
	Roles       awsquery.List[roleXML]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (s *service) listRoles(ctx context.Context, in *listInput) (*listRolesOutput, error) {
	p, err := newPaging(in.Marker, in.MaxItems)
	prefix := cmp.Or(in.PathPrefix, "/")
	if err := cmp.Or(err, checkPathPrefix(prefix)); err != nil {
		return nil, err
	}
	if err := s.allow(ctx, "ListRoles", s.auth.RoleARN(store.Role{Path: prefix})); err != nil {
		return nil, err
	}
	roles, next, err := below(ctx, s.store.Roles, func(r store.Role) (path, name string) { return r.Path, r.Name }, prefix, p)
	if err != nil {
		return nil, err
	}
	out := &listRolesOutput{IsTruncated: next != "", Marker: next}
	for _, r := range roles {
		out.Roles.Members = append(out.Roles.Members, s.wireRole(r))
	}
	return out, nil
}

// updateRoleOutput is empty, but unlike awsquery.Empty it is sent: clients look for it.
type updateRoleOutput struct{}

// updateRole leaves a description that is not given, or empty, as it is.
func (s *service) updateRole(ctx context.Context, in *roleInput) (*updateRoleOutput, error) {
	length, err := maxSession(in.MaxSessionDuration)
	if err := cmp.Or(err, checkDescription(in.Description)); err != nil {
		return nil, err
	}
	var change store.RoleChange
	if in.MaxSessionDuration != nil {
		change.MaxSession = &length
	}
	if in.Description != "" {
		change.Description = &in.Description
	}
	return &updateRoleOutput{}, s.changeRole(ctx, "UpdateRole", in.RoleName, change)
}

func (s *service) updateAssumeRolePolicy(ctx context.Context, in *roleInput) (*awsquery.Empty, error) {
	if err := checkTrust("PolicyDocument", in.PolicyDocument); err != nil {
		return nil, err
	}
	return nil, s.changeRole(ctx, "UpdateAssumeRolePolicy", in.RoleName, store.RoleChange{Trust: &in.PolicyDocument})
}

func (s *service) changeRole(ctx context.Context, action, name string, change store.RoleChange) error {
	r, err := s.role(ctx, action, name)
	if err != nil {
		return err
	}
	return instead(s.store.UpdateRole(ctx, r.Name, change), store.ErrNotFound, noSuchRole(r.Name))
}

func (s *service) deleteRole(ctx context.Context, in *roleInput) (*awsquery.Empty, error) {
	r, err := s.role(ctx, "DeleteRole", in.RoleName)
	if err != nil {
		return nil, err
	}
	err = s.store.DeleteRole(ctx, r.Name)
	err = instead(err, store.ErrNotFound, noSuchRole(r.Name))
	return nil, instead(err, store.ErrInUse, awsquery.Errorf(http.StatusConflict, deleteConflict,
		"Cannot delete role %s: delete its inline policies first.", r.Name))
}
