package doctor

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/transport"
)

// examination is what several checks need. Each part is found out once, for the first check that asks; the others wait for it.
//
//	setup ──▶ identity ──▶ endpoints ──▶ a visit to each
//
// A part that cannot be had fails the check that is named for it; the checks that need it are skipped, so that there is one
// failure for one cause.
type examination struct {
	setup     func() (setup, error)
	identity  func() (host, error)
	endpoints func() (endpoints, error)
}

// setup is how the agent is configured.
type setup struct {
	config.Config
	path     string // of the configuration file, "" when there is none
	warnings []string
	client   *http.Client // the agent's own
}

// host is who this host is.
type host struct {
	identity.Identity
	warnings []string
}

// begin prepares an examination whose waiting ends with ctx.
func begin(ctx context.Context, configFile string) *examination {
	x := &examination{}
	x.setup = once(ctx, func() (setup, error) { return configured(configFile) })
	x.identity = once(ctx, func() (host, error) {
		s, err := x.setup()
		if err != nil {
			return host{}, err
		}
		var log warnings
		id, err := identity.Load(ctx, identity.Options{Config: s.Config, Log: slog.New(&log)})
		return host{id, log.texts}, err
	})
	x.endpoints = once(ctx, func() (endpoints, error) {
		s, err := x.setup()
		if err != nil {
			return endpoints{}, err
		}
		id, err := x.identity()
		if err != nil { // what the configuration names can be looked at all the same
			id.CommandEndpoint, id.S3Endpoint = s.DeployControlEndpoint, s.S3EndpointOverride
		}
		return s.endpoints(ctx, id.CommandEndpoint, id.S3Endpoint)
	})
	return x
}

// errLate is what a part comes to that hangs.
var errLate = errors.New("this could not be found out in time: something hangs")

// once finds a part out for the first who asks. All of them wait for it, until ctx ends.
func once[T any](ctx context.Context, find func() (T, error)) func() (T, error) {
	found := make(chan struct{})
	var part T
	var err error
	begin := sync.OnceFunc(func() {
		go func() {
			part, err = find()
			close(found)
		}()
	})
	return func() (T, error) {
		begin()
		select {
		case <-found:
			return part, err
		case <-ctx.Done():
			var nothing T
			return nothing, errLate
		}
	}
}

func configured(path string) (setup, error) {
	if path == "" {
		path = config.UsualPath()
	}
	cfg, warnings, err := config.Load(path)
	if err != nil {
		return setup{}, err
	}
	client, err := transport.New(cfg)
	return setup{cfg, path, warnings, client}, err
}

// withSetup is a check that needs the configuration.
func (x *examination) withSetup(look func(context.Context, setup, *Result)) func(context.Context, *Result) {
	return func(ctx context.Context, r *Result) {
		s, err := x.setup()
		if err != nil {
			r.skip("needs the configuration")
			return
		}
		look(ctx, s, r)
	}
}

// withIdentity is a check that needs to know who this host is.
func (x *examination) withIdentity(look func(context.Context, host, *Result)) func(context.Context, *Result) {
	return func(ctx context.Context, r *Result) {
		id, err := x.identity()
		if err != nil {
			r.skip("needs the identity")
			return
		}
		look(ctx, id, r)
	}
}

// withEndpoints is a check that needs to know which services this host calls.
func (x *examination) withEndpoints(look func(context.Context, endpoints, *Result)) func(context.Context, *Result) {
	return func(ctx context.Context, r *Result) {
		e, err := x.endpoints()
		if err != nil {
			r.skip("needs the identity, which says where the services are")
			return
		}
		look(ctx, e, r)
	}
}

// endpoints are the services that this host calls. They are the same one when both have one address.
type endpoints struct{ command, s3 *endpoint }

var errNowhere = errors.New("it is not known where the services are")

func (s setup) endpoints(ctx context.Context, command, s3 string) (endpoints, error) {
	if command == "" || s3 == "" {
		return endpoints{}, errNowhere
	}
	c, err := url.Parse(command)
	if err != nil {
		return endpoints{}, err
	}
	b, err := url.Parse(s3)
	if err != nil {
		return endpoints{}, err
	}
	e := endpoints{command: newEndpoint(ctx, s, c)}
	if e.s3 = e.command; b.Scheme != c.Scheme || b.Host != c.Host {
		e.s3 = newEndpoint(ctx, s, b)
	}
	return e, nil
}

// all returns each of them once.
func (e endpoints) all() []*endpoint {
	if e.command == e.s3 {
		return []*endpoint{e.command}
	}
	return []*endpoint{e.command, e.s3}
}

// warnings is a log that keeps what the agent would warn of.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

// Enabled implements [slog.Handler].
func (*warnings) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements [slog.Handler].
func (w *warnings) Handle(_ context.Context, r slog.Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, r.Message)
	return nil
}

// WithAttrs implements [slog.Handler]; what is said without them is enough here.
func (w *warnings) WithAttrs([]slog.Attr) slog.Handler { return w }

// WithGroup implements [slog.Handler].
func (w *warnings) WithGroup(string) slog.Handler { return w }
