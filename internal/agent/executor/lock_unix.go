//go:build unix

package executor

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockFolder locks a folder without waiting; false means that somebody else holds the lock. No file is left behind, and
// scripts do not inherit the lock.
func lockFolder(path string) (unlock func(), locked bool, err error) {
	folder, err := os.Open(path)
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return func() { folder.Close() }, true, nil
	}
	folder.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, err
}
