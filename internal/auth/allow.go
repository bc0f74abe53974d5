package auth

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/awsapi"
)

// Actions that are not named after an operation of CodeDeploy or IAM.
const (
	// ActionCommand, followed by the name of an operation, is an action of the host-command protocol.
	ActionCommand = awsapi.CommandServiceSecure + ":"
	// ActionGetObject is the right to read an object, and to ask about it (HeadObject).
	ActionGetObject         = "s3:GetObject"
	ActionGetCallerIdentity = "sts:GetCallerIdentity"
)

// ObjectARN names an object of the bundle store as the resource of an action.
func ObjectARN(bucket, key string) string { return "arn:aws:s3:::" + bucket + "/" + key }

// DeniedError says that an identity may not do what it asked for. Protocols answer it as AccessDeniedException (JSON) or
// AccessDenied (XML), with its text as the message.
type DeniedError struct {
	Identity Identity
	Action   string // "service:Operation"
	Resource string // an ARN, or "*"
}

// Error says who may not do what on what, and what to do about it. Scripts look for its first part, as AWS words it.
func (e *DeniedError) Error() string {
	who, hint := e.Identity.ARN, "use the root access key: rights of users are not granted by policies yet"
	switch e.Identity.Kind {
	case Nobody:
		who, hint = "anonymous", "sign the request"
	case Host:
		hint = "the host " + e.Identity.Host + " may only run its own commands and read the bundles of its open deployments"
	}
	if e.Identity.Kind == User && strings.HasPrefix(e.Action, ActionCommand) {
		hint = "this user is not the identity of a registered host; register it: aws deploy register-on-premises-instance " +
			"--instance-name NAME --iam-user-arn " + e.Identity.ARN
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s (%s)", who, e.Action, e.Resource, hint)
}

// Allow returns nil if the identity may perform the action ("codedeploy:CreateDeployment") on the resource (its ARN),
// and a *DeniedError if not; any other error means that the question could not be answered.
func (a *Auth) Allow(ctx context.Context, id Identity, action, resource string) error {
	allowed := false
	var err error
	switch {
	case id.Kind == Nobody:
	case id.Kind == Root, action == ActionGetCallerIdentity:
		allowed = true
	case id.Kind == Host && (strings.HasPrefix(action, ActionCommand) || action == ActionRotateHostKey):
		allowed = true
	case id.Kind == Host && action == ActionGetObject:
		allowed, err = a.opensBundle(ctx, id.Host, resource)
	}
	if err != nil {
		return err
	}
	if !allowed {
		return &DeniedError{Identity: id, Action: action, Resource: resource}
	}
	return nil
}

// opensBundle reports whether the object is the bundle of a deployment in which the host has open Work.
func (a *Auth) opensBundle(ctx context.Context, host, object string) (bool, error) {
	open, err := a.store.OpenBundles(ctx, host)
	if err != nil {
		return false, fmt.Errorf("find the open bundles of host %s: %w", host, err)
	}
	return slices.ContainsFunc(open, func(at awsapi.S3Location) bool {
		return ObjectARN(awsapi.Value(at.Bucket), awsapi.Value(at.Key)) == object
	}), nil
}
