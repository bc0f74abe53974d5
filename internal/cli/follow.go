package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
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
// its output, so that the end of an event comes below its last line.
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
		ids, err := []string{f.host}, error(nil)
		if f.host == "" {
			ids, err = f.client.targetIDs(ctx, f.id)
		}
		if err == nil {
			targets, err = f.client.targets(ctx, f.id, ids)
		}
		return err
	})
	var output []awsapi.LogChunk
	for more := true; err == nil && more; {
		var chunks []awsapi.LogChunk
		chunks, err = f.output(ctx, 0)
		output, more = append(output, chunks...), len(chunks) > 0
	}
	if err != nil {
		return nil, err
	}
	f.happened(targets, output)
	if !isEnd(d.DeploymentInfo.Status) {
		return nil, nil
	}
	f.show.deployment(d.DeploymentInfo)
	return d.DeploymentInfo, nil
}

func isEnd(s awsapi.DeploymentStatus) bool {
	return s == awsapi.DeploymentStatusSucceeded || s == awsapi.DeploymentStatusFailed || s == awsapi.DeploymentStatusStopped
}

// happening is something to show, and when it was.
type happening struct {
	at   int64 // milliseconds since 1970
	show func()
}

// happened shows what has changed and what was written, of all hosts in the order of time.
func (f *follower) happened(targets []*awsapi.InstanceTarget, output []awsapi.LogChunk) {
	written := map[string][]awsapi.LogLine{} // by host and event
	for _, c := range output {
		written[c.Host+"/"+c.Event] = append(written[c.Host+"/"+c.Event], c.Lines...)
	}
	var all []happening
	for _, t := range targets {
		all = append(all, f.onHost(t, written)...)
	}
	slices.SortStableFunc(all, func(a, b happening) int { return cmp.Compare(a.at, b.at) })
	for _, h := range all {
		h.show()
	}
	for _, c := range output {
		if _, left := written[c.Host+"/"+c.Event]; left { // it began after the targets were asked for
			f.lines([]awsapi.LogChunk{c})
		}
	}
}

// onHost returns what has happened on a host, and takes its lines from written. Its events follow one another, and the lines
// of each lie between its start and its end, whatever the host's clock says. The events of a host on which nothing was done
// are not worth a line each.
func (f *follower) onHost(t *awsapi.InstanceTarget, written map[string][]awsapi.LogLine) (all []happening) {
	host, now := awsapi.Value(t.TargetId), int64(0)
	add := func(at int64, show func()) {
		now = max(now, at)
		all = append(all, happening{now, show})
	}
	for _, e := range t.LifecycleEvents {
		name := awsapi.Value(e.LifecycleEventName)
		key, over := host+"/"+name, ended(e.Status)
		news := (over || e.Status == awsapi.LifecycleEventStatusInProgress) && f.shown[key] != e.Status && t.Status != awsapi.TargetStatusSkipped
		if news {
			f.shown[key] = e.Status
		}
		start := e.StartTime.UnixMilli()
		if news && !over {
			add(start, func() { f.show.event(host, e) })
		}
		for _, l := range written[key] {
			at := max(l.Time, start)
			if over {
				at = min(at, e.EndTime.UnixMilli())
			}
			add(at, func() { f.show.line(host, name, l) })
		}
		delete(written, key)
		if news && over {
			add(e.EndTime.UnixMilli(), func() { f.show.event(host, e) })
		}
	}
	return all
}

// lines shows output as it came.
func (f *follower) lines(output []awsapi.LogChunk) {
	for _, c := range output {
		for _, l := range c.Lines {
			f.show.line(c.Host, c.Event, l)
		}
	}
}

// watch shows output as it comes, for a while.
func (f *follower) watch(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left < time.Millisecond {
			return nil
		}
		chunks, err := f.output(ctx, left)
		if err != nil {
			return err
		}
		f.lines(chunks)
	}
}

// output returns the next part of the log, for which it may wait.
func (f *follower) output(ctx context.Context, wait time.Duration) (chunks []awsapi.LogChunk, err error) {
	in := awsapi.GetDeploymentLogInput{DeploymentId: &f.id, After: f.after, WaitMilliseconds: wait.Milliseconds()}
	if f.host != "" {
		in.Host = &f.host
	}
	var out awsapi.GetDeploymentLogOutput
	err = f.patiently(ctx, func() (err error) {
		out, err = f.client.log(ctx, &in)
		return err
	})
	f.after = max(f.after, out.After)
	return out.Chunks, err
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
