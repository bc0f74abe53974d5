package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// running is a script that was started.
type running struct {
	cmd            *exec.Cmd
	exited         chan struct{} // closed once the leader of the group has exited
	stdout, stderr *output
	lines          *receiver
	grace          time.Duration
}

// run does the work of Run; its diagram is in the package's comment.
func run(ctx context.Context, c Command) Result {
	if ctx.Err() != nil {
		return Result{Outcome: NotStarted, ExitCode: -1, Err: context.Cause(ctx)}
	}
	r, err := start(c)
	if err != nil {
		return Result{Outcome: NotStarted, ExitCode: -1, Err: err}
	}
	defer r.lines.close()
	if c.Started != nil {
		c.Started(r.cmd.Process.Pid)
	}
	r.follow()

	return r.wait(ctx)
}

// start starts the script, with our ends of its pipes ready to be read.
func start(c Command) (*running, error) {
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for stdout: %w", err)
	}
	defer outWrite.Close()
	errRead, errWrite, err := os.Pipe()
	if err != nil {
		outRead.Close()
		return nil, fmt.Errorf("make a pipe for stderr: %w", err)
	}
	defer errWrite.Close()

	cmd, err := spawn(c, outWrite, errWrite)
	if err != nil {
		outRead.Close()
		errRead.Close()
		return nil, err
	}
	return &running{
		cmd:    cmd,
		exited: make(chan struct{}),
		stdout: &output{name: Stdout, pipe: outRead, done: make(chan struct{})},
		stderr: &output{name: Stderr, pipe: errRead, done: make(chan struct{})},
		lines:  &receiver{line: c.Line},
		grace:  c.Grace,
	}, nil
}

// follow begins to read the script's output and to wait for its exit.
func (r *running) follow() {
	go r.stdout.readLines(r.lines)
	go r.stderr.readLines(r.lines)
	go func() {
		defer close(r.exited)
		awaitExit(r.cmd)
	}()
}

// wait follows the script to its end.
func (r *running) wait(ctx context.Context) Result {
	for _, done := range []<-chan struct{}{r.exited, r.stdout.done, r.stderr.done} {
		if !waitFor(ctx, done) {
			return r.overdue(ctx)
		}
	}
	r.stopReading(0)
	return r.result()
}

// waitFor waits until done is closed and reports true, or until ctx ends. What is done at the same moment counts as done.
func waitFor(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return closed(done)
	}
}

// overdue deals with what is left when the deadline has passed or the caller's context has ended. A script that has exited
// while a child of it holds its output is left alone at the deadline: the child may be the application that the script was
// there to start (agent.md 9.4).
func (r *running) overdue(ctx context.Context) Result {
	cause := context.Cause(ctx)
	timedOut := errors.Is(cause, errDeadline)
	if timedOut && closed(r.exited) {
		return r.leftOpen()
	}
	ended := r.end()
	result := r.result()
	result.Outcome = TimedOut
	if !timedOut {
		result.Outcome, result.Err = Failed, cause
	}
	if !ended {
		result.Err = errors.Join(result.Err, fmt.Errorf("the script still runs, as process group %d, because it could not be ended; end it by hand", r.cmd.Process.Pid))
	}
	return result
}

// end ends the group, reads what it has left in its pipes, and reports whether the group is gone.
func (r *running) end() bool {
	gone := endGroup(r.cmd.Process.Pid, r.grace)
	select {
	case <-r.exited:
	case <-time.After(r.grace):
		// Not even KILL helped: the leader hangs in the kernel, or belongs to another user and we may not signal it.
		// Waiting for it would hang the agent as well; the goroutine that waits ends when the process does.
		gone = false
	}
	r.stopReading(drainTime)
	return gone
}

// leftOpen reports the first stream that is still held open. It may be that none is and only our reading was behind.
func (r *running) leftOpen() Result {
	open := map[*output][]string{r.stdout: holders(r.stdout.pipe), r.stderr: holders(r.stderr.pipe)}
	r.stopReading(drainTime)
	result := r.result()
	for _, o := range []*output{r.stdout, r.stderr} {
		if !closed(o.done) || !o.ended {
			result.Outcome, result.Stream, result.Holders = OutputsOpen, o.name, open[o]
			break
		}
	}
	return result
}

func (r *running) stopReading(wait time.Duration) {
	r.stdout.stop(wait)
	r.stderr.stop(wait)
}

// result tells how the script itself ended, and lets go of its process: until now its number could not become another's, so
// no signal could go astray. A script that cannot be ended has no state yet.
func (r *running) result() Result {
	if !closed(r.exited) {
		go func() {
			<-r.exited
			r.cmd.Wait()
		}()
		return Result{Outcome: Failed, ExitCode: -1}
	}
	r.cmd.Wait() // how it ended is in ProcessState
	result := Result{ExitCode: r.cmd.ProcessState.ExitCode(), Signal: endingSignal(r.cmd.ProcessState)}
	if result.ExitCode != 0 {
		result.Outcome = Failed
	}
	return result
}

// closed reports whether a channel that only gets closed is.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
