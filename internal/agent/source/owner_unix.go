//go:build unix

package source

import (
	"io/fs"
	"os"
	"syscall"
)

// owner returns who owns a file, false if that cannot be given to another file: only root may.
func owner(info fs.FileInfo) (uid, gid int, ok bool) {
	st, known := info.Sys().(*syscall.Stat_t)
	if !known || os.Geteuid() != 0 {
		return 0, 0, false
	}
	return int(st.Uid), int(st.Gid), true
}
