// Package filelock tells whether another process uses the same thing: a lock on a file, which the system drops however the
// process that holds it ends.
package filelock

import (
	"errors"
	"io/fs"
	"os"
)

// ErrHeld says that somebody else holds a lock.
var ErrHeld = errors.New("another process holds the lock")

// Acquire locks a file, which is made if it is missing, and does not wait: the error is ErrHeld when somebody else holds the
// lock, or asks with [Held] at this moment. The lock lasts until the file is closed.
func Acquire(path string, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, mode)
	if err != nil {
		return nil, err
	}
	if err := lock(f, true); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Held reports whether somebody has acquired the lock of a file. Others that ask at the same time do not count.
func Held(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	defer f.Close()
	err = lock(f, false)
	if errors.Is(err, ErrHeld) {
		return true, nil
	}
	return false, err
}

// lock locks a file exclusively, or shared, which keeps out only those who want it for themselves. It does not wait.
func lock(f *os.File, exclusive bool) error {
	locked, err := try(f, exclusive)
	switch {
	case err != nil:
		return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	case !locked:
		return ErrHeld
	}
	return nil
}
