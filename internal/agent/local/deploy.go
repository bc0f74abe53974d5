package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/agent/source"
	"grapnel/internal/awsapi"
	"grapnel/internal/script"
)

// deploy runs a deployment. Everything that it says goes to stdout as progress, and to the log; an error other than
// errReported is about what came before its start.
func deploy(ctx context.Context, o *options, d *deployment, args []string, stdout, stderr io.Writer) error {
	cfg, warnings, err := config.Load(o.configFile)
	if err != nil {
		return err
	}
	script.SetUmask()
	if err := claimRoot(cfg); err != nil {
		return err
	}
	file, err := openLog(cfg)
	if err != nil {
		return err
	}
	defer file.Close()
	log := logfile.NewLogger(file, logName, cfg.Verbose)
	for _, w := range warnings {
		log.Warn(w)
		fmt.Fprintln(stderr, "warning: "+w)
	}
	exec, err := newExecutor(ctx, cfg, d, log)
	if err == nil && d.Revision.Local != nil {
		err = checkEvents(d.Revision.Local.Location, d)
	}
	if err != nil {
		log.Error("the deployment does not start", slog.Any("error", err))
		return err
	}
	defer surviveClosedOutput()()
	release, err := exec.Hold(d.GroupID)
	if err != nil {
		log.Error("the deployment does not start", slog.Any("error", err))
		return err
	}
	defer release()
	defer exec.Tidy()
	r := run{executor: exec, deployment: d, location: o.name(d.Revision), again: commandLine(args), log: log, progress: newProgress(stdout, o.json)}
	return r.all(ctx)
}

// run is one deployment under way.
type run struct {
	executor   *executor.Executor
	deployment *deployment
	location   string
	again      string // the command that repeats it
	log        *slog.Logger
	progress   progress
	changing   bool   // something has run that may change the host
	archive    string // of the revision whose scripts the event under way runs
}

// checkEvents finds out as early as can be that the revision's hooks are not those of the events.
func checkEvents(folder string, d *deployment) error {
	if err := executor.CheckEvents(folder, &d.Deployment); err != nil {
		return fmt.Errorf("%w. Name custom events in --events, among the others, each with hooks in the AppSpec", err)
	}
	return nil
}

// surviveClosedOutput keeps a deployment going when nobody reads its output any more, as with "| head": otherwise the first
// line after that would end this program, and the running script with it in the middle.
func surviveClosedOutput() (stop func()) {
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE) // and not Ignore, which scripts would inherit
	return func() { signal.Stop(broken) }
}

// all runs the events up to the first that fails.
func (r *run) all(ctx context.Context) error {
	d := &r.deployment.Deployment
	r.log.Info("a local deployment starts", slog.String("deployment", d.ID), slog.String("group", d.GroupID), slog.String("location", r.location))
	r.progress.begin(started{
		Deployment: d.ID, DeploymentGroup: d.GroupID, Location: r.location, Folder: r.executor.Folder(d), Events: r.deployment.events,
	})
	for _, event := range r.deployment.events {
		if err := r.event(ctx, event); err != nil {
			r.log.Error("the local deployment failed", slog.String("deployment", d.ID), slog.String("event", event), slog.Any("error", err))
			r.progress.end(r.failure(ctx, event, err))
			return errReported
		}
	}
	r.log.Info("the local deployment succeeded", slog.String("deployment", d.ID))
	r.progress.end(outcome{Status: statusSucceeded, Log: r.scriptsLog()})
	return nil
}

func (r *run) event(ctx context.Context, event string) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	d := &r.deployment.Deployment
	if r.executor.IsNoop(event, d) {
		r.progress.event(happening{Event: event, Status: statusSkipped})
		return nil
	}
	r.changing = r.changing || event != downloadBundle
	previous := r.executor.PreviousRevision(event, d)
	r.archive = cmp.Or(previous, filepath.Join(r.executor.Folder(d), source.ArchiveName))
	r.progress.event(happening{Event: event, Status: statusStarted, Previous: previous})
	note, err := r.executor.Run(ctx, event, d, executor.Watcher{Line: func(script, stream string, text []byte) {
		r.progress.line(event, script, stream, text)
	}})
	if err == nil && event == downloadBundle {
		err = checkEvents(r.archive, r.deployment)
	}
	if err != nil {
		return err
	}
	r.progress.event(happening{Event: event, Status: statusSucceeded, Note: note})
	return nil
}

// scriptsLog is where the scripts' output is, "" when none has run.
func (r *run) scriptsLog() string {
	path := r.executor.ScriptsLog(&r.deployment.Deployment)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// failure is the outcome of a deployment whose event failed.
func (r *run) failure(ctx context.Context, event string, err error) outcome {
	out := outcome{Status: statusFailed, Event: event, Code: int(awsapi.CodeUnknownError), Message: err.Error(), Log: r.scriptsLog()}
	var script *executor.ScriptError
	switch {
	case ctx.Err() != nil:
		out.Status = statusInterrupted
		state := "Nothing was changed on this host. Run the same command again"
		if r.changing {
			state = "This host may be half deployed. Run the same command again to put it right"
		}
		out.Message = fmt.Sprintf("interrupted during %s. %s: %s (%v)", event, state, r.again, err)
	case errors.As(err, &script):
		out.Code, out.Script, out.ScriptPath = int(script.Code), script.Script, filepath.Join(r.archive, script.Script)
	}
	return out
}

// commandLine is the command that repeats this run, as it can be pasted into a shell, without the token.
func commandLine(args []string) string {
	words := []string{logName}
	hidden := false
	for _, arg := range args {
		switch {
		case hidden:
			arg, hidden = "TOKEN", false
		case arg == "--github-token":
			hidden = true
		case strings.HasPrefix(arg, "--github-token="):
			arg = "--github-token=TOKEN"
		}
		words = append(words, quoted(arg))
	}
	return strings.Join(words, " ")
}

// quoted protects a word from a shell where it has to be.
func quoted(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+./:,@%"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
