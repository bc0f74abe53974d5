package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Version is what the agent calls itself to the service. It is a number above that of every stock agent with the same
// abilities, because services decide by it what they may send (agent.md 4.1).
const Version = "2.0.0"

// Options are what Run needs.
type Options struct {
	Config   Config
	Identity Identity
	Log      *slog.Logger
	// Notice is told what whoever starts the agent should see at once; nil means that nobody looks.
	Notice func(text string)
}

// Agent is one host's agent.
type Agent struct {
	cfg      Config
	id       Identity
	service  *service
	verifier verifier
	executor *executor
	tracker  *tracker
	ledger   ledger
	turns    turns
	slots    chan struct{} // one element per running command
	reported chan struct{} // holds an element when a report was delivered and no poll has succeeded since
	ending   chan struct{} // closed when no more commands are taken
	running  sync.WaitGroup
	log      *slog.Logger
	notice   func(text string)
}

// New prepares an agent without contacting anybody.
func New(opts Options) (*Agent, error) {
	cfg := opts.Config
	hc, err := newHTTPClient(cfg)
	if err != nil {
		return nil, err
	}
	svc, err := newService(cfg, opts.Identity, Version, hc)
	if err != nil {
		return nil, err
	}
	workDir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("the folder that the agent was started in is gone: %w", err)
	}
	names := layout{root: cfg.RootDir, program: cfg.ProgramName, tracking: cfg.OngoingDeploymentTracking}
	if err := makeDir(names.root); err != nil {
		return nil, err
	}
	var deployments *deploymentsLog
	if cfg.EnableDeploymentsLog {
		deployments = &deploymentsLog{path: names.deploymentsLog()}
	}
	return &Agent{
		cfg:      cfg,
		id:       opts.Identity,
		service:  svc,
		verifier: verifier{hostID: opts.Identity.HostID, signer: cfg.SpecificationSigner},
		executor: &executor{
			layout:       names,
			maxRevisions: cfg.MaxRevisions,
			maxUnpacked:  cfg.ArchiveMaxExtractionSize,
			bundles:      newBundleStore(cfg, opts.Identity, hc, opts.Log),
			env:          baseEnvironment(os.Environ(), opts.Identity.Region),
			workDir:      workDir,
			deployments:  deployments,
			log:          opts.Log,
		},
		tracker:  &tracker{dir: names.trackingDir()},
		slots:    make(chan struct{}, maxRunning),
		reported: make(chan struct{}, 1),
		ending:   make(chan struct{}),
		log:      opts.Log,
		notice:   opts.Notice,
	}, nil
}

// errKilled ends commands that did not end by themselves in the time the configuration gives them.
var errKilled = errors.New("the agent had to end, and kill_agent_max_wait_time_seconds have passed")

// Run serves the host until ctx ends, and then for as long as commands are running, at most the configured time. The held
// poll is given up at once, so that no command is taken that would not be run.
func (a *Agent) Run(ctx context.Context) error {
	work, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	a.log.Info("the agent polls for commands", slog.String("version", Version), slog.String("host", a.id.HostID),
		slog.String("endpoint", a.service.client.Endpoint))
	a.recoverInterrupted(work)
	a.poll(ctx, work)
	close(a.ending)
	a.log.Info("the agent takes no more commands and ends when those under way have")
	return a.drain(kill)
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
