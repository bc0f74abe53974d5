package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// startsNothing reports whether a path lies on a mount from which no program can be started.
func startsNothing(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, fmt.Errorf("statfs %s: %w", path, err)
	}
	return st.Flags&unix.ST_NOEXEC != 0, nil
}
