package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/stream"
	"grapnel/internal/awsapi"
	"grapnel/internal/script"
)

// How long a call is repeated while the service cannot be reached. A command that is not acknowledged within five minutes
// is given up by the service (service.md 4.5); a completion is worth having as long as the record of the command is.
const (
	beginLimit    = 10 * time.Minute
	completeLimit = staleAfter
	// lastTries is how long a report is still repeated when the agent ends: it is on record, and the next start sends it.
	lastTries = 3 * time.Second
)

// eventLimit is when the agent ends a command: a little before the service gives it up, 3600 s after its acknowledgement
// (service.md 4.5), so that what is reported says why.
const eventLimit = 3600*time.Second - 20*time.Second

// process takes one command through its whole life (agent.md 4.4):
//
//	specification -> (no-op?) -> record -> acknowledgement -> run -> report on record -> last output -> completion, until delivered -> record removed
//	      |                                    |
//	      +-- refused: completion, Failed      +-- Succeeded or Failed: nothing more
//
// The record comes before the acknowledgement and not after it: killed between the two, the agent would otherwise forget
// a command that the service believes to be running.
func (a *Agent) process(ctx context.Context, cmd command) {
	log := a.log.With(slog.String("command", cmd.name), slog.String("id", cmd.id))
	run := &commandRun{agent: a, cmd: cmd, log: log}
	end := run.guarded(ctx)
	if ctx.Err() != nil && (end == nil || end.status != awsapi.CommandStatusSucceeded) {
		log.Warn("the agent ends before the command has: its record stays and the next start reports it as failed")
		return
	}
	if end != nil {
		a.ledger.ended(cmd.id, *end)
		if run.recorded != "" {
			if err := a.tracker.report(run.recorded, cmd.id, *end); err != nil {
				log.Error("should the agent end now, this command will be reported as failed", slog.Any("error", err))
			}
		}
		run.closeOutput(ctx)
		if !a.deliver(ctx, cmd.id, *end, log) {
			return
		}
	} else {
		a.ledger.forget(cmd.id)
	}
	if run.recorded == "" {
		return
	}
	if err := a.tracker.end(run.recorded, cmd.id); err != nil {
		log.Error("the record of the command stays", slog.Any("error", err))
	}
}

// commandRun is one command under way.
type commandRun struct {
	agent        *Agent
	cmd          command
	log          *slog.Logger
	recorded     string         // deployment under which the command is on record
	acknowledged time.Time      // or a little before
	output       *stream.Stream // nil when the service does not want the scripts' output
}

// guarded turns a panic into a failure: the service must hear of it, and other commands go on.
func (r *commandRun) guarded(ctx context.Context) (end *report) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("a defect of the agent broke the command off", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			failure := failed(fmt.Errorf("a defect of the agent broke the command off (its log has the details): %v", p))
			end = &failure
		}
	}()
	return r.run(ctx)
}

// run returns what to report, nil for nothing.
func (r *commandRun) run(ctx context.Context) *report {
	d, err := r.specification(ctx)
	if err != nil {
		return r.failed(err)
	}
	r.log = r.log.With(slog.String("deployment", d.ID))
	noop := r.agent.executor.IsNoop(r.cmd.name, d.Deployment)
	if !noop { // of a no-op nothing can be interrupted
		if err := r.agent.tracker.begin(ctx, d.ID, r.cmd.id); err != nil {
			return r.failed(err)
		}
		r.recorded = d.ID
	}
	r.acknowledged = time.Now()
	status, err := r.acknowledge(ctx, noop)
	switch {
	case err != nil:
		return r.failed(err)
	case status == awsapi.CommandStatusSucceeded:
		r.log.Info("nothing to do", slog.Bool("noop", noop))
		return nil
	case status == awsapi.CommandStatusFailed && noop:
		return new(succeeded("CompletedNoopCommand"))
	case status == awsapi.CommandStatusFailed:
		r.log.Warn("the service has given the command up")
		return nil
	}
	return r.execute(ctx, d)
}

func (r *commandRun) execute(ctx context.Context, d *specification) *report {
	ctx, cancel := context.WithDeadlineCause(ctx, r.acknowledged.Add(eventLimit), executor.ErrEventLimit)
	defer cancel()
	ctx, done, err := r.agent.turns.take(ctx, d.GroupID)
	if err != nil {
		return r.failed(err)
	}
	defer done()
	r.log.Info("running")
	start := time.Now()
	watcher := executor.Watcher{Script: func(group script.Group) {
		if err := r.agent.tracker.script(d.ID, group); err != nil {
			r.log.Warn("should the agent crash now, this script could not be ended", slog.Any("error", err))
		}
	}}
	if d.outputLimit > 0 {
		r.output = stream.New(stream.Options{Send: r.update, MaxBytes: d.outputLimit, Log: r.log})
		watcher.Line = r.output.Line
	}
	note, err := r.agent.executor.Run(ctx, r.cmd.name, d.Deployment, watcher)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err) // a library's "context deadline exceeded" says little
	}
	if err != nil {
		return r.failed(err)
	}
	r.log.Info("succeeded", slog.Duration("after", time.Since(start)), slog.String("note", note))
	return new(succeeded(note))
}

// closeOutput sends what is left of the scripts' output. The report is on record by then: while the server is away the output
// waits for it, and should the agent end meanwhile, only that is lost.
func (r *commandRun) closeOutput(ctx context.Context) {
	if r.output == nil {
		return
	}
	ctx, cancel := r.agent.untilEnd(ctx)
	defer cancel()
	r.output.Close(ctx)
}

// update sends lines of scripts' output, once: whoever watches would rather miss some than wait.
func (r *commandRun) update(ctx context.Context, payload string) error {
	status, err := r.agent.service.update(ctx, r.cmd.id, payload)
	switch {
	case answered(err):
		return fmt.Errorf("%w: %w", stream.ErrOver, err)
	case err == nil && status != awsapi.CommandStatusInProgress:
		return fmt.Errorf("%w: the command is %s", stream.ErrOver, status)
	case err != nil && !reached(err):
		return fmt.Errorf("%w: %w", stream.ErrAway, err)
	}
	return err
}

func (r *commandRun) failed(err error) *report {
	r.log.Error("failed", slog.Any("error", err))
	return new(failed(err))
}

func (r *commandRun) specification(ctx context.Context) (*specification, error) {
	var envelope *awsapi.Envelope
	err := persist(ctx, beginLimit, r.retrying("fetching the specification"), func() (err error) {
		envelope, err = r.agent.service.specification(ctx, r.cmd.executionID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot fetch the deployment specification: %w", err)
	}
	return r.agent.verifier.open(envelope)
}

func (r *commandRun) acknowledge(ctx context.Context, noop bool) (status awsapi.CommandStatus, err error) {
	err = persist(ctx, beginLimit, r.retrying("acknowledging"), func() (err error) {
		status, err = r.agent.service.acknowledge(ctx, r.cmd.id, noop)
		return err
	})
	if err != nil {
		err = fmt.Errorf("cannot acknowledge the command: %w", err)
	}
	return status, err
}

func (r *commandRun) retrying(what string) func(error) { return retrying(r.log, what) }

func retrying(log *slog.Logger, what string) func(error) {
	return func(err error) {
		log.Warn(what+" failed and is tried again", slog.Any("error", err), slog.String("advice", advice(err)))
	}
}

// deliver reports a command's end and ends the pause between polls: the service has something new to decide. It returns false
// when the report did not get there.
func (a *Agent) deliver(ctx context.Context, commandID string, end report, log *slog.Logger) bool {
	settled := a.send(ctx, commandID, end, log)
	if settled {
		select {
		case a.reported <- struct{}{}:
		default:
		}
	}
	return settled
}

// send reports a command's end until the service has answered.
func (a *Agent) send(ctx context.Context, commandID string, end report, log *slog.Logger) (settled bool) {
	ctx, cancel := a.untilEnd(ctx)
	defer cancel()
	err := persist(ctx, completeLimit, retrying(log, "reporting the end"), func() error {
		return a.service.complete(ctx, commandID, end)
	})
	switch {
	case err == nil:
		return true
	case answered(err):
		log.Warn("the service does not want to know how the command ended", slog.Any("error", err))
		return true
	default:
		log.Error("the end of the command could not be reported; the next start reports it", slog.Any("error", err))
		return false
	}
}

// untilEnd returns a context that ends a little after the agent has been asked to end.
func (a *Agent) untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-a.ending:
			time.AfterFunc(lastTries, cancel)
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// ledger knows the commands that this process has taken, so that none runs twice however often it is handed over.
type ledger struct {
	mu    sync.Mutex
	known map[string]*report // nil while the command is under way
	order []string           // of the ended ones, oldest first
}

// ledgerLimit is how many ended commands are remembered.
const ledgerLimit = 1000

// standing says what is known of a command.
type standing int

const (
	fresh    standing = iota // not seen before; it is under way now
	underWay                 // being run
	done                     // has ended
)

// take enters a command. For one that has ended, the report says how.
func (l *ledger) take(id string) (standing, report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.known[id]
	switch {
	case !ok:
		if l.known == nil {
			l.known = map[string]*report{}
		}
		l.known[id] = nil
		return fresh, report{}
	case end == nil:
		return underWay, report{}
	default:
		return done, *end
	}
}

// ended keeps how a command ended.
func (l *ledger) ended(id string, end report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known[id] = &end
	l.order = append(l.order, id)
	if len(l.order) > ledgerLimit {
		delete(l.known, l.order[0])
		l.order = l.order[1:]
	}
}

// forget drops a command that ended without anything to report.
func (l *ledger) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.known, id)
}
