package script

import (
	"context"
	"errors"
	"fmt"
)

// run refuses: hooks on Windows need job objects and PowerShell, which this agent does not have.
func run(_ context.Context, c Command) Result {
	return Result{Outcome: NotStarted, ExitCode: -1, Err: fmt.Errorf("run %s: hooks on Windows: %w", c.Path, errors.ErrUnsupported)}
}
