//go:build !windows

package server

import "syscall"

// openFiles is how many files and connections this process may have open; 0 when that cannot be told.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<30)) //nolint:unconvert // of another type on some systems
}
