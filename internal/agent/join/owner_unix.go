//go:build unix

package join

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives a file that root has written to the owner of another: an agent that does not run as root must be able to read
// its key. A file that is not there has no owner to follow.
func giveTo(ownerOf, path string) error {
	info, err := os.Stat(ownerOf)
	if errors.Is(err, fs.ErrNotExist) || os.Geteuid() != 0 {
		return nil
	} else if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	return os.Lchown(path, int(owner.Uid), int(owner.Gid))
}
