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

	select {
	case <-p.exited:
	case <-ctx.Done():
		return p.interrupted(ctx)
	}
	for _, o := range []*output{p.stdout, p.stderr} {
		select {
		case <-o.done:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), errDeadline) {
				return p.leftOpen(o)
			}
			return p.interrupted(ctx)
		}
	}
	p.stopReading(0)
	return p.result()
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

// interrupted ends the group because the deadline has passed or the caller's context has ended.
func (p *process) interrupted(ctx context.Context) Result {
	endGroup(p.cmd.Process.Pid, p.grace)
	select {
	case <-p.exited:
	case <-time.After(p.grace):
		// Not even KILL helped: the leader hangs in the kernel, or belongs to another user and we may not signal it.
		// Waiting for it would hang the agent as well; the goroutine that waits ends when the process does.
	}
	p.stopReading(drainTime)
	r := p.result()
	r.Outcome = TimedOut
	if cause := context.Cause(ctx); !errors.Is(cause, errDeadline) {
		r.Outcome, r.Err = Failed, cause
	}
	return r
}

// leftOpen reports a stream that a child of the exited script still holds at the deadline. Nothing is ended: the child may
// be the application that the script was there to start (agent.md 9.4).
func (p *process) leftOpen(o *output) Result {
	r := p.result()
	r.Outcome, r.Stream, r.Holders = OutputsOpen, o.name, holders(o.pipe)
	p.stopReading(0)
	return r
}

func (p *process) stopReading(wait time.Duration) {
	p.stdout.stop(wait)
	p.stderr.stop(wait)
}

// result tells how the script itself ended. A script that cannot be ended has no state yet.
func (p *process) result() Result {
	select {
	case <-p.exited:
	default:
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
