//go:build unix

package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// process is a script that was started.
type process struct {
	cmd            *exec.Cmd
	exited         chan struct{} // closed once the leader of the group is reaped
	stdout, stderr *output
	grace          time.Duration
}

// run does the work of Run; its diagram is in the package's comment.
func run(ctx context.Context, c Command) Result {
	if ctx.Err() != nil {
		return Result{Outcome: NotStarted, ExitCode: -1, Err: context.Cause(ctx)}
	}
	p, err := start(c)
	if err != nil {
		return Result{Outcome: NotStarted, ExitCode: -1, Err: err}
	}
	if c.Started != nil {
		c.Started(p.cmd.Process.Pid)
	}
	p.follow(c.Line)

	return p.wait(ctx)
}

// wait follows the script to its end.
func (p *process) wait(ctx context.Context) Result {
	for _, done := range []<-chan struct{}{p.exited, p.stdout.done, p.stderr.done} {
		if !waitFor(ctx, done) {
			return p.overdue(ctx)
		}
	}
	p.stopReading(0)
	return p.result()
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

// start starts the script, with our ends of its pipes ready to be read.
func start(c Command) (*process, error) {
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
	return &process{
		cmd:    cmd,
		exited: make(chan struct{}),
		stdout: &output{name: Stdout, pipe: outRead, done: make(chan struct{})},
		stderr: &output{name: Stderr, pipe: errRead, done: make(chan struct{})},
		grace:  c.Grace,
	}, nil
}

// follow begins to read the script's output and to wait for its exit.
func (p *process) follow(line func(string, []byte)) {
	var lock sync.Mutex
	go p.stdout.readLines(line, &lock)
	go p.stderr.readLines(line, &lock)
	go func() {
		defer close(p.exited)
		p.cmd.Wait() // how it ended is in ProcessState
	}()
}

// overdue deals with what is left when the deadline has passed or the caller's context has ended. A script that has exited
// while a child of it holds its output is left alone at the deadline: the child may be the application that the script was
// there to start (agent.md 9.4).
func (p *process) overdue(ctx context.Context) Result {
	cause := context.Cause(ctx)
	timedOut := errors.Is(cause, errDeadline)
	if timedOut && closed(p.exited) {
		return p.leftOpen()
	}
	p.end()
	r := p.result()
	r.Outcome = TimedOut
	if !timedOut {
		r.Outcome, r.Err = Failed, cause
	}
	return r
}

// end ends the group and reads what it has left in its pipes.
func (p *process) end() {
	endGroup(p.cmd.Process.Pid, p.grace)
	select {
	case <-p.exited:
	case <-time.After(p.grace):
		// Not even KILL helped: the leader hangs in the kernel, or belongs to another user and we may not signal it.
		// Waiting for it would hang the agent as well; the goroutine that waits ends when the process does.
	}
	p.stopReading(drainTime)
}

// leftOpen reports the first stream that is still held open. It may be that none is and only our reading was behind.
func (p *process) leftOpen() Result {
	open := map[*output][]string{p.stdout: holders(p.stdout.pipe), p.stderr: holders(p.stderr.pipe)}
	p.stopReading(drainTime)
	r := p.result()
	for _, o := range []*output{p.stdout, p.stderr} {
		if !o.ended {
			r.Outcome, r.Stream, r.Holders = OutputsOpen, o.name, open[o]
			break
		}
	}
	return r
}

func (p *process) stopReading(wait time.Duration) {
	p.stdout.stop(wait)
	p.stderr.stop(wait)
}

// result tells how the script itself ended. A script that cannot be ended has no state yet.
func (p *process) result() Result {
	if !closed(p.exited) {
		return Result{Outcome: Failed, ExitCode: -1}
	}
	r := Result{ExitCode: p.cmd.ProcessState.ExitCode()}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		r.Signal = status.Signal().String()
	}
	if r.ExitCode != 0 {
		r.Outcome = Failed
	}
	return r
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

// endGroup sends TERM to a process group, and KILL if any of it is left after grace. It returns true once the group is gone,
// or false when that has not happened grace after KILL.
func endGroup(pgid int, grace time.Duration) bool {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(-pgid, signal); errors.Is(err, syscall.ESRCH) {
			return true
		}
		if groupGone(pgid, grace) {
			return true
		}
	}
	return false
}

// groupGone waits until no process of the group runs, for at most wait. There is no call that blocks until then.
func groupGone(pgid int, wait time.Duration) bool {
	const pause = 10 * time.Millisecond
	for deadline := time.Now().Add(wait); groupRuns(pgid); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
