package agent

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// setUmask does nothing: Windows has no umask.
func setUmask() {}

// tryLock locks a file without waiting; false means that somebody else holds the lock. The system drops it with the file.
func tryLock(f *os.File, exclusive bool) (bool, error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// terminate refuses: a process of Windows cannot be asked to end, and one that is killed leaves a host half done.
func terminate(int) error {
	return errors.New("on Windows the agent is stopped by whoever runs it (Ctrl-C, or the service manager)")
}
