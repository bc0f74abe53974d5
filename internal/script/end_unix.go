//go:build unix

package script

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// endGroup sends TERM to a process group, and KILL if any of it is left after grace. It returns true once the group is gone,
// or false when that has not happened grace after KILL.
func endGroup(pgid int, grace time.Duration) bool {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(-pgid, signal); errors.Is(err, syscall.ESRCH) {
			return true
		}
		if waitUntil(func() bool { return !groupRuns(pgid) }, grace) {
			return true
		}
	}
	return false
}

// waitUntil waits until processes are gone, for at most limit, and reports whether they are. There is no call that blocks
// until then.
func waitUntil(gone func() bool, limit time.Duration) bool {
	const pause = 10 * time.Millisecond
	for deadline := time.Now().Add(limit); !gone(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// endingSignal returns the name of the signal that ended a process, "" when it exited by itself.
func endingSignal(state *os.ProcessState) string {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal().String()
	}
	return ""
}
