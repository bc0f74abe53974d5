//go:build !linux

package doctor

import "errors"

// startsNothing is known on Linux only.
func startsNothing(string) (bool, error) { return false, errors.ErrUnsupported }
