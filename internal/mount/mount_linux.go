package mount

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// holding returns the mount that holds a real path.
func holding(existing string) (Mount, error) {
	var st unix.Stat_t
	var vfs unix.Statfs_t
	if err := errors.Join(unix.Stat(existing, &st), unix.Statfs(existing, &vfs)); err != nil {
		return Mount{}, fmt.Errorf("cannot tell the free space at %s: %w", existing, err)
	}
	// What is kept in reserve for root is not for deployments, also when the agent is root: the host needs it to be mended.
	m := Mount{
		Point: mountPoint(existing), Existing: existing, Device: st.Dev,
		Block: vfs.Bsize, FreeBytes: int64(vfs.Bavail) * vfs.Bsize, FreeFiles: int64(vfs.Ffree),
	}
	if vfs.Files == 0 {
		m.FreeFiles = -1
	}
	return m, nil
}

// mountPoint looks for the longest mount point above a real path. Where the kernel's table cannot be read, the path itself
// is the best name there is.
func mountPoint(path string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return path
	}
	best := ""
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescapeMount(fields[4])
		if len(point) > len(best) && isAtOrBelow(path, point) {
			best = point
		}
	}
	return cmp.Or(best, path)
}

// unescapeMount undoes the kernel's octal escapes of space, tab, newline and backslash.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isAtOrBelow(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(folder, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
