package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

// Exit codes of commands that tell how something ended; every other failure is exitFailed.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitStopped     = 3   // the deployment was stopped
	exitInterrupted = 130 // as shells have it for Ctrl-C
)

// exitError is an error with the exit code of the program.
type exitError struct {
	code int
	err  error
}

// Error returns what went wrong.
func (e *exitError) Error() string { return e.err.Error() }

// Unwrap returns what went wrong.
func (e *exitError) Unwrap() error { return e.err }

// exitCode is the exit code for the error of a command.
func exitCode(err error) int {
	var exit *exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.code
	}
	return exitFailed
}

// strictly makes mistakes in a command's flags and arguments end with exitUsage, so that scripts can tell them from the
// failure of what the command watches.
func strictly(cmd *cobra.Command) *cobra.Command {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exitError{exitUsage, err}
		}
		return nil
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	return cmd
}
