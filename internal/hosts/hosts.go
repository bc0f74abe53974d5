package hosts

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/bell"
	"grapnel/internal/logs"
	"grapnel/internal/store"
)

// Store is what the protocol needs of the store.
type Store interface {
	store.Commands
	Deployment(ctx context.Context, id string) (store.Deployment, error)
	HostByARN(ctx context.Context, arn string) (store.Host, error)
	HostsSeen(ctx context.Context, seen []store.Presence) error
	GroupGitHubToken(ctx context.Context, group string) (store.GitHubToken, error)
}

// Options are the settings of a Service.
type Options struct {
	Store           Store
	Signer          *Signer
	Sealer          Sealer                  // of GitHub tokens
	Region, Account string                  // parts of an execution id
	Wake            func(deployment string) // the engine's
	Logs            *logs.Service           // takes the output of scripts; nil leaves it out
	Hold            time.Duration           // how long a poll is held with nothing to do; 0 means 45 s
	Log             *slog.Logger            // nil means slog.Default
}

// Service serves the five operations of the host-command protocol, by ServeHTTP or one by one. Make one with New, and run it
// with Run.
type Service struct {
	store           Store
	region, account string
	wake            func(deployment string)
	hold            time.Duration
	logs            *logs.Service
	log             *slog.Logger

	mux      *awsjson.Mux
	bells    bell.Bells // of hosts whose polls are held
	presence *presence
	specs    *specs
	draining chan struct{} // closed when held polls are to return
}

// defaultHold is how long the real service holds a poll (service.md 4.6). Agents give up after 80 s.
const defaultHold = 45 * time.Second

// New returns a Service.
func New(o Options) *Service {
	s := &Service{
		store: o.Store, region: o.Region, account: o.Account, wake: o.Wake, logs: o.Logs,
		hold: cmp.Or(o.Hold, defaultHold), log: cmp.Or(o.Log, slog.Default()),
		presence: newPresence(), specs: newSpecs(o), draining: make(chan struct{}),
	}
	s.mux = awsjson.NewMux(awsjson.Options{Log: s.log})
	handle(s, "PollHostCommand", s.PollHostCommand)
	handle(s, "GetDeploymentSpecification", s.GetDeploymentSpecification)
	handle(s, "PutHostCommandAcknowledgement", s.PutHostCommandAcknowledgement)
	handle(s, "PutHostCommandComplete", s.PutHostCommandComplete)
	handle(s, "PostHostCommandUpdate", s.PostHostCommandUpdate)
	return s
}

// Run writes the presence of hosts until ctx ends. Then it lets every held poll return empty at once, so that a server that
// stops need not wait for them; it returns nil.
func (s *Service) Run(ctx context.Context) error {
	s.presence.run(ctx, s.log, s.store.HostsSeen)
	close(s.draining)
	return nil
}

// Issued lets the held polls of these hosts look again: for Work, and whether they are registered still. It does not block.
func (s *Service) Issued(hosts []string) { s.bells.Ring(hosts...) }

// Reprieved lets all held polls look again: the deadlines of Work were put off, and what looked overdue may be taken. It
// does not block.
func (s *Service) Reprieved() { s.bells.RingAll() }

// ServeHTTP serves one request. The caller of it has authenticated the host and named it by WithCaller.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := context.WithValue(r.Context(), agentKey{}, r.Header.Get(awsapi.AgentVersionHeader))
	s.mux.ServeHTTP(w, r.WithContext(ctx))
}

type agentKey struct{}

// maxAgentVersion bounds what is kept of an agent's version, in bytes.
const maxAgentVersion = 129

// agentVersion returns what the agent says it is, "" if it does not. It is stored together with those of other hosts, whom
// one header that is no text must not harm.
func agentVersion(ctx context.Context) string {
	version, _ := ctx.Value(agentKey{}).(string)
	return head(text(strings.ToValidUTF8(version, "")), maxAgentVersion)
}

// handle registers an operation under both prefixes (agent.md 4.1).
func handle[In, Out any](s *Service, operation string, fn func(context.Context, Caller, *In) (*Out, error)) {
	run := func(ctx context.Context, in *In) (*Out, error) {
		caller, ok := ctx.Value(callerKey{}).(Caller)
		if !ok {
			return nil, refused("only a registered host may call %s", operation)
		}
		out, err := fn(ctx, caller, in)
		if err != nil {
			return nil, s.visible(ctx, operation, caller, err)
		}
		return out, nil
	}
	awsjson.Handle(s.mux, awsapi.CommandPrefix+"."+operation, run)
	awsjson.Handle(s.mux, awsapi.CommandPrefixSecure+"."+operation, run)
}

// visible returns what the agent is told of an error. The protocol knows two names (agent.md 4.2).
func (s *Service) visible(ctx context.Context, operation string, caller Caller, err error) error {
	var told *awsjson.Error
	if errors.As(err, &told) {
		return told
	}
	if errors.Is(err, store.ErrNotFound) {
		return refused("the command is gone: its deployment was deleted meanwhile")
	}
	if ctx.Err() == nil {
		s.log.Error("a host was not served", "operation", operation, "host", caller.Name, "request", awsjson.RequestID(ctx), "error", err)
	}
	return &awsjson.Error{
		Name:   awsapi.ServerException,
		Status: http.StatusInternalServerError,
		Message: "The server could not do this because of an internal error; try again. Its log tells more about request " +
			awsjson.RequestID(ctx) + ".",
	}
}

// refused returns an error that is the agent's fault.
func refused(format string, args ...any) *awsjson.Error {
	return awsjson.Errorf(awsapi.ClientException, format, args...)
}
