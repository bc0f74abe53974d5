//go:build unix

package agent

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// setUmask gives hooks and unpacking the umask they rely on (agent.md 12).
func setUmask() { unix.Umask(0o022) }

// terminate asks a process to end. One that has ended is no error.
func terminate(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
