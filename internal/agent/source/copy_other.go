//go:build !linux

package source

import (
	"errors"
	"os"
)

// clone is for Linux.
func clone(_, _ *os.File) error { return errors.ErrUnsupported }
