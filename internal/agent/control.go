package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/atomicfile"
	"grapnel/internal/filelock"
	"grapnel/internal/script"
	"grapnel/internal/sdnotify"
)

// Errors of Start, Stop and Status that scripts tell apart by the exit code.
var (
	ErrRunning    = errors.New("the agent is running already")
	ErrNotRunning = errors.New("no AWS CodeDeploy agent running")
)

// Start runs the agent in the foreground until ctx ends. What the operator should see at once goes to out; everything
// else to the log file.
func Start(ctx context.Context, cfg config.Config, warnings []string, out io.Writer) error {
	script.SetUmask()
	pid, err := lockPID(cfg)
	if err != nil {
		return err
	}
	defer pid.release()
	root, err := lockRoot(cfg)
	if err != nil {
		return err
	}
	defer root.Close()
	file, err := logfile.OpenDaily(cfg.LogDir, cfg.ProgramName, cfg.Modes().Logs)
	if err != nil {
		return err
	}
	defer file.Close()
	log := logfile.NewLogger(file, cfg.ProgramName, cfg.Verbose)
	if err := run(ctx, cfg, warnings, log, out); err != nil {
		log.Error("the agent ends", slog.Any("error", err))
		return err
	}
	return nil
}

func run(ctx context.Context, cfg config.Config, warnings []string, log *slog.Logger, out io.Writer) error {
	for _, w := range warnings {
		log.Warn(w)
		fmt.Fprintln(out, "warning: "+w)
	}
	if cfg.DisableCoreDumps {
		if err := preventCoreDump(); err != nil {
			log.Warn("a crash may write this host's keys into a core file", slog.Any("error", err))
		}
	}
	if err := writeVersion(cfg.RootDir); err != nil {
		log.Warn("other programs cannot read the agent's version", slog.Any("error", err))
	}
	id, err := identity.Load(ctx, identity.Options{Config: cfg, Log: log})
	if err != nil {
		return err
	}
	systemd, err := sdnotify.FromEnvironment()
	if err != nil {
		log.Warn("systemd may not hear of this agent", slog.Any("error", err))
	}
	notice := func(text string) { fmt.Fprintln(out, text) }
	a, err := New(Options{Config: cfg, Identity: id, Log: log, Notice: notice, Supervisor: systemd})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "codedeploy-agent %s runs as PID %d for %s; its log is %s\n",
		config.Version, os.Getpid(), id.HostID, filepath.Join(cfg.LogDir, cfg.ProgramName+".log"))
	return a.Run(ctx)
}

// writeVersion tells programs beside the agent its version, in the file and the form of stock agents (agent.md 12).
func writeVersion(root string) error {
	path := filepath.Join(filepath.Dir(root), ".version")
	content := []byte("agent_version: " + config.Version + "\n")
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return nil // the package's own
	}
	return atomicfile.WriteFile(path, content, 0o444)
}

// Status returns the process number of the running agent, or ErrNotRunning. A process file that a crash left behind stays:
// removing it could hit that of an agent that starts at this moment, and only the lock says whether it counts.
func Status(cfg config.Config) (int, error) {
	f := pidFile(cfg)
	locked, err := filelock.Held(f.lockPath())
	if err != nil {
		return 0, fmt.Errorf("cannot tell whether the agent runs: %w", err)
	}
	if !locked {
		return 0, ErrNotRunning
	}
	return f.read()
}

// Stop ends the running agent and waits for it. It refuses while a lifecycle event is under way, because the event would
// hold the agent up (agent.md 1.1). A stopped agent is no error.
func Stop(ctx context.Context, cfg config.Config) error {
	pid, err := Status(cfg)
	if errors.Is(err, ErrNotRunning) {
		return nil
	} else if err != nil {
		return err
	}
	pending, err := newTracker(cfg).pending()
	if err != nil {
		return fmt.Errorf("the agent is not stopped: %w", err)
	}
	pending = slices.DeleteFunc(pending, func(t tracked) bool { return t.stale || t.end != nil }) // waits for its report to be delivered
	if len(pending) > 0 {
		return fmt.Errorf("the agent is not stopped, because a lifecycle event of deployment %s is in progress: try again when it has ended", pending[0].deployment)
	}
	if err := terminate(pid); err != nil {
		return fmt.Errorf("cannot stop the agent (PID %d): %w", pid, err)
	}
	return waitForEnd(ctx, cfg, pid)
}

func waitForEnd(ctx context.Context, cfg config.Config, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.KillAgentMaxWait)
	defer cancel()
	for {
		if _, err := Status(cfg); errors.Is(err, ErrNotRunning) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the agent (PID %d) was told to stop and still runs: a command may be under way, see its log", pid)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// pid is the process file. Whether its process runs is told by a lock on a second file, which the kernel drops however
// the process ends; stock agents lock the same one (agent.md 12).
type pid struct {
	path string
	lock *os.File
}

func pidFile(cfg config.Config) pid {
	return pid{path: filepath.Join(cfg.PIDDir, cfg.ProgramName+".pid")}
}

func (p pid) lockPath() string { return p.path + ".lock" }

// lockTries and lockPause keep a start from failing because a status looks at the lock at the same moment, which takes
// microseconds.
const (
	lockTries = 5
	lockPause = 20 * time.Millisecond
)

// lockRoot claims the deployment root. Another agent with a process file of its own would take this one's commands for
// interrupted ones, and end their scripts.
func lockRoot(cfg config.Config) (*os.File, error) {
	root, modes := cfg.RootDir, cfg.Modes()
	if err := os.MkdirAll(root, modes.Passable); err != nil {
		return nil, fmt.Errorf("cannot make root_dir: %w", err)
	}
	lock, err := filelock.Acquire(filepath.Join(root, ".lock"), modes.State)
	if errors.Is(err, filelock.ErrHeld) {
		err = fmt.Errorf("%w with the same root_dir and another pid_dir", ErrRunning)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot lock root_dir %s: %w", root, err)
	}
	return lock, nil
}

// lockPID claims to be the only agent with this process file.
func lockPID(cfg config.Config) (pid, error) {
	p := pidFile(cfg)
	if err := os.MkdirAll(cfg.PIDDir, 0o755); err != nil {
		return pid{}, fmt.Errorf("cannot make pid_dir: %w", err)
	}
	lock, err := filelock.Acquire(p.lockPath(), 0o644)
	for try := 1; errors.Is(err, filelock.ErrHeld) && try < lockTries; try++ {
		time.Sleep(lockPause)
		lock, err = filelock.Acquire(p.lockPath(), 0o644)
	}
	if errors.Is(err, filelock.ErrHeld) {
		number, err := p.read()
		if err != nil {
			return pid{}, ErrRunning
		}
		return pid{}, fmt.Errorf("%w as PID %d", ErrRunning, number)
	}
	if err != nil {
		return pid{}, fmt.Errorf("cannot make the process file: %w", err)
	}
	p.lock = lock
	if err := os.WriteFile(p.path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		lock.Close()
		return pid{}, fmt.Errorf("cannot write the process file: %w", err)
	}
	return p, nil
}

func (p pid) release() {
	os.Remove(p.path) // a stale one does no harm
	p.lock.Close()
}

func (p pid) read() (int, error) {
	data, err := os.ReadFile(p.path)
	if err != nil {
		return 0, fmt.Errorf("the agent runs, but its process number cannot be read: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || n <= 1 {
		return 0, fmt.Errorf("the agent runs, but %s holds %q instead of its process number", p.path, data)
	}
	return n, nil
}
