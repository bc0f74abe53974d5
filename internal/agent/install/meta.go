package install

import (
	"errors"
	"io/fs"
	"syscall"
)

// meta is what the file system tells about a name.
type meta struct {
	mode           fs.FileMode
	uid, gid       int
	size           int64
	allocated      int64 // bytes that it takes on the disk
	atime, mtime   int64 // nanoseconds since 1970
	ctime          int64 // nanoseconds since 1970; 0 where the system has none
	device, serial uint64
	links          uint64
}

func (m meta) isLink() bool { return m.mode&fs.ModeSymlink != 0 }

// permissionBits are those that chmod sets.
const permissionBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// id tells files apart, however they are called.
func (m meta) id() fileID { return fileID{m.device, m.serial} }

type fileID struct{ device, serial uint64 }

// isAbsent reports whether an error says that there is nothing of that name.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// octal returns the bits of a mode as chmod counts them.
func octal(mode fs.FileMode) uint32 {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetuid != 0 {
		bits |= 0o4000
	}
	if mode&fs.ModeSetgid != 0 {
		bits |= 0o2000
	}
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return bits
}

// modeOf is the reverse of octal.
func modeOf(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	if bits&0o4000 != 0 {
		mode |= fs.ModeSetuid
	}
	if bits&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if bits&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
