//go:build !linux

package script

import (
	"errors"
	"fmt"
	"time"
)

// Announce is only possible on Linux, where /proc tells what a process was started with.
func Announce() (Group, error) {
	return Group{}, fmt.Errorf("announce a process group: %w", errors.ErrUnsupported)
}

// Identify is only possible on Linux, which tells boot and start time in /proc.
func (g Group) Identify(pgid int) (Group, error) {
	return Group{}, fmt.Errorf("identify process group %d: %w", pgid, errors.ErrUnsupported)
}

// Kill never signals anything here, because no group can be identified.
func (g Group) Kill(time.Duration) (bool, error) { return false, nil }
