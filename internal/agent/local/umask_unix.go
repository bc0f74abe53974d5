//go:build unix

package local

import "golang.org/x/sys/unix"

// setUmask gives scripts and unpacking the umask they rely on, whatever the person's own is (agent.md 12).
func setUmask() { unix.Umask(0o022) }
