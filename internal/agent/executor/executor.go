// Package executor runs the commands of a deployment on this host: DownloadBundle, Install, and the hook scripts of every
// other lifecycle event (agent.md 4.6, 6, 8, 9, 10). It knows nothing of the service that sends them: the agent runs it for
// commands that it has polled, codedeploy-local for a person.
//
//	download.go    DownloadBundle: retention, fetch, unpack          (retention.go; packages source and bundle)
//	install.go     Install: preflight, plan, clean up, copy          (preflight.go; package install)
//	hooks.go       every other event: the scripts of the right revision (revision.go, environment.go, hooklog.go; package script)
//	layout.go      names on disk
package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/agent/source"
	"grapnel/internal/awsapi"
	"grapnel/internal/lifecycle"
	"grapnel/internal/mount"
	"grapnel/internal/script"
)

// Deployment is what a command belongs to: the verified specification of the service (agent.md 5.2), or what the command
// line of codedeploy-local says.
type Deployment struct {
	ID                 string
	GroupID            string // names the group's folder
	GroupName          string
	ApplicationName    string
	Creator            string
	Type               string // IN_PLACE or BLUE_GREEN
	AppSpecFilename    string
	FileExistsBehavior string   // DISALLOW, OVERWRITE or RETAIN; the AppSpec's own goes before it
	PossibleEvents     []string // nil when nobody said
	Revision           source.Revision
	WayPast            string // how to deploy although scripts of the revision installed before fail, "" for the service's way
	ReuseArchiveFrom   string // id of an earlier deployment of the group with the same revision, "" for none (agent.md 10.5)
}

// Executor runs commands, several at a time, but for each deployment group only one.
type Executor struct {
	cfg         config.Config
	source      *source.Source
	layout      layout
	modes       config.Modes
	env         []string       // what scripts inherit
	workDir     string         // of scripts: the agent's own
	deployments *logfile.Sized // of all deployments' output; nil when it is switched off
	log         *slog.Logger

	groups groupLocks
}

// New prepares to run commands as the configuration wants it. The identity is for bundles in S3, and gives scripts their
// region. The first command makes the deployment root.
func New(cfg config.Config, id identity.Identity, hc *http.Client, log *slog.Logger) (*Executor, error) {
	workDir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("the folder that this program was started in is gone: %w", err)
	}
	e := &Executor{
		cfg:     cfg,
		layout:  layout{root: cfg.RootDir, program: cfg.ProgramName},
		modes:   cfg.Modes(),
		env:     baseEnvironment(os.Environ(), id.Region, cfg.Hardening),
		workDir: workDir,
		log:     log,
	}
	e.source = source.New(source.Options{
		HTTP:        hc,
		Region:      id.Region,
		Credentials: id.Credentials,
		S3Endpoint:  cfg.S3EndpointOverride,
		FIPS:        cfg.UseFIPSMode,
		Stalled:     cfg.HTTPReadTimeout,
		Root:        cfg.RootDir,
		Mode:        e.modes.State,
		Domain:      id.Domain,
		HasRoom:     func(path string, bytes int64) error { return mount.HasRoom(path, bytes, 1) },
		Log:         log,
	})
	if cfg.EnableDeploymentsLog {
		e.deployments = &logfile.Sized{Path: e.layout.deploymentsLog(), Keep: logsKept, Modes: e.modes.Output}
	}
	return e, nil
}

// ScriptError is the end of a hook whose script failed.
type ScriptError struct {
	Code    awsapi.DiagnosticsCode
	Script  string // location as the AppSpec has it
	Message string
	Log     string // tail of the event's output
}

// Error returns what happened and what can be done about it.
func (e *ScriptError) Error() string { return e.Message }

// Watcher hears what happens while scripts run; each of its functions may be nil.
type Watcher struct {
	// Script is called with the process group of each script: before it is started with its announcement, then with its
	// number, and with none when it has ended. When it returns, the group can be found again after a crash if it was stored.
	Script func(script.Group)
	// Line is called with each line of a script's output, in order. It must not block; line is valid during the call.
	Line func(script, stream string, line []byte)
}

// ErrUnsupported is the end of a command that this agent does not know.
var ErrUnsupported = errors.New("unsupported command type")

// Run executes one command. The note is for whoever reads how the command ended. A failed script is a *[ScriptError].
func (e *Executor) Run(ctx context.Context, command string, d *Deployment, w Watcher) (note string, err error) {
	download, install := command == string(lifecycle.DownloadBundle), command == string(lifecycle.Install)
	if !download && !install && !isHook(command, d) {
		return "", fmt.Errorf("%w %q: this agent runs DownloadBundle, Install and lifecycle event hooks", ErrUnsupported, command)
	}
	for _, dir := range []string{e.layout.group(d.GroupID), e.Folder(d)} {
		if err := makeDir(dir, e.modes.Passable); err != nil {
			return "", err
		}
	}
	release, err := e.claim(ctx, d.GroupID)
	if err != nil {
		return "", err
	}
	defer release()
	switch {
	case download:
		return e.downloadBundle(ctx, d)
	case install:
		return e.install(ctx, d)
	default:
		return "", e.hook(ctx, command, d, w)
	}
}

// IsNoop reports whether a command has nothing to run (agent.md 4.5). When that cannot be told the answer is no: running
// it will show what is wrong.
func (e *Executor) IsNoop(command string, d *Deployment) bool {
	if command == string(lifecycle.DownloadBundle) || command == string(lifecycle.Install) {
		return false
	}
	if !isHook(command, d) {
		return true
	}
	_, scripts, err := e.layout.scripts(command, d)
	return err == nil && len(scripts) == 0
}

// Folder is where a deployment's bundle, archive and logs lie.
func (e *Executor) Folder(d *Deployment) string { return string(e.layout.deployment(d.GroupID, d.ID)) }

// ScriptsLog is the log of a deployment's scripts.
func (e *Executor) ScriptsLog(d *Deployment) string {
	return e.layout.deployment(d.GroupID, d.ID).scriptsLog()
}

// makeDir makes a folder and those above it.
func makeDir(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return fmt.Errorf("cannot make the folder %s: %w", filepath.Clean(path), err)
	}
	return nil
}
