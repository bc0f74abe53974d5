//go:build unix

package script

import "golang.org/x/sys/unix"

// SetUmask gives scripts and unpacking the umask they rely on, whatever that of the login shell is (agent.md 12). It is the
// whole process's, so a program calls it once, at its start.
func SetUmask() { unix.Umask(0o022) }
