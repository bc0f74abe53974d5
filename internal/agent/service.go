package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/backoff"
)

// service is the host-command service as one host sees it (agent.md 4.1, 4.2).
type service struct {
	client      awsjson.Client
	prefix      string
	hostID      string
	callTimeout time.Duration // longer than the service holds a poll
	gate        gate
}

func newService(cfg config.Config, id identity.Identity, hc *http.Client) *service {
	name, prefix := awsapi.CommandService, awsapi.CommandPrefix
	if cfg.EnableAuthPolicy {
		name, prefix = awsapi.CommandServiceSecure, awsapi.CommandPrefixSecure
	}
	return &service{
		client: awsjson.Client{
			Endpoint: id.CommandEndpoint,
			HTTP:     hc,
			MaxReply: 256 << 10, // a reply holds at most a few envelopes of 8 KiB
			Header: http.Header{
				awsapi.AgentVersionHeader: {config.Version},
				"User-Agent":              {"codedeploy-agent/" + config.Version},
			},
			Sign: id.Signer(name),
		},
		prefix:      prefix,
		hostID:      id.HostID,
		callTimeout: cfg.HTTPReadTimeout,
	}
}

// command is a host command whose members are all there.
type command struct {
	id          string
	executionID string
	name        string
}

// poll asks for a command and is held until there is one or the service has waited long enough. Nil means that there is
// nothing to do.
func (s *service) poll(ctx context.Context) (*awsapi.HostCommand, error) {
	var out awsapi.PollHostCommandOutput
	err := s.call(ctx, "PollHostCommand", awsapi.PollHostCommandInput{HostIdentifier: &s.hostID}, &out)
	return out.HostCommand, err
}

// specification fetches the signed specification of a command's deployment.
func (s *service) specification(ctx context.Context, executionID string) (*awsapi.Envelope, error) {
	in := awsapi.GetDeploymentSpecificationInput{DeploymentExecutionId: &executionID, HostIdentifier: &s.hostID}
	var out awsapi.GetDeploymentSpecificationOutput
	if err := s.call(ctx, "GetDeploymentSpecification", in, &out); err != nil {
		return nil, err
	}
	if system := awsapi.Value(out.DeploymentSystem); system != "CodeDeploy" {
		return nil, &refusal{fmt.Sprintf("the service sent a specification for the deployment system %q; this agent knows CodeDeploy only", system)}
	}
	if out.DeploymentSpecification == nil {
		return nil, &refusal{"the service sent no deployment specification"}
	}
	return out.DeploymentSpecification.GenericEnvelope, nil
}

// acknowledge says that the command is about to run, and whether there is anything in it to run.
func (s *service) acknowledge(ctx context.Context, commandID string, noop bool) (awsapi.CommandStatus, error) {
	payload := fmt.Sprintf(`{"IsCommandNoop":%t}`, noop)
	in := awsapi.PutHostCommandAcknowledgementInput{
		HostCommandIdentifier: &commandID,
		Diagnostics:           &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: &payload},
	}
	var out awsapi.PutHostCommandAcknowledgementOutput
	err := s.call(ctx, "PutHostCommandAcknowledgement", in, &out)
	return out.CommandStatus, err
}

// update sends what a command's scripts have written, and returns how the command stands.
func (s *service) update(ctx context.Context, commandID, payload string) (awsapi.CommandStatus, error) {
	in := awsapi.PostHostCommandUpdateInput{
		HostCommandIdentifier: &commandID,
		Diagnostics:           &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: &payload},
	}
	var out awsapi.PostHostCommandUpdateOutput
	err := s.callOnce(ctx, "PostHostCommandUpdate", in, &out)
	return out.CommandStatus, err
}

// complete reports how a command ended.
func (s *service) complete(ctx context.Context, commandID string, r report) error {
	payload := r.payload()
	return s.call(ctx, "PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{
		HostCommandIdentifier: &commandID,
		CommandStatus:         r.status,
		Diagnostics:           &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: &payload},
	}, nil)
}

// throttleRetries is how often one call is repeated because the service says that there are too many (agent.md 4.3).
const throttleRetries = 5

// call runs an operation, again while there are too many calls.
func (s *service) call(ctx context.Context, operation string, in, out any) error {
	for try := 0; ; try++ {
		err := s.callOnce(ctx, operation, in, out)
		if !awsjson.Throttled(err) || try == throttleRetries {
			return err
		}
	}
}

// callOnce runs an operation once the gate is open.
func (s *service) callOnce(ctx context.Context, operation string, in, out any) error {
	if err := s.gate.wait(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.callTimeout, fmt.Errorf("no answer within %v", s.callTimeout))
	defer cancel()
	err := s.client.Call(ctx, s.prefix+"."+operation, in, out)
	switch {
	case err == nil:
		s.gate.open()
	case awsjson.Throttled(err):
		s.gate.shut()
	}
	return err
}

// gate holds every call back for a while after the service has answered that there are too many: a call that waits alone
// while the others go on would only prolong the trouble (agent.md 4.3). The zero gate is open.
type gate struct {
	mu    sync.Mutex
	until time.Time
	shuts int
}

var gatePauses = backoff.Exponential{First: time.Second, Max: 30 * time.Second, Jitter: 0.25}

func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	pause := time.Until(g.until)
	g.mu.Unlock()
	return backoff.Sleep(ctx, pause)
}

// shut closes the gate. Calls that were under way together and are refused together count as one refusal.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Now().Before(g.until) {
		return
	}
	g.shuts++
	g.until = time.Now().Add(gatePauses.Pause(g.shuts))
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shuts = 0
}

// A refusal is an answer of the service that will be the same when asked again.
type refusal struct{ message string }

// Error returns what is wrong with the answer.
func (r *refusal) Error() string { return r.message }

// answered reports whether a failed call reached the service and was refused for good. What is refused for its credentials is
// not: keys may be rotated and clocks set right while the agent runs.
func answered(err error) bool {
	var r *refusal
	if errors.As(err, &r) {
		return true
	}
	var e *awsjson.Error
	return errors.As(err, &e) && e.Status < http.StatusInternalServerError && !awsjson.Throttled(err) &&
		awsjson.BadCredentials(err) == awsjson.NoComplaint
}

// reached says that the service has answered, if only that it takes nothing at present. A gateway's answer in its place, or one
// that tells of trouble of its own, is none.
func reached(err error) bool {
	e, ok := errors.AsType[*awsjson.Error](err)
	return ok && e.Status < http.StatusInternalServerError
}

var retryPauses = backoff.Exponential{First: 300 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.25}

// persist repeats a call until the service has answered it. A command is never given up because the service restarts or
// the network is away for a while; after the limit the service has long let it expire.
func persist(ctx context.Context, limit time.Duration, onError func(error), call func() error) error {
	deadline := time.Now().Add(limit)
	for try := 1; ; try++ {
		err := call()
		if err == nil || answered(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		onError(err)
		if backoff.Sleep(ctx, retryPauses.Pause(try)) != nil {
			return err
		}
	}
}

// withAdvice is the error with what to do about it.
func withAdvice(err error) string {
	if what := advice(err); what != "" {
		return fmt.Sprintf("%v (%s)", err, what)
	}
	return err.Error()
}

// advice says what an operator can do about a failed call, "" when the error says it all.
func advice(err error) string {
	var (
		unknownCA x509.UnknownAuthorityError
		cert      *tls.CertificateVerificationError
		network   *net.OpError
		dns       *net.DNSError
	)
	switch {
	case errors.Is(err, identity.ErrNoCredentials):
		return "check the keys in the on-premises file, or the credentials file it names"
	case errors.As(err, &unknownCA):
		return "the service's certificate comes from an authority this host does not trust: name its PEM file with ca_file in the configuration, or in AWS_SSL_CA_BUNDLE"
	case errors.As(err, &cert):
		return "the service's certificate does not fit: compare its names and dates with deploy_control_endpoint and this host's clock"
	case errors.As(err, &dns):
		return "the service's name cannot be resolved: check region and deploy_control_endpoint"
	case errors.As(err, &network):
		return "the service cannot be reached: check deploy_control_endpoint, proxy_uri and firewalls"
	case awsjson.BadCredentials(err) != awsjson.NoComplaint:
		return "the service does not accept this host's keys: check the on-premises file and this host's clock"
	case answered(err):
		return "the service knows the keys, but not as those of this host: compare the ARN in the on-premises file with the registration " +
			"(aws deploy get-on-premises-instance), or register it: aws deploy register-on-premises-instance"
	}
	return ""
}
