package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/agent/source"
	"grapnel/internal/agent/transport"
	"grapnel/internal/sdnotify"
)

// Options are what Run needs.
type Options struct {
	Config   config.Config
	Identity identity.Identity
	Log      *slog.Logger
	// Notice is told what whoever starts the agent should see at once; nil means that nobody looks.
	Notice func(text string)
	// Supervisor hears when the agent is ready, and that it is alive; nil means that there is none.
	Supervisor *sdnotify.Notifier
}

// Agent is one host's agent.
type Agent struct {
	cfg      config.Config
	id       identity.Identity
	service  *service
	verifier verifier
	executor *executor.Executor
	tracker  *tracker
	ledger   ledger
	turns    turns
	slots    chan struct{} // one element per running command
	reported chan struct{} // holds an element when a report was delivered and no poll has succeeded since
	ending   chan struct{} // closed when no more commands are taken
	running  sync.WaitGroup
	idle     *time.Timer // runs giveBack when nothing has run for a while
	log      *slog.Logger
	notice   func(text string)
	systemd  *sdnotify.Notifier
	polled   atomic.Int64 // when the loop of polls went round last, in Unix nanoseconds
}

// New prepares an agent without contacting anybody.
func New(opts Options) (*Agent, error) {
	cfg := opts.Config
	hc, err := transport.New(cfg)
	if err != nil {
		return nil, err
	}
	if cfg.LogAWSWire {
		hc.Transport = source.Wire(hc.Transport, wireLog(cfg))
	}
	exec, err := executor.New(cfg, opts.Identity, hc, opts.Log)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		cfg:      cfg,
		id:       opts.Identity,
		service:  newService(cfg, opts.Identity, hc),
		verifier: verifier{hostID: opts.Identity.HostID, signer: cfg.SpecificationSigner},
		executor: exec,
		tracker:  newTracker(cfg),
		slots:    make(chan struct{}, maxRunning),
		reported: make(chan struct{}, 1),
		ending:   make(chan struct{}),
		log:      opts.Log,
		notice:   opts.Notice,
		systemd:  opts.Supervisor,
	}
	a.idle = time.AfterFunc(time.Hour, a.giveBack)
	a.idle.Stop()
	return a, nil
}

// wireLog is where requests and replies are written on demand (agent.md 11).
func wireLog(cfg config.Config) io.Writer {
	return &logfile.Sized{
		Path:  filepath.Join(cfg.LogDir, cfg.ProgramName+".aws_wire.log"),
		Keep:  16,
		Modes: logfile.Modes{Dir: cfg.Modes().Logs.Dir, File: 0o640},
	}
}

// errKilled ends commands that did not end by themselves in the time the configuration gives them.
var errKilled = errors.New("the agent had to end, and kill_agent_max_wait_time_seconds have passed")

// Run serves the host until ctx ends, and then for as long as commands are running, at most the configured time. The held
// poll is given up at once, so that no command is taken that would not be run.
func (a *Agent) Run(ctx context.Context) error {
	work, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	a.log.Info("the agent polls for commands", slog.String("version", config.Version), slog.String("host", a.id.HostID),
		slog.String("endpoint", shown(a.service.client.Endpoint)))
	a.polled.Store(time.Now().UnixNano())
	go a.systemd.Watch(work, a.alive)
	a.recoverInterrupted(work)
	a.tell(a.systemd.Ready("polls " + shown(a.service.client.Endpoint) + " as " + a.id.HostID))
	a.idle.Reset(idleAfter) // reading certificates and configuration took more than polls need
	defer a.idle.Stop()
	a.poll(ctx, work)
	close(a.ending)
	a.tell(a.systemd.Stopping("ends when the lifecycle events under way have"))
	a.log.Info("the agent takes no more commands and ends when those under way have")
	return a.drain(kill)
}

// shown is an address without the password that may be in it.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address that cannot be read"
	}
	return u.Redacted()
}

// alive reports whether polls go round. Each is held for a while, and after failures there is a pause. An agent that ends
// polls no more and is alive: what it waits for has a deadline.
func (a *Agent) alive() bool {
	select {
	case <-a.ending:
		return true
	default:
		return time.Since(time.Unix(0, a.polled.Load())) < a.cfg.HTTPReadTimeout+longestPause
	}
}

// longestPause is more than any pause between two polls (agent.md 4.3).
const longestPause = 5 * time.Minute

func (a *Agent) tell(err error) {
	if err != nil {
		a.log.Warn("systemd does not hear of this agent", slog.Any("error", err))
	}
}

func (a *Agent) drain(kill context.CancelCauseFunc) error {
	ended := make(chan struct{})
	go func() {
		a.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(a.cfg.KillAgentMaxWait)
	defer timer.Stop()
	select {
	case <-ended:
		a.log.Info("the agent has ended")
		return nil
	case <-timer.C:
		kill(errKilled)
		<-ended
		return errKilled
	}
}
