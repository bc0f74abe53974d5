// Package script runs one hook script: process group, deadline, bounded log (agent.md 9.3-9.6).
package script

import (
	"context"
	"io"
	"time"
)

// Command says what to run and how.
type Command struct {
	Path    string   // absolute path of the script
	Env     []string // whole environment, "K=V"
	Dir     string   // working directory
	RunAs   string   // user, "" = the agent's own
	Sudo    bool
	Timeout time.Duration // covers exit, end of stdout, end of stderr, in that order
	Grace   time.Duration // between TERM and KILL; 0 = 5 s
	// Line is called with each line of output, without its newline, at most MaxLine bytes; not concurrently.
	Line func(stream string, line []byte)
	// Started is called with the process group once the script runs, before its first output is delivered.
	Started func(pgid int)
	Stdout  io.Writer // unused when Line is set; for the local CLI
}

// Outcome is how a script ended.
type Outcome int

// Outcomes, in the words of agent.md 4.7.
const (
	Succeeded   Outcome = iota
	NotStarted          // spawn failure (code 4)
	TimedOut            // code 3
	Failed              // non-zero exit or signal (code 4)
	OutputsOpen         // code 6: stdout or stderr held open by a child
)

// Result is the outcome with its details.
type Result struct {
	Outcome  Outcome
	ExitCode int
	Signal   string
	Stream   string   // OutputsOpen: "stdout" or "stderr"
	Holders  []string // OutputsOpen: "name (pid)" of processes that hold it
	Err      error    // NotStarted
	Duration time.Duration
}

// Run runs the command and waits for it within its deadline. If ctx ends first the script's group is ended (TERM,
// grace, KILL) and the context's cause is in Err.
func Run(ctx context.Context, c Command) Result { panic("to be written") }
