package agent

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/backoff"
)

// maxRunning is how many commands run at a time; a host takes part in several deployments at once, with one command of
// each (agent.md 4.3).
const maxRunning = 16

// slotPatience is how long a command waits for another one's end when too many are running. A service that has heard of
// that end hands out the next command before the slot is free.
const slotPatience = time.Second

// poll holds polls until ctx ends, each started as soon as the last has brought a command. work is what commands run
// under: it goes on when ctx ends.
func (a *Agent) poll(ctx, work context.Context) {
	var p pacer
	tell := a.notice // the first trouble only: whoever started the agent looks for a moment, the log is there for ever
	for ctx.Err() == nil {
		start := time.Now()
		a.polled.Store(start.UnixNano())
		cmd, err := a.service.poll(ctx)
		if ctx.Err() != nil && cmd == nil {
			return
		}
		var pause time.Duration
		switch {
		case err != nil:
			pause = p.failed()
			a.log.Error("polling failed", slog.Any("error", err), slog.String("advice", advice(err)),
				slog.Duration("next_after", max(0, pause-time.Since(start))))
			if tell != nil {
				tell("polling failed and is tried again: " + withAdvice(err))
				tell = nil
			}
		case a.dispatch(work, cmd, &p):
			continue
		default:
			pause = a.cfg.WaitBetweenRuns
		}
		// Pauses count from the start of the poll: one that was held has been pause enough.
		a.rest(ctx, pause-time.Since(start))
	}
}

// rest waits for d, for the end of ctx, or until a report has shown that the service is back: with it comes the next
// command of the deployment.
func (a *Agent) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-a.reported:
	}
}

// pacer remembers what the next pause depends on.
type pacer struct {
	failures int  // consecutive
	repeated bool // the last poll brought a command that is under way already
}

// failed returns the pause after one more failed poll, a little longer than agent.md 4.3 says, by chance: after a failure
// of the service its hosts must not come back in step.
func (p *pacer) failed() time.Duration {
	p.failures++
	pause := backoff.Poll(p.failures)
	return pause + time.Duration(rand.Float64()*0.1*float64(pause))
}

// dispatch starts what a successful poll has brought. It reports whether to poll again without a pause.
func (a *Agent) dispatch(work context.Context, hc *awsapi.HostCommand, p *pacer) (again bool) {
	p.failures = 0
	select {
	case <-a.reported: // it has nothing to say any more
	default:
	}
	repeated := p.repeated
	p.repeated = false
	if hc == nil {
		return false
	}
	cmd, ok := a.check(hc)
	if !ok {
		return false
	}
	select {
	case a.slots <- struct{}{}:
	case <-time.After(slotPatience):
		a.log.Warn("too many commands at a time: left for later", slog.String("command", cmd.name), slog.String("id", cmd.id))
		return false
	}
	standing, end := a.ledger.take(cmd.id)
	switch standing {
	case underWay:
		<-a.slots
		p.repeated = true
		return !repeated
	case done:
		a.start(func() { a.send(work, cmd.id, end, a.log.With(slog.String("id", cmd.id))) })
		p.repeated = true
		return !repeated
	default:
		a.start(func() { a.process(work, cmd) })
	}
	return true
}

// start runs fn in the slot that was taken for it.
func (a *Agent) start(fn func()) {
	a.running.Go(func() {
		defer a.release()
		fn()
	})
}

// release gives a slot back. What a command took of the host, memory and disk, goes back once it is likely that no other
// follows at once: an idle agent should cost nothing, and giving back takes time.
func (a *Agent) release() {
	<-a.slots
	a.idle.Reset(idleAfter)
}

func (a *Agent) giveBack() {
	if len(a.slots) == 0 {
		a.executor.Tidy()
		giveMemoryBack(a.log)
	}
}

// idleAfter is longer than the time between two commands of one deployment.
const idleAfter = time.Second

// check refuses a command that is not for this host or names nothing to do.
func (a *Agent) check(hc *awsapi.HostCommand) (command, bool) {
	host := awsapi.Value(hc.HostIdentifier)
	cmd := command{
		id:          awsapi.Value(hc.HostCommandIdentifier),
		executionID: awsapi.Value(hc.DeploymentExecutionId),
		name:        awsapi.Value(hc.CommandName),
	}
	// A part of the own identifier is enough (agent.md 4.3).
	if host == "" || !strings.Contains(a.id.HostID, host) {
		a.log.Error("ignored a command for another host", slog.String("host", host), slog.String("id", cmd.id))
		return command{}, false
	}
	if cmd.name == "" || cmd.id == "" {
		a.log.Error("ignored a command without a name or an identifier", slog.String("name", cmd.name), slog.String("id", cmd.id))
		return command{}, false
	}
	return cmd, true
}
