package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/backoff"
)

func followCommand() *cobra.Command {
	var host string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "follow DEPLOYMENT",
		Short: "Show a deployment while it runs: its events, and what their scripts write",
		Long: `Show a deployment until it ends: each lifecycle event on each host, and the lines that its scripts write while they run.
What has happened before is shown first. Ctrl-C leaves the deployment running.

The address of the server and the access key are those of the aws CLI: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY or a credentials file, AWS_CA_BUNDLE. ` + "`grapnel server`" + ` prints them at its start.

Exit codes: 0 the deployment succeeded, 1 it failed or cannot be followed, 2 the command line is wrong, 3 the deployment
was stopped, 130 Ctrl-C.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := connect(os.Getenv)
			if err != nil {
				return err
			}
			f := &follower{client: c, id: args[0], host: host, shown: map[string]awsapi.LifecycleEventStatus{}, notes: cmd.ErrOrStderr()}
			f.show = newTextView(cmd.OutOrStdout(), host == "")
			if asJSON {
				f.show = newJSONView(cmd.OutOrStdout())
			}
			return f.follow(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&host, "host", "", "show this host only")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object per line")
	return strictly(cmd)
}

// view shows what a follower sees.
type view interface {
	line(host, event string, l awsapi.LogLine)
	event(host string, e awsapi.LifecycleEvent)
	deployment(info *awsapi.DeploymentInfo)
}

// follower reads a deployment until it has ended.
type follower struct {
	client *client
	id     string
	host   string // "" for all
	show   view
	notes  io.Writer // for what is not about the deployment

	reached bool                                   // the server has answered
	after   int64                                  // place in the log
	shown   map[string]awsapi.LifecycleEventStatus // by host and event
}

const (
	// statusEvery is how often at most the state of the deployment is asked for; output comes when it is written.
	statusEvery = 500 * time.Millisecond
	// outage is how long a server may be away, to be restarted say, before following ends.
	outage = time.Minute
)

// follow shows the deployment until it ends, and returns an error with the exit code that tells how.
func (f *follower) follow(ctx context.Context) error {
	for {
		began := time.Now()
		ended, err := f.look(ctx)
		if err == nil && ended == nil {
			// A large deployment takes a while to look at; most of the time is left to its output.
			err = f.watch(ctx, max(statusEvery, 5*time.Since(began)))
		}
		switch {
		case ctx.Err() != nil:
			return &exitError{exitInterrupted, fmt.Errorf("deployment %[1]s goes on without being watched; see it again with: grapnel follow %[1]s", f.id)}
		case err != nil:
			return err
		case ended != nil:
			return outcome(ended)
		}
	}
}

// outcome is the error of a deployment that did not succeed. What went wrong is its last word.
func outcome(info *awsapi.DeploymentInfo) error {
	code, id := exitFailed, awsapi.Value(info.DeploymentId)
	switch info.Status {
	case awsapi.DeploymentStatusSucceeded:
		return nil
	case awsapi.DeploymentStatusStopped:
		code = exitStopped
	}
	why := fmt.Sprintf("deployment %s: %s", id, info.Status)
	if e := info.ErrorInformation; e != nil {
		why += fmt.Sprintf(": %s: %s", e.Code, awsapi.Value(e.Message))
	}
	if r := info.RollbackInfo; r != nil && awsapi.Value(r.RollbackDeploymentId) != "" {
		why += fmt.Sprintf("\nIt is rolled back; see that with: grapnel follow %s", *r.RollbackDeploymentId)
	}
	return &exitError{code, errors.New(why)}
}

// look shows how the deployment stands, and returns it when it has ended. The order matters: an event is asked for before
// its output, and shown after it, so that the end of an event comes below its last line.
func (f *follower) look(ctx context.Context) (*awsapi.DeploymentInfo, error) {
	var d awsapi.GetDeploymentOutput
	var targets []*awsapi.InstanceTarget
	err := f.patiently(ctx, func() error {
		d, targets = awsapi.GetDeploymentOutput{}, nil
		if err := f.client.call(ctx, "GetDeployment", &awsapi.GetDeploymentInput{DeploymentId: &f.id}, &d); err != nil {
			return err
		}
		if d.DeploymentInfo.Status == awsapi.DeploymentStatusCreated {
			return nil // the API shows targets of what has begun
		}
		ids, err := f.client.targetIDs(ctx, f.id, f.host)
		if err == nil {
			targets, err = f.client.targets(ctx, f.id, ids)
		}
		return err
	})
	for n := 1; err == nil && n > 0; {
		n, err = f.output(ctx, 0)
	}
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		f.events(t)
	}
	if !isEnd(d.DeploymentInfo.Status) {
		return nil, nil
	}
	f.show.deployment(d.DeploymentInfo)
	return d.DeploymentInfo, nil
}

func isEnd(s awsapi.DeploymentStatus) bool {
	return s == awsapi.DeploymentStatusSucceeded || s == awsapi.DeploymentStatusFailed || s == awsapi.DeploymentStatusStopped
}

// events shows what has changed on a host. The events of one on which nothing was done are not worth a line each.
func (f *follower) events(t *awsapi.InstanceTarget) {
	host := awsapi.Value(t.TargetId)
	for _, e := range t.LifecycleEvents {
		key := host + "/" + awsapi.Value(e.LifecycleEventName)
		begun := e.Status == awsapi.LifecycleEventStatusInProgress || ended(e.Status)
		if !begun || f.shown[key] == e.Status || t.Status == awsapi.TargetStatusSkipped {
			continue
		}
		f.shown[key] = e.Status
		f.show.event(host, e)
	}
}

// watch shows output as it comes, for a while.
func (f *follower) watch(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left < time.Millisecond {
			return nil
		}
		if _, err := f.output(ctx, left); err != nil {
			return err
		}
	}
}

// output shows the next part of the log, for which it may wait, and returns how many chunks it had.
func (f *follower) output(ctx context.Context, wait time.Duration) (chunks int, err error) {
	in := awsapi.GetDeploymentLogInput{DeploymentId: &f.id, After: f.after, WaitMilliseconds: wait.Milliseconds()}
	if f.host != "" {
		in.Host = &f.host
	}
	var out awsapi.GetDeploymentLogOutput
	err = f.patiently(ctx, func() (err error) {
		out, err = f.client.log(ctx, &in)
		return err
	})
	for _, c := range out.Chunks {
		for _, l := range c.Lines {
			f.show.line(c.Host, c.Event, l)
		}
	}
	f.after = max(f.after, out.After)
	return len(out.Chunks), err
}

// patiently repeats a call while the server is away. One that never answered is not waited for: its address may be wrong.
func (f *follower) patiently(ctx context.Context, call func() error) error {
	pauses := backoff.Exponential{First: 100 * time.Millisecond, Max: 2 * time.Second, Jitter: 0.25}
	begin := time.Now()
	for failures := 1; ; failures++ {
		err := call()
		f.reached = f.reached || err == nil
		if err == nil || ctx.Err() != nil || !f.reached || !passing(err) || time.Since(begin) > outage {
			return err
		}
		if failures == 1 {
			fmt.Fprintf(f.notes, "grapnel: the server does not answer, trying for a minute: %v\n", err)
		}
		if err := backoff.Sleep(ctx, pauses.Pause(failures)); err != nil {
			return err
		}
	}
}

// passing reports whether a call may succeed later: the server was not reached, is in trouble, or has too much to do.
func passing(err error) bool {
	var told *awsjson.Error
	if !errors.As(err, &told) {
		return true
	}
	return told.Status >= http.StatusInternalServerError || awsjson.Throttled(err)
}
