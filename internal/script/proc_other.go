//go:build unix && !linux

package script

import (
	"errors"
	"os"
	"syscall"
)

// holders would need /proc, which only Linux has in this form.
func holders(*os.File) []string { return nil }

// groupRuns reports whether a process of the group is left, zombies included.
func groupRuns(pgid int) bool {
	return !errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH)
}
