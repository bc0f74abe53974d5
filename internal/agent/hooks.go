package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"grapnel/internal/appspec"
	"grapnel/internal/awsapi"
	"grapnel/internal/lifecycle"
	"grapnel/internal/script"
)

// hook runs the scripts of one event, in the AppSpec's order, up to the first that fails (agent.md 9).
func (e *executor) hook(ctx context.Context, event string, spec *specification, started func(pgid int)) error {
	from, scripts, err := e.layout.scripts(event, spec)
	if err != nil || len(scripts) == 0 {
		return err
	}
	dir := e.layout.deployment(spec.GroupID, spec.DeploymentID)
	log, err := openHookLog(dir, spec.DeploymentID, e.deployments, e.log)
	if err != nil {
		return err
	}
	defer log.close()
	log.line("LifecycleEvent - ", []byte(event))
	run := scriptRun{
		event:    event,
		from:     from,
		env:      hookEnvironment(e.env, event, spec),
		dir:      e.workDir,
		log:      log,
		agentLog: e.log.With(slog.String("deployment", spec.DeploymentID), slog.String("event", event)),
		started:  started,
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
	dir      string
	log      *hookLog
	agentLog *slog.Logger
	started  func(pgid int)
}

func (r scriptRun) script(ctx context.Context, s appspec.Script) error {
	r.log.line("Script - ", []byte(s.Location))
	if failure := r.prepare(s); failure != nil {
		return r.blame(failure)
	}
	timeout := s.Timeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)-scriptMargin)
	}
	if timeout <= 0 {
		return r.blame(&scriptFailure{code: awsapi.CodeScriptTimedOut, script: s.Location,
			message: fmt.Sprintf("script %s was not started: %v", s.Location, errEventLimit)})
	}
	r.agentLog.Info("running a script", slog.String("script", s.Location), slog.String("of", r.from.dir.archive()))
	result := script.Run(ctx, script.Command{
		Path:    scriptPath(r.from.dir.archive(), s.Location),
		Env:     r.env,
		Dir:     r.dir,
		RunAs:   s.RunAs,
		Sudo:    s.Sudo,
		Timeout: timeout,
		Line:    r.log.output,
		Started: r.started,
	})
	if result.Err != nil && ctx.Err() != nil {
		return fmt.Errorf("script %s was ended: %w", s.Location, result.Err)
	}
	r.agentLog.Info("script ended", slog.String("script", s.Location), slog.Duration("after", result.Duration),
		slog.Int("exit_code", result.ExitCode))
	if failure := judge(s, timeout, result); failure != nil {
		return r.blame(failure)
	}
	return nil
}

// prepare checks that the script is there and can be executed. A script that was packed without its execute bit gets it.
func (r scriptRun) prepare(s appspec.Script) *scriptFailure {
	archive := r.from.dir.archive()
	if failure := findScript(archive, s); failure != nil {
		return failure
	}
	path := scriptPath(archive, s.Location)
	if isOutside(archive, s.Location) {
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
		return &scriptFailure{
			code: awsapi.CodeScriptNotExecutable, script: s.Location,
			message: fmt.Sprintf("script %s cannot be made executable: %v", s.Location, err),
		}
	}
	return nil
}

// blame completes a failure with the event's output and says whose script it was: it is a frequent surprise that events
// before DownloadBundle run the scripts of the previous revision.
func (r scriptRun) blame(f *scriptFailure) error {
	if r.from.previous {
		f.message += fmt.Sprintf(" (a script of the revision installed before this one, in %s)%s", r.from.dir.archive(), wayPast(r.event))
	}
	f.log = r.log.lastLines()
	r.log.line("", []byte(f.message))
	return f
}

// judge turns the end of a script that had the given time into a failure, nil when it succeeded (agent.md 4.7, 9.5).
func judge(s appspec.Script, timeout time.Duration, result script.Result) *scriptFailure {
	f := &scriptFailure{code: awsapi.CodeScriptFailed, script: s.Location}
	who := "script " + s.Location
	if s.RunAs != "" {
		who += " run as user " + s.RunAs
	}
	seconds := int(timeout.Round(time.Second).Seconds())
	switch result.Outcome {
	case script.Succeeded:
		return nil
	case script.NotStarted:
		f.message = fmt.Sprintf("%s could not be started: %v", who, result.Err)
	case script.TimedOut:
		f.code = awsapi.CodeScriptTimedOut
		advice := fmt.Sprintf("Raise its timeout (AppSpec line %d)", s.Line)
		if timeout < s.Timeout {
			advice = "Its lifecycle event had no more time, whatever the timeouts of its scripts: make it quicker"
		}
		f.message = fmt.Sprintf("%s did not end within %d seconds and was ended. %s, or let it start long-running programs in the "+
			"background with both outputs redirected", who, seconds, advice)
	case script.OutputsOpen:
		f.code = awsapi.CodeOutputsLeftOpen
		f.message = fmt.Sprintf("%s ended, but its %s was still open after %d seconds%s. Redirect both outputs of what it starts in the "+
			"background: program > /var/log/program.log 2>&1 &", who, result.Stream, seconds, holders(result.Holders))
	default:
		f.message = fmt.Sprintf("%s failed with exit code %d", who, result.ExitCode)
		if result.Signal != "" {
			f.message = fmt.Sprintf("%s was ended by signal %s (exit code %d)", who, result.Signal, result.ExitCode)
		}
	}
	return f
}

func holders(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", held by " + strings.Join(names, ", ")
}

// secrets are variables that hold credentials or point to them: those that stock agents clear or set, and those of the
// AWS SDKs. The agent's own identity is never in its environment.
var secrets = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY", "AWS_SECRET_KEY",
	"AWS_CREDENTIAL_FILE", "AWS_CREDENTIALS_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE",
	"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "CODEDEPLOY_GITHUB_TOKEN",
}

// described are the variables that tell a script about its deployment (agent.md 9.3).
var described = []string{
	"LIFECYCLE_EVENT", "DEPLOYMENT_ID", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID",
	"BUNDLE_BUCKET", "BUNDLE_KEY", "BUNDLE_VERSION", "BUNDLE_ETAG", "BUNDLE_COMMIT",
}

// baseEnvironment is what every script inherits: the agent's environment without credentials, and the region, which stock
// agents leave in it too.
func baseEnvironment(environ []string, region string) []string {
	env := slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.Contains(secrets, name) || slices.Contains(described, name)
	})
	if !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "AWS_REGION=") }) {
		env = append(env, "AWS_REGION="+region)
	}
	return env
}

// hookEnvironment adds the variables of the current deployment, also when an earlier revision's script runs. What the
// service did not say stays unset.
func hookEnvironment(base []string, event string, spec *specification) []string {
	env := slices.Clone(base)
	add := func(name, value string) {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	add("LIFECYCLE_EVENT", event)
	add("DEPLOYMENT_ID", spec.DeploymentID)
	add("APPLICATION_NAME", spec.ApplicationName)
	add("DEPLOYMENT_GROUP_NAME", spec.GroupName)
	add("DEPLOYMENT_GROUP_ID", spec.GroupID)
	add("BUNDLE_BUCKET", spec.Revision.S3.Bucket)
	add("BUNDLE_KEY", spec.Revision.S3.Key)
	add("BUNDLE_VERSION", spec.Revision.S3.Version)
	add("BUNDLE_ETAG", spec.Revision.S3.ETag)
	return env
}

// isNoop reports whether a command has nothing to run (agent.md 4.5). When that cannot be told the answer is no: running
// it will show what is wrong.
func (e *executor) isNoop(name string, spec *specification) bool {
	if name == string(lifecycle.DownloadBundle) || name == string(lifecycle.Install) {
		return false
	}
	if !isHook(name, spec) {
		return true
	}
	_, scripts, err := e.layout.scripts(name, spec)
	return err == nil && len(scripts) == 0
}
