package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"grapnel/internal/appspec"
	"grapnel/internal/awsapi"
	"grapnel/internal/script"
)

// ErrEventLimit ends a command that the service is about to give up.
var ErrEventLimit = errors.New("the time of a lifecycle event, an hour from its acknowledgement, has passed")

// ScriptMargin is how long before the end of a command's time its script ends: ending one takes up to twice
// [script.DefaultGrace], and the script's own failure tells more than that of its event.
const ScriptMargin = 3 * script.DefaultGrace

// hook runs the scripts of one event, in the AppSpec's order, up to the first that fails (agent.md 9).
func (e *Executor) hook(ctx context.Context, event string, d *Deployment, w Watcher) error {
	from, scripts, err := e.layout.scripts(event, d)
	if err != nil || len(scripts) == 0 {
		return err
	}
	log := e.newHookLog(d)
	defer log.close()
	log.line("LifecycleEvent - ", []byte(event))
	run := scriptRun{
		event:    event,
		from:     from,
		env:      hookEnvironment(e.env, event, d),
		wayPast:  wayPast(event, d),
		confined: e.cfg.Hardening.RejectPathTraversal,
		dir:      e.workDir,
		log:      log,
		agentLog: e.log.With(slog.String("deployment", d.ID), slog.String("event", event)),
		watcher:  w,
	}
	for _, s := range scripts {
		if err := run.script(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// scriptRun is what the scripts of one event have in common.
type scriptRun struct {
	event    string
	from     chosen
	env      []string
	wayPast  string
	confined bool // to scripts of the bundle
	dir      string
	log      *hookLog
	agentLog *slog.Logger
	watcher  Watcher
}

func (r scriptRun) script(ctx context.Context, s appspec.Script) error {
	r.log.line("Script - ", []byte(s.Location))
	if failure := r.prepare(s); failure != nil {
		return r.blame(failure)
	}
	timeout := s.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)-ScriptMargin)
	}
	if timeout <= 0 {
		return r.blame(&ScriptError{Code: awsapi.CodeScriptTimedOut, Script: s.Location,
			Message: fmt.Sprintf("script %s was not started: %v", s.Location, ErrEventLimit)})
	}
	r.agentLog.Info("running a script", slog.String("script", s.Location), slog.String("of", r.from.dir.archive()))
	group := r.announce()
	result := script.Run(ctx, script.Command{
		Path:    scriptPath(r.from.dir.archive(), s.Location),
		Env:     r.env,
		Dir:     r.dir,
		RunAs:   s.RunAs,
		Sudo:    s.Sudo,
		Timeout: timeout,
		Line:    r.output(s.Location),
		ID:      group.ID,
		Started: func(pgid int) { r.started(group, pgid) },
	})
	if r.watcher.Script != nil {
		r.watcher.Script(script.Group{}) // should the agent crash now, what the script has left running is spared
	}
	if result.Err != nil && ctx.Err() != nil {
		return fmt.Errorf("script %s was ended: %w", s.Location, result.Err)
	}
	r.agentLog.Info("script ended", slog.String("script", s.Location), slog.Duration("after", result.Duration),
		slog.Int("exit_code", result.ExitCode))
	if len(result.Holders) > 0 {
		r.agentLog.Info("the script's output is held open", slog.String("stream", result.Stream), slog.String("by", strings.Join(result.Holders, ", ")))
	}
	if failure := judge(s, timeout, result); failure != nil {
		return r.blame(failure)
	}
	return nil
}

// announce tells the watcher of a script that is about to start.
func (r scriptRun) announce() script.Group {
	group, err := script.Announce()
	if err != nil {
		r.agentLog.Warn("should the agent crash now, this script could not be ended", slog.Any("error", err))
	} else if r.watcher.Script != nil {
		r.watcher.Script(group)
	}
	return group
}

// started tells the watcher of a script that runs. One that has ended already needs nothing.
func (r scriptRun) started(group script.Group, pgid int) {
	group, err := group.Identify(pgid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		r.agentLog.Warn("should the agent crash now, this script could only be found by its environment", slog.Any("error", err))
	case r.watcher.Script != nil:
		r.watcher.Script(group)
	}
}

// output hands each line of a script's output to the logs and to whoever watches.
func (r scriptRun) output(location string) func(stream string, line []byte) {
	if r.watcher.Line == nil {
		return r.log.output
	}
	return func(stream string, line []byte) {
		r.log.output(stream, line)
		r.watcher.Line(location, stream, line)
	}
}

// prepare checks that the script is there and can be executed. A script that was packed without its execute bit gets it.
func (r scriptRun) prepare(s appspec.Script) *ScriptError {
	archive := r.from.dir.archive()
	path := scriptPath(archive, s.Location)
	if appspec.ClimbsOut(s.Location) && r.confined {
		return outsideRefused(s)
	}
	if failure := findScript(archive, s); failure != nil {
		return failure
	}
	if appspec.ClimbsOut(s.Location) {
		r.agentLog.Warn("the script lies outside the bundle, so the revision does not decide what it does", slog.String("script", path))
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = errors.New("it is no file but a device, a pipe or a socket")
	}
	if err == nil && info.Mode()&0o100 == 0 {
		r.agentLog.Warn("the script was not executable and is made so", slog.String("script", path))
		err = os.Chmod(path, info.Mode()|0o111)
	}
	if err != nil {
		return &ScriptError{
			Code: awsapi.CodeScriptNotExecutable, Script: s.Location,
			Message: fmt.Sprintf("script %s cannot be made executable: %v", s.Location, err),
		}
	}
	return nil
}

// outsideRefused is the failure of a script that lies outside the bundle where that is not allowed.
func outsideRefused(s appspec.Script) *ScriptError {
	return &ScriptError{Code: awsapi.CodeScriptMissing, Script: s.Location, Message: fmt.Sprintf(
		"script %s (AppSpec line %d) lies outside the bundle, which reject_path_traversal_in_bundle does not allow: move it into the bundle", s.Location, s.Line)}
}

// blame completes a failure with the event's output and says whose script it was: it is a frequent surprise that events
// before DownloadBundle run the scripts of the previous revision.
func (r scriptRun) blame(f *ScriptError) error {
	if r.from.previous {
		f.Message += fmt.Sprintf(" (a script of the revision installed before this one, in %s)%s", r.from.dir.archive(), r.wayPast)
	}
	f.Log = r.log.lastLines()
	r.log.line("", []byte(f.Message))
	return f
}

// judge turns the end of a script that had the given time into a failure, nil when it succeeded (agent.md 4.7, 9.5).
func judge(s appspec.Script, timeout time.Duration, result script.Result) *ScriptError {
	f := &ScriptError{Code: awsapi.CodeScriptFailed, Script: s.Location}
	who := "script " + s.Location
	if s.RunAs != "" {
		who += " run as user " + s.RunAs
	}
	seconds := int(timeout.Round(time.Second).Seconds())
	switch result.Outcome {
	case script.Succeeded:
		return nil
	case script.NotStarted:
		f.Message = fmt.Sprintf("%s could not be started: %v", who, result.Err)
	case script.TimedOut:
		f.Code = awsapi.CodeScriptTimedOut
		advice := fmt.Sprintf("Raise its timeout (AppSpec line %d)", s.Line)
		if timeout < s.Timeout {
			advice = "Its lifecycle event had no more time, whatever the timeouts of its scripts: make it quicker"
		}
		f.Message = fmt.Sprintf("%s did not end within %d seconds and was ended. %s, or let it start long-running programs in the "+
			"background with both outputs redirected", who, seconds, advice)
		if result.Err != nil {
			f.Message += fmt.Sprintf(" (%v)", result.Err)
		}
	case script.OutputsOpen:
		f.Code = awsapi.CodeOutputsLeftOpen
		f.Message = fmt.Sprintf("%s ended, but its %s was still open after %d seconds%s. Redirect both outputs of what it starts in the "+
			"background: program > /var/log/program.log 2>&1 &", who, result.Stream, seconds, holders(result.Holders))
	default:
		f.Message = fmt.Sprintf("%s failed with exit code %d", who, result.ExitCode)
		if result.Signal != "" {
			f.Message = fmt.Sprintf("%s was ended by signal %s (exit code %d)", who, result.Signal, result.ExitCode)
		}
	}
	return f
}

// holders names programs without their process ids, once each, so that the server sees that hosts fail for the same reason.
func holders(processes []string) string {
	if len(processes) == 0 {
		return ""
	}
	var names []string
	for _, p := range processes {
		names = append(names, p[:strings.LastIndex(p, " (")])
	}
	slices.Sort(names)
	return ", held by " + strings.Join(slices.Compact(names), ", ")
}
