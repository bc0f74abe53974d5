package iam

import (
	"context"
	"net/http"

	"grapnel/internal/awsquery"
)

// What users and roles of this server never have: groups, managed policies, passwords, devices, certificates, tags. Programs
// that look after users ask for all of it before they delete or compare one, so the lists are there, and empty.

// nameInput names a user or a role.
type nameInput struct{ UserName, RoleName string }

// nothing is an element of a list that is always empty.
type nothing struct{}

type noGroups struct {
	Groups      awsquery.List[nothing]
	IsTruncated bool
}

type noAttachedPolicies struct {
	AttachedPolicies awsquery.List[nothing]
	IsTruncated      bool
}

type noInstanceProfiles struct {
	InstanceProfiles awsquery.List[nothing]
	IsTruncated      bool
}

type noTags struct {
	Tags        awsquery.List[nothing]
	IsTruncated bool
}

type noDevices struct {
	MFADevices  awsquery.List[nothing]
	IsTruncated bool
}

type noPublicKeys struct {
	SSHPublicKeys awsquery.List[nothing]
	IsTruncated   bool
}

type noCertificates struct {
	Certificates awsquery.List[nothing]
	IsTruncated  bool
}

type noServiceCredentials struct {
	ServiceSpecificCredentials awsquery.List[nothing]
}

// absent registers the reads of what there is none of.
func (s *service) absent(m *awsquery.Mux) {
	handle(m, "ListGroupsForUser", noneOfUser[noGroups](s, "ListGroupsForUser"))
	handle(m, "ListAttachedUserPolicies", noneOfUser[noAttachedPolicies](s, "ListAttachedUserPolicies"))
	handle(m, "ListUserTags", noneOfUser[noTags](s, "ListUserTags"))
	handle(m, "ListMFADevices", noneOfUser[noDevices](s, "ListMFADevices"))
	handle(m, "ListSSHPublicKeys", noneOfUser[noPublicKeys](s, "ListSSHPublicKeys"))
	handle(m, "ListSigningCertificates", noneOfUser[noCertificates](s, "ListSigningCertificates"))
	handle(m, "ListServiceSpecificCredentials", noneOfUser[noServiceCredentials](s, "ListServiceSpecificCredentials"))
	handle(m, "ListAttachedRolePolicies", noneOfRole[noAttachedPolicies](s, "ListAttachedRolePolicies"))
	handle(m, "ListInstanceProfilesForRole", noneOfRole[noInstanceProfiles](s, "ListInstanceProfilesForRole"))
	handle(m, "ListRoleTags", noneOfRole[noTags](s, "ListRoleTags"))
	handle(m, "GetLoginProfile", s.getLoginProfile)
}

// noneOfUser answers with an empty list of a user's, who must exist, to those who may ask.
func noneOfUser[Out any](s *service, action string) func(context.Context, *nameInput) (*Out, error) {
	return func(ctx context.Context, in *nameInput) (*Out, error) {
		_, err := s.subject(ctx, action, in.UserName)
		return new(Out), err
	}
}

// noneOfRole is noneOfUser of a role.
func noneOfRole[Out any](s *service, action string) func(context.Context, *nameInput) (*Out, error) {
	return func(ctx context.Context, in *nameInput) (*Out, error) {
		_, err := s.role(ctx, action, in.RoleName)
		return new(Out), err
	}
}

// getLoginProfile: no user has a password.
func (s *service) getLoginProfile(ctx context.Context, in *nameInput) (*awsquery.Empty, error) {
	u, err := s.subject(ctx, "GetLoginProfile", in.UserName)
	if err != nil {
		return nil, err
	}
	return nil, awsquery.Errorf(http.StatusNotFound, noSuchEntity, "Login Profile for User %s cannot be found: users of this server have access keys only.", u.Name)
}
