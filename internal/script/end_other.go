//go:build unix && !linux

package script

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// awaitExit waits until the process has exited. There is no portable way to wait and leave its number taken.
func awaitExit(cmd *exec.Cmd) { cmd.Wait() }

// holders would need /proc, which only Linux has in this form.
func holders(*os.File) []string { return nil }

// groupRuns reports whether a process of the group is left, zombies included.
func groupRuns(pgid int) bool {
	return !errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH)
}
