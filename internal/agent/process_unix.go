//go:build unix

package agent

import (
	"errors"
	"syscall"
)

// terminate asks a process to end. One that has ended is no error.
func terminate(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
