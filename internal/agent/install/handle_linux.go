package install

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// handle is an object whose permissions are being set: an open file, or a path whose links are followed.
type handle struct {
	fd   int // -1 for a path
	path string
}

// followed returns a path that is looked up anew, links included, for each call.
func followed(path string) handle { return handle{-1, path} }

// opened opens an object that must not be a link. The caller closes it.
func opened(path string) (handle, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	return handle{fd, path}, err
}

func (h handle) close() { _ = unix.Close(h.fd) }

func (h handle) chmod(mode fs.FileMode) error {
	var err error
	if h.fd >= 0 {
		err = unix.Fchmod(h.fd, octal(mode))
	} else {
		err = unix.Chmod(h.path, octal(mode)) // os.Chmod has other bits for set-id and sticky
	}
	if err != nil {
		return fmt.Errorf("chmod %04o: %w", octal(mode), err)
	}
	return nil
}

func (h handle) chown(owner ids) error {
	var err error
	if h.fd >= 0 {
		err = unix.Fchown(h.fd, owner.uid, owner.gid)
	} else {
		err = unix.Chown(h.path, owner.uid, owner.gid)
	}
	if err != nil {
		return fmt.Errorf("chown %d:%d: %w", owner.uid, owner.gid, err)
	}
	return nil
}

// isForbidden reports that an owner cannot be given away: the agent is not root, the file system keeps no owners, or the
// number means nothing in this user namespace.
func isForbidden(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL)
}

func (h handle) mode() (fs.FileMode, error) {
	if h.fd < 0 {
		m, err := stat(h.path)
		return m.mode, err
	}
	var st unix.Stat_t
	err := unix.Fstat(h.fd, &st)
	return fileMode(st.Mode), err
}

// Names of the extended attributes that hold access control lists.
const (
	xattrObject   = "system.posix_acl_access"
	xattrChildren = "system.posix_acl_default"
)

func (h handle) setACL(l *acl) error {
	if err := h.setXattr(xattrObject, encode(l.object)); err != nil {
		return err
	}
	if len(l.children) == 0 {
		return nil // what a folder has inherited stays, as with setfacl --set
	}
	return h.setXattr(xattrChildren, encode(l.children))
}

func (h handle) setXattr(name string, value []byte) error {
	var err error
	if h.fd >= 0 {
		err = unix.Fsetxattr(h.fd, name, value, 0)
	} else {
		err = unix.Setxattr(h.path, name, value, 0)
	}
	if err != nil {
		return fmt.Errorf("cannot set the access control list: %w", err)
	}
	return nil
}

// keepsACLs reports whether the file system of an existing path has access control lists.
func keepsACLs(path string) bool {
	_, err := unix.Getxattr(path, xattrObject, nil)
	return !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS)
}

// writable returns why nothing can be made in a folder, nil when it can.
func writable(dir string) error {
	return unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
}
