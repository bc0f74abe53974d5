package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/audit"
	"grapnel/internal/awsapi"
	"grapnel/internal/policy"
	"grapnel/internal/store"
)

// Actions that decide about more than a policy.
const (
	// ActionCommand, followed by the name of an operation, is an action of the host-command protocol.
	ActionCommand = awsapi.CommandServiceSecure + ":"
	// ActionGetObject is the right to read an object, and to ask about it (HeadObject).
	ActionGetObject = "s3:GetObject"
	// ActionGetObjectVersion is that right for one version of it.
	ActionGetObjectVersion  = "s3:GetObjectVersion"
	ActionGetCallerIdentity = "sts:GetCallerIdentity"
	// ActionRotateHostKey is the right of a host to replace its own key.
	ActionRotateHostKey = awsapi.GrapnelService + ":RotateHostKey"
)

// ObjectARN names an object of the bundle store as the resource of an action: a bucket when key is "", "*" when bucket is.
func ObjectARN(bucket, key string) string {
	switch {
	case bucket == "":
		return "*"
	case key == "":
		return "arn:aws:s3:::" + bucket
	}
	return "arn:aws:s3:::" + bucket + "/" + key
}

// DeniedError says that an identity may not do what it asked for. Protocols answer it as AccessDeniedException (JSON) or
// AccessDenied (XML), with its text as the message.
type DeniedError struct {
	Identity Identity
	Action   string // "service:Operation"
	Resource string // an ARN, or "*"
	Why      string // continues the sentence, and says what would allow it
}

// Error says who may not do what on what, and what to do about it. Scripts look for its first part, as AWS words it.
func (e *DeniedError) Error() string {
	who := e.Identity.ARN
	if e.Identity.Kind == Nobody {
		who = "anonymous"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s %s", who, e.Action, e.Resource, e.Why)
}

// Allow returns nil if the identity may perform the action ("codedeploy:CreateDeployment") on the resource (its ARN, "*" for
// none), and a *DeniedError if not; any other error means that the question could not be answered. What is asked for is noted
// for the audit log.
func (a *Auth) Allow(ctx context.Context, id Identity, action, resource string) error {
	return a.allow(ctx, id, request{action: action, resource: resource})
}

// AllowObject is Allow for a request about buckets and objects, as ObjectARN names them. version is the one that the request
// names, or "": policies have an action of its own for that, a host may read its bundle's alone.
func (a *Auth) AllowObject(ctx context.Context, id Identity, action, bucket, key, version string) error {
	return a.allow(ctx, id, request{action: action, resource: ObjectARN(bucket, key), version: version})
}

// request is what is asked of Auth.
type request struct{ action, resource, version string }

func (a *Auth) allow(ctx context.Context, id Identity, r request) error {
	if r.resource == "*" {
		audit.Note(ctx, r.action)
	} else {
		audit.Note(ctx, r.action, r.resource)
	}
	verdict, err := a.verdict(ctx, id, r)
	if err != nil || verdict.answer == policy.Allowed {
		return err
	}
	return &DeniedError{Identity: id, Action: r.action, Resource: r.resource, Why: verdict.why}
}

// verdict is an answer with its reason, unless it is yes.
type verdict struct {
	answer policy.Answer
	why    string
}

func (a *Auth) verdict(ctx context.Context, id Identity, r request) (verdict, error) {
	ofHosts := strings.HasPrefix(r.action, ActionCommand) || r.action == ActionRotateHostKey
	switch {
	case id.Kind == Nobody:
		return verdict{policy.Silent, "because the request is not signed"}, nil
	case id.Kind == Root, r.action == ActionGetCallerIdentity:
		return verdict{answer: policy.Allowed}, nil
	case id.Kind == Host && ofHosts:
		return verdict{answer: policy.Allowed}, nil
	case id.Kind == Host:
		return a.judgeHost(ctx, id, r)
	case ofHosts:
		return verdict{policy.Silent, "because this is not the identity of a registered host; register it: " + registration(id)}, nil
	}
	return a.judge(ctx, id, r.action, r.resource)
}

func registration(id Identity) string {
	flag := "--iam-user-arn"
	if id.Kind == Session {
		flag = "--iam-session-arn"
	}
	return "aws deploy register-on-premises-instance --instance-name NAME " + flag + " " + id.ARN
}

// judgeHost limits a host to what it has to read.
func (a *Auth) judgeHost(ctx context.Context, id Identity, r request) (verdict, error) {
	if r.action == ActionGetObject || r.action == ActionGetObjectVersion {
		reads, err := a.reads(ctx, id.Host, r)
		if err != nil || reads {
			return verdict{answer: policy.Allowed}, err
		}
	}
	return verdict{policy.Silent, "because the host " + id.Host + " may only run its own commands and read the bundles of its open " +
		"deployments, whatever its policies say; use the credentials of somebody else"}, nil
}

// reads reports whether the object is the agent's installer, or the bundle of a deployment in which the host has open Work.
// Where a revision names a version, that is its bundle, and not what is current in its place.
func (a *Auth) reads(ctx context.Context, host string, r request) (bool, error) {
	if strings.HasPrefix(r.resource, a.installer) && r.version == "" {
		return true, nil
	}
	open, err := a.store.OpenBundles(ctx, host)
	if err != nil {
		return false, fmt.Errorf("find the open bundles of host %s: %w", host, err)
	}
	return slices.ContainsFunc(open, func(at awsapi.S3Location) bool {
		return ObjectARN(awsapi.Value(at.Bucket), awsapi.Value(at.Key)) == r.resource && awsapi.Value(at.Version) == r.version
	}), nil
}

// inline is a parsed inline policy. One that cannot be read, because another version stored it, denies everything: what its
// author meant to forbid is not known.
type inline struct {
	name   string
	policy policy.Policy
	broken error
}

// owner is whose policies an identity has.
func (id Identity) owner() store.Owner { return store.Owner{User: id.User, Role: id.Role} }

// judge asks the policies of a user or of a session's role.
func (a *Auth) judge(ctx context.Context, id Identity, action, resource string) (verdict, error) {
	owner := id.owner()
	all, err := a.policies.find(owner.User+"/"+owner.Role, a.store.IdentityVersion, func() ([]inline, error) {
		return a.readPolicies(ctx, owner)
	})
	if err != nil {
		return verdict{}, err
	}
	best := policy.Silent
	for _, p := range all {
		if p.broken != nil {
			return verdict{policy.Denied, fmt.Sprintf("because the policy %q of %s cannot be read: %v; write it again", p.name, named(owner), p.broken)}, nil
		}
		answer, sid := p.policy.Evaluate(action, resource)
		if answer == policy.Denied {
			return verdict{answer, fmt.Sprintf("with an explicit deny in the identity-based policy %q of %s (statement %q)", p.name, named(owner), sid)}, nil
		}
		best = max(best, answer)
	}
	if best == policy.Allowed {
		return verdict{answer: best}, nil
	}
	return verdict{best, missing(owner, action, resource)}, nil
}

func (a *Auth) readPolicies(ctx context.Context, owner store.Owner) ([]inline, error) {
	rows, err := a.store.Policies(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("load the policies of %s: %w", named(owner), err)
	}
	all := make([]inline, len(rows))
	for i, row := range rows {
		all[i].name = row.Name
		all[i].policy, all[i].broken = policy.Parse(row.Document)
	}
	return all, nil
}

func named(o store.Owner) string {
	if o.Role != "" {
		return "role " + o.Role
	}
	return "user " + o.User
}

// missing says which statement would allow an action.
func missing(owner store.Owner, action, resource string) string {
	command := "aws iam put-user-policy"
	if owner.Role != "" {
		command = "aws iam put-role-policy"
	}
	name, _ := json.Marshal(resource) // a string always encodes
	return fmt.Sprintf(`because no identity-based policy allows the %s action; add this statement to a policy of %s (%s): {"Effect": "Allow", "Action": %q, "Resource": %s}`,
		action, named(owner), command, action, name)
}
