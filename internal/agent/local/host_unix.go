//go:build unix

package local

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// writable returns why this user cannot make anything in a folder, nil when it can.
func writable(folder string) error {
	if err := unix.Access(folder, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write into", Path: folder, Err: err}
	}
	return nil
}
