package iam

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"grapnel/internal/audit"
	"grapnel/internal/awsquery"
	"grapnel/internal/policy"
	"grapnel/internal/store"
)

// policyInput is the input of every operation on inline policies: those of users have a UserName, those of roles a RoleName.
type policyInput struct {
	UserName, RoleName         string
	PolicyName, PolicyDocument string
	Marker                     string
	MaxItems                   *int
}

// policyOperation is an operation on the policies of a user or a role.
type policyOperation[Out any] func(s *service, ctx context.Context, of store.Owner, in *policyInput) (*Out, error)

// ofUser makes an operation one on the policies of a user. Unlike those about keys, they must name the user.
func ofUser[Out any](s *service, action string, run policyOperation[Out]) func(context.Context, *policyInput) (*Out, error) {
	return func(ctx context.Context, in *policyInput) (*Out, error) {
		if err := checkName("UserName", in.UserName, maxExistingName); err != nil {
			return nil, err
		}
		u, err := s.subject(ctx, action, in.UserName)
		if err != nil {
			return nil, err
		}
		audit.Note(ctx, "iam:"+action, in.PolicyName)
		return run(s, ctx, store.Owner{User: u.Name}, in)
	}
}

// ofRole makes an operation one on the policies of a role.
func ofRole[Out any](s *service, action string, run policyOperation[Out]) func(context.Context, *policyInput) (*Out, error) {
	return func(ctx context.Context, in *policyInput) (*Out, error) {
		r, err := s.role(ctx, action, in.RoleName)
		if err != nil {
			return nil, err
		}
		audit.Note(ctx, "iam:"+action, in.PolicyName)
		return run(s, ctx, store.Owner{Role: r.Name}, in)
	}
}

func noSuchOwner(of store.Owner) error {
	if of.Role != "" {
		return noSuchRole(of.Role)
	}
	return noSuchUser(of.User)
}

func noSuchPolicy(of store.Owner, name string) error {
	kind := "user"
	if of.Role != "" {
		kind = "role"
	}
	return awsquery.Errorf(http.StatusNotFound, noSuchEntity, "The %s policy with name %s cannot be found.", kind, name)
}

func (s *service) putPolicy(ctx context.Context, of store.Owner, in *policyInput) (*awsquery.Empty, error) {
	if err := checkName("PolicyName", in.PolicyName, maxPolicyName); err != nil {
		return nil, err
	}
	if _, err := policy.Parse(in.PolicyDocument); err != nil {
		return nil, awsquery.Errorf(http.StatusBadRequest, malformedPolicyDocument, "PolicyDocument: %v", err)
	}
	err := s.store.PutPolicy(ctx, of, store.Policy{Name: in.PolicyName, Document: in.PolicyDocument})
	return nil, instead(err, store.ErrNotFound, noSuchOwner(of))
}

type policyOutput struct {
	UserName                   string `xml:",omitempty"`
	RoleName                   string `xml:",omitempty"`
	PolicyName, PolicyDocument string
}

func (s *service) getPolicy(ctx context.Context, of store.Owner, in *policyInput) (*policyOutput, error) {
	if err := checkName("PolicyName", in.PolicyName, maxPolicyName); err != nil {
		return nil, err
	}
	all, err := s.store.Policies(ctx, of)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p store.Policy) bool { return p.Name == in.PolicyName })
	if i < 0 {
		return nil, noSuchPolicy(of, in.PolicyName)
	}
	return &policyOutput{UserName: of.User, RoleName: of.Role, PolicyName: all[i].Name, PolicyDocument: percentEncode(all[i].Document)}, nil
}

// percentEncode is how IAM sends documents, by RFC 3986: a + stands for itself there, not for a space.
func percentEncode(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

type listPoliciesOutput struct {
	PolicyNames awsquery.List[string]
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (s *service) listPolicies(ctx context.Context, of store.Owner, in *policyInput) (*listPoliciesOutput, error) {
	p, err := newPaging(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	all, err := s.store.Policies(ctx, of)
	if err != nil {
		return nil, err
	}
	page, next := cut(all, func(p store.Policy) string { return p.Name }, p)
	out := &listPoliciesOutput{IsTruncated: next != "", Marker: next}
	for _, p := range page {
		out.PolicyNames.Members = append(out.PolicyNames.Members, p.Name)
	}
	return out, nil
}

func (s *service) deletePolicy(ctx context.Context, of store.Owner, in *policyInput) (*awsquery.Empty, error) {
	if err := checkName("PolicyName", in.PolicyName, maxPolicyName); err != nil {
		return nil, err
	}
	err := s.store.DeletePolicy(ctx, of, in.PolicyName)
	return nil, instead(err, store.ErrNotFound, noSuchPolicy(of, in.PolicyName))
}
