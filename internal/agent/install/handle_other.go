//go:build !linux

package install

import (
	"errors"
	"io/fs"
	"os"
)

// handle is an object whose permissions are being set, by its path.
type handle struct{ path string }

func followed(path string) handle { return handle{path} }

// opened checks that the object is no link; the system offers no way to hold on to what was checked.
func opened(path string) (handle, error) {
	if m, err := lstat(path); err != nil {
		return handle{}, err
	} else if m.isLink() {
		return handle{}, errors.New("it is a symbolic link")
	}
	return handle{path}, nil
}

func (h handle) close() {}

func (h handle) chmod(mode fs.FileMode) error { return os.Chmod(h.path, mode) }

// chown does nothing for an unknown owner, which is what files have on systems other than Linux.
func (h handle) chown(owner ids) error {
	if owner == (ids{-1, -1}) {
		return nil
	}
	return os.Chown(h.path, owner.uid, owner.gid)
}

func isForbidden(err error) bool { return errors.Is(err, fs.ErrPermission) }

func (h handle) mode() (fs.FileMode, error) {
	m, err := stat(h.path)
	return m.mode, err
}

func (h handle) setACL(*acl) error {
	return errors.New("access control lists are set on Linux only")
}

func keepsACLs(string) bool { return false }

// writable leaves it to the copies to find out.
func writable(string) error { return nil }
