package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"grapnel/internal/awsapi"
)

// timeline prints a deployment while it runs: a line for every lifecycle event that ends, with how long it took and what
// its scripts wrote.
type timeline struct {
	client *client
	out    io.Writer
	style  style
	// scriptLog returns the path of the host's scripts.log of a deployment, "" when it cannot be read from here.
	scriptLog func(deployment string) string
}

const timelinePoll = 25 * time.Millisecond

// follow prints until the deployment has ended and returns what it then is.
func (t *timeline) follow(ctx context.Context, id string) (*awsapi.DeploymentInfo, error) {
	shown := map[string]bool{}
	for {
		var d awsapi.GetDeploymentOutput
		if err := t.client.call(ctx, "GetDeployment", &awsapi.GetDeploymentInput{DeploymentId: &id}, &d); err != nil {
			return nil, err
		}
		info := d.DeploymentInfo
		if info.Status != awsapi.DeploymentStatusCreated {
			if err := t.printEnded(ctx, id, shown); err != nil {
				return nil, err
			}
		}
		switch info.Status {
		case awsapi.DeploymentStatusSucceeded, awsapi.DeploymentStatusFailed, awsapi.DeploymentStatusStopped:
			t.printEnd(info)
			return info, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(timelinePoll):
		}
	}
}

// printEnded prints the events that have ended since the last time.
func (t *timeline) printEnded(ctx context.Context, id string, shown map[string]bool) error {
	var list awsapi.ListDeploymentTargetsOutput
	if err := t.client.call(ctx, "ListDeploymentTargets", &awsapi.ListDeploymentTargetsInput{DeploymentId: &id}, &list); err != nil {
		return err
	}
	if len(list.TargetIds) == 0 {
		return nil
	}
	var got awsapi.BatchGetDeploymentTargetsOutput
	in := awsapi.BatchGetDeploymentTargetsInput{DeploymentId: &id, TargetIds: list.TargetIds}
	if err := t.client.call(ctx, "BatchGetDeploymentTargets", &in, &got); err != nil {
		return err
	}
	for _, target := range got.DeploymentTargets {
		host := awsapi.Value(target.InstanceTarget.TargetId)
		for _, e := range target.InstanceTarget.LifecycleEvents {
			key := host + "/" + awsapi.Value(e.LifecycleEventName)
			if ended(e.Status) && !shown[key] {
				shown[key] = true
				t.printEvent(host, e)
				t.printScripts(id, e)
				t.printFailure(e)
			}
		}
	}
	return nil
}

func ended(s awsapi.LifecycleEventStatus) bool {
	return s == awsapi.LifecycleEventStatusSucceeded || s == awsapi.LifecycleEventStatusFailed || s == awsapi.LifecycleEventStatusSkipped
}

func (t *timeline) printEvent(host string, e awsapi.LifecycleEvent) {
	took := "-"
	if !e.StartTime.IsZero() {
		took = e.EndTime.Sub(e.StartTime.Time).Round(time.Millisecond).String()
	}
	status := fmt.Sprintf("%-9s", e.Status)
	switch e.Status {
	case awsapi.LifecycleEventStatusSucceeded:
		status = t.style.good(status)
	case awsapi.LifecycleEventStatusFailed:
		status = t.style.bad(status)
	default:
		status = t.style.faint(status)
	}
	fmt.Fprintf(t.out, "  %-12s %-16s %s %8s\n", host, awsapi.Value(e.LifecycleEventName), status, took)
}

func (t *timeline) printScripts(id string, e awsapi.LifecycleEvent) {
	for _, line := range scriptOutput(t.scriptLog(id), awsapi.Value(e.LifecycleEventName)) {
		fmt.Fprintf(t.out, "  %-12s   %s %s\n", "", t.style.faint("|"), line)
	}
}

func (t *timeline) printFailure(e awsapi.LifecycleEvent) {
	if d := e.Diagnostics; e.Status == awsapi.LifecycleEventStatusFailed && d != nil {
		fmt.Fprintf(t.out, "  %-12s   %s %s: %s\n", "", t.style.bad("!"), d.ErrorCode, awsapi.Value(d.Message))
	}
}

func (t *timeline) printEnd(info *awsapi.DeploymentInfo) {
	took := info.CompleteTime.Sub(info.CreateTime.Time).Round(time.Millisecond)
	if info.Status == awsapi.DeploymentStatusSucceeded {
		fmt.Fprintf(t.out, "  %s in %s\n", t.style.good("Succeeded"), took)
		return
	}
	fmt.Fprintf(t.out, "  %s after %s", t.style.bad(string(info.Status)), took)
	if e := info.ErrorInformation; e != nil {
		fmt.Fprintf(t.out, ": %s: %s", e.Code, awsapi.Value(e.Message))
	}
	fmt.Fprintln(t.out)
}

// scriptOutput returns what the scripts of one event wrote, from a host's scripts.log (agent.md 9.6): each line is a
// time stamp of 20 bytes and a text; the events' own lines tell where each begins.
func scriptOutput(path, event string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil // no script has run on this host yet
	}
	defer f.Close()
	var lines []string
	within := false
	for s := bufio.NewScanner(f); s.Scan(); {
		_, text, _ := strings.Cut(s.Text(), " ") // the date
		_, text, _ = strings.Cut(text, " ")      // the time
		switch name, begins := strings.CutPrefix(text, "LifecycleEvent - "); {
		case begins:
			within = name == event
		case within && strings.HasPrefix(text, "[std"):
			_, text, _ = strings.Cut(text, "]")
			lines = append(lines, text)
		}
	}
	return lines
}
