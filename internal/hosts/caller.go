package hosts

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"grapnel/internal/awsapi"
	"grapnel/internal/lifecycle"
	"grapnel/internal/store"
)

// Caller is the registered host that signed a request.
type Caller struct {
	Name string // as registered; the id of its targets
	ARN  string // its IAM user or session, which is its HostIdentifier
}

type callerKey struct{}

// WithCaller returns a context for requests of an authenticated host.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// is refuses a request that names another host than the one that signed it. ARNs are compared whole.
func (c Caller) is(identifier *string) error {
	switch got := awsapi.Value(identifier); got {
	case c.ARN:
		return nil
	case "":
		return refused("HostIdentifier is missing; it is %s for this host", c.ARN)
	default:
		return refused("the HostIdentifier %s is not the caller, which is %s: the identity in the agent's on-premises file"+
			" must be the one that the access key belongs to", got, c.ARN)
	}
}

// command returns the host's own Work.
func (s *Service) command(ctx context.Context, caller Caller, identifier *string) (store.Command, error) {
	id := awsapi.Value(identifier)
	if id == "" {
		return store.Command{}, refused("HostCommandIdentifier is missing")
	}
	command, err := s.store.Command(ctx, id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return store.Command{}, err
	}
	if err != nil || command.Target != caller.Name || command.By != lifecycle.Host {
		return store.Command{}, refused("host %s has no command %s; its deployment may have been deleted", caller.Name, id)
	}
	return command, nil
}

// executionID names one target of one deployment in the four parts and at most 129 characters that the protocol asks for
// (agent.md 4.2). The last part stands for the target, whose name may be too long.
func (s *Service) executionID(deployment string, caller Caller) string {
	sum := sha256.Sum256([]byte(caller.Name))
	return strings.Join([]string{s.region, s.account, deployment, hex.EncodeToString(sum[:8])}, "/")
}

// deploymentID returns the deployment that an execution id of the host names.
func (s *Service) deploymentID(executionID *string, caller Caller) (string, error) {
	id := awsapi.Value(executionID)
	parts := strings.Split(id, "/")
	if len(parts) != 4 {
		return "", refused("the DeploymentExecutionId %q must have four parts separated by slashes, as PollHostCommand gave it", id)
	}
	if id != s.executionID(parts[2], caller) {
		return "", refused("the DeploymentExecutionId %q is not one that host %s was given by this server", id, caller.Name)
	}
	return parts[2], nil
}
