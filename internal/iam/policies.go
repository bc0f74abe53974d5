package iam

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strings"

	"grapnel/internal/awsquery"
	"grapnel/internal/store"
)

type policyInput struct{ UserName, PolicyName, PolicyDocument string }

// policyOwner is subject for a request that names a user's policy; unlike those about keys, it must name the user.
func (s *service) policyOwner(ctx context.Context, action string, in *policyInput) (store.User, error) {
	err := cmp.Or(checkName("UserName", in.UserName, maxExistingName), checkName("PolicyName", in.PolicyName, maxPolicyName))
	if err != nil {
		return store.User{}, err
	}
	return s.subject(ctx, action, in.UserName)
}

func (s *service) putUserPolicy(ctx context.Context, in *policyInput) (*awsquery.Empty, error) {
	u, err := s.policyOwner(ctx, "PutUserPolicy", in)
	if err != nil {
		return nil, err
	}
	if err := checkDocument(in.PolicyDocument); err != nil {
		return nil, awsquery.Errorf(http.StatusBadRequest, malformedPolicyDocument, "PolicyDocument: %v", err)
	}
	err = s.policies.PutPolicy(ctx, u.Name, in.PolicyName, in.PolicyDocument)
	return nil, instead(err, store.ErrNotFound, noSuchUser(u.Name))
}

type policyOutput struct{ UserName, PolicyName, PolicyDocument string }

func (s *service) getUserPolicy(ctx context.Context, in *policyInput) (*policyOutput, error) {
	u, err := s.policyOwner(ctx, "GetUserPolicy", in)
	if err != nil {
		return nil, err
	}
	document, err := s.policies.Policy(ctx, u.Name, in.PolicyName)
	if err != nil {
		return nil, instead(err, store.ErrNotFound, noSuchPolicy(in.PolicyName))
	}
	return &policyOutput{UserName: u.Name, PolicyName: in.PolicyName, PolicyDocument: percentEncode(document)}, nil
}

// percentEncode is how IAM sends documents, by RFC 3986: a + stands for itself there, not for a space.
func percentEncode(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

type listUserPoliciesOutput struct {
	PolicyNames awsquery.List[string]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (s *service) listUserPolicies(ctx context.Context, in *listOfUserInput) (*listUserPoliciesOutput, error) {
	p, err := newPaging(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	if in.UserName == "" {
		return nil, invalid("UserName is missing")
	}
	u, err := s.subject(ctx, "ListUserPolicies", in.UserName)
	if err != nil {
		return nil, err
	}
	all, err := s.policies.Policies(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	out := &listUserPoliciesOutput{}
	out.PolicyNames.Members, out.Marker = cut(all, func(name string) string { return name }, p)
	out.IsTruncated = out.Marker != ""
	return out, nil
}

func (s *service) deleteUserPolicy(ctx context.Context, in *policyInput) (*awsquery.Empty, error) {
	u, err := s.policyOwner(ctx, "DeleteUserPolicy", in)
	if err != nil {
		return nil, err
	}
	err = s.policies.DeletePolicy(ctx, u.Name, in.PolicyName)
	return nil, instead(err, store.ErrNotFound, noSuchPolicy(in.PolicyName))
}

func noSuchPolicy(name string) error {
	return awsquery.Errorf(http.StatusNotFound, noSuchEntity, "The user policy with name %s cannot be found.", name)
}
