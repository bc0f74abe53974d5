package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
	"grapnel/internal/store"
)

// roundLimit is the longest that one round may take. It is generous: a round that is cut off was for nothing.
const roundLimit = time.Minute

// shortestWake is the pause after a decision whose Wake is not later than itself. The core never decides so; if it did, the
// round would repeat at full speed.
const shortestWake = 100 * time.Millisecond

// round loads a deployment, decides once and commits. It returns when to look again, zero for never.
//
// It goes on when ctx ends, so that a server that stops does not throw away a decision that is nearly stored. It turns a
// panic of the core into an error: one deployment with a state that nobody foresaw must not keep the server from starting.
func (e *Engine) round(ctx context.Context, id string) (again time.Time, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), roundLimit)
	defer cancel()
	seen := Observation{Outcome: Unchanged}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			seen.Outcome = failure(err)
		}
		e.observe(seen)
	}()

	state, err := e.store.Load(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil // deleted with its group, or never stored
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("load: %w", err)
	}
	if state.Status.Terminal() {
		return time.Time{}, nil
	}
	start := time.Now()
	now := start.UTC().Truncate(time.Microsecond) // what the store keeps
	decision := deploy.Decide(state, now)
	seen.Decide = time.Since(start)
	if !decision.Empty(state) {
		if err := e.commit(ctx, store.Round{State: state, Decision: decision, At: now}, &seen); err != nil {
			return time.Time{}, err
		}
	}
	return lookAgain(decision.Wake, now), nil
}

// lookAgain returns when to look again after a decision. A committed decision needs no second look: nothing more is wanted
// until a fact is stored, which wakes the engine, or until its Wake.
func lookAgain(wake, now time.Time) time.Time {
	if wake.IsZero() || wake.After(now) {
		return wake
	}
	return now.Add(shortestWake)
}

// commit stores a round and tells those who act on it. They are told after an error as well: the reply may have been lost
// after the round was stored, and being told only makes them look.
func (e *Engine) commit(ctx context.Context, r store.Round, seen *Observation) error {
	if r.Decision.Rollback {
		if err := e.planRollback(ctx, &r); err != nil {
			return fmt.Errorf("plan the rollback: %w", err)
		}
	}
	start := time.Now()
	err := e.store.Commit(ctx, r)
	seen.Commit = time.Since(start)
	if hosts := hostsOf(r.Decision.Issue); len(hosts) > 0 {
		e.issued(hosts)
	}
	if r.Rollback != nil {
		e.Wake(*r.Rollback.Info.DeploymentId)
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	seen.Outcome, seen.Issued, seen.Rollback = Changed, len(r.Decision.Issue), r.Rollback != nil
	e.report(r)
	return nil
}

// report logs what a committed round has changed.
func (e *Engine) report(r store.Round) {
	if r.Decision.Status != "" {
		e.log.Info("a deployment moved", "deployment", r.State.ID, "from", r.State.Status, "to", r.Decision.Status,
			"code", r.Decision.Why.Code, "message", r.Decision.Why.Message)
	}
	if r.Rollback != nil {
		e.log.Info("a deployment is rolled back", "deployment", r.State.ID, "by", *r.Rollback.Info.DeploymentId)
	}
}

// hostsOf returns the hosts that the Work is for.
func hostsOf(issue []deploy.Work) []string {
	var hosts []string
	for _, w := range issue {
		if w.By == lifecycle.Host {
			hosts = append(hosts, w.Target)
		}
	}
	return hosts
}
