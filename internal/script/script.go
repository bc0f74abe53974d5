// Package script runs one hook script: process group, deadline, bounded log (agent.md 9.3-9.6).
//
// A script is started in a process group of its own, with nothing to read on stdin, and its output is handed on line by
// line. One deadline covers its exit, the end of its stdout and the end of its stderr, in that order:
//
//	           cannot start
//	start ───────────────────────────────────────────▶ NotStarted
//	  │
//	  ▼        deadline: TERM, grace, KILL
//	running ─────────────────────────────────────────▶ TimedOut
//	  │        context ends: TERM, grace, KILL
//	  ├──────────────────────────────────────────────▶ Failed, with Err
//	  ▼ exit
//	draining stdout, then stderr ── deadline ────────▶ OutputsOpen (nothing is ended, the holders are named)
//	  │        context ends: TERM, grace, KILL
//	  ├──────────────────────────────────────────────▶ Failed, with Err
//	  ▼ both at their end
//	Succeeded, or Failed when the exit code is not 0
//
// What is run for the four combinations of runas and sudo, and how stock agents 1.x do it (agent.md 9.3):
//
//	runas  sudo   here                                                    1.x
//	-      -      PATH                                                    PATH
//	USER   -      PATH, with the user, its groups and HOME, USER,         su USER -c PATH
//	              LOGNAME and SHELL set by the agent itself
//	-      yes    sudo -n -- PATH                                         sudo PATH
//	USER   yes    sudo -n -u USER -- PATH                                 sudo su USER -c PATH
//
// su runs the user's login shell, so accounts of services (nologin) fail with it, and with it every path has to be quoted
// for a shell. An agent that is not root and is to run a script as another user does it through sudo, as in the last row,
// because nobody but root can set a user. sudo hands on only the variables that its own configuration keeps.
package script

import (
	"context"
	"errors"
	"time"
)

// DefaultGrace is the time between TERM and KILL (agent.md 9.4).
const DefaultGrace = 5 * time.Second

// MaxLine is the longest piece of output handed on at once, in bytes. A longer line arrives in several pieces, so that a
// script which writes 200 MB without a newline needs no more memory than any other.
const MaxLine = 64 << 10

// Names of the two output streams, as Command.Line and Result.Stream have them.
const (
	Stdout = "stdout"
	Stderr = "stderr"
)

// Command says what to run and how.
type Command struct {
	Path    string        // absolute path of the script
	Env     []string      // environment, "K=V", see Environment; nothing else is inherited from the agent
	Dir     string        // working directory, "" = the agent's own
	RunAs   string        // user, "" = the agent's own
	ID      string        // of the Group that was announced for it, "" = none
	Sudo    bool          // run through sudo, as RunAs when that is set too
	Timeout time.Duration // covers exit, end of stdout, end of stderr, in that order; 0 = none
	Grace   time.Duration // between TERM and KILL; 0 = DefaultGrace
	// Line is called with each line of output, without its newline, at most MaxLine bytes; not concurrently, and never
	// after Run has returned. The bytes are only valid during the call. While it blocks, so does the script.
	Line func(stream string, line []byte)
	// Started is called with the process group once the script runs, before its first output is delivered.
	Started func(pgid int)
}

// Outcome is how a script ended.
type Outcome int

// Outcomes, in the words of agent.md 4.7.
const (
	Succeeded   Outcome = iota
	NotStarted          // spawn failure (code 4)
	TimedOut            // code 3
	Failed              // non-zero exit, signal, or the context ended (code 4)
	OutputsOpen         // code 6: stdout or stderr held open by a child
)

// Result is the outcome with its details.
type Result struct {
	Outcome  Outcome
	ExitCode int      // -1 when the script was ended by a signal or did not run
	Signal   string   // the signal that ended the script, such as "killed"; "" when it exited by itself
	Stream   string   // OutputsOpen: Stdout or Stderr
	Holders  []string // OutputsOpen: "name (pid)" of processes that hold it, as far as they can be seen
	Err      error    // NotStarted: why; Failed: the context's cause when that ended the script; TimedOut: why it still runs
	Duration time.Duration
}

// errDeadline is the cause of the end of a script's own deadline, so that it is not taken for the caller's.
var errDeadline = errors.New("the script's timeout has passed")

// Run runs the command and waits for it within its deadline. If ctx ends first the script's group is ended (TERM,
// grace, KILL) and the context's cause is in Err.
func Run(ctx context.Context, c Command) Result {
	begin := time.Now()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, errDeadline)
		defer cancel()
	}
	if c.Grace <= 0 {
		c.Grace = DefaultGrace
	}
	result := run(ctx, c)
	result.Duration = time.Since(begin)
	return result
}
