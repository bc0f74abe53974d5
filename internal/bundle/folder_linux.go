package bundle

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// folder is an open folder below the destination. The names given to its methods hold no slash, so each method is one system
// call that cannot lead elsewhere; going through os.Root for every file costs twice as much.
type folder struct {
	fd   int
	name string // for errors
}

// openFolder opens the folder at name. os.Root follows symbolic links that stay below root, and no others.
func openFolder(root *os.Root, name string) (*folder, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "dup", Path: f.Name(), Err: err}
	}
	return &folder{fd, f.Name()}, nil
}

// open opens a folder within, and nothing behind a symbolic link.
func (d *folder) open(base string) (*folder, error) {
	var fd int
	err := d.do("open", base, func() (err error) {
		fd, err = unix.Openat(d.fd, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &folder{fd, d.path(base)}, nil
}

func (d *folder) close() { unix.Close(d.fd) }

// create makes a new file.
func (d *folder) create(base string) (*os.File, error) {
	var fd int
	err := d.do("open", base, func() (err error) {
		fd, err = unix.Openat(d.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), d.path(base)), nil
}

func (d *folder) mkdir(base string, perm fs.FileMode) error {
	return d.do("mkdir", base, func() error { return unix.Mkdirat(d.fd, base, uint32(perm)) })
}

// mustBeFolder fails if base is anything else.
func (d *folder) mustBeFolder(base string) error {
	stat, err := d.lstat(base)
	if err == nil && stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		err = notAFolder(stat.Mode&unix.S_IFMT == unix.S_IFLNK)
	}
	return err
}

func (d *folder) lstat(base string) (stat unix.Stat_t, err error) {
	err = d.do("lstat", base, func() error { return unix.Fstatat(d.fd, base, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	return stat, err
}

func (d *folder) symlink(target, base string) error {
	return d.do("symlink", base, func() error { return unix.Symlinkat(target, d.fd, base) })
}

// remove removes anything but a folder.
func (d *folder) remove(base string) error {
	return d.do("unlink", base, func() error { return unix.Unlinkat(d.fd, base, 0) })
}

func (d *folder) lchown(base string, uid, gid int) error {
	return d.do("lchown", base, func() error { return unix.Fchownat(d.fd, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW) })
}

// special makes a device or a pipe, as far as the agent's rights allow.
func (d *folder) special(base string, e *entry) error {
	kind := map[fs.FileMode]uint32{
		fs.ModeNamedPipe: unix.S_IFIFO, fs.ModeDevice: unix.S_IFBLK, fs.ModeDevice | fs.ModeCharDevice: unix.S_IFCHR,
	}[e.mode.Type()]
	device := int(unix.Mkdev(e.major, e.minor))
	if err := d.do("mknod", base, func() error { return unix.Mknodat(d.fd, base, kind|0o600, device) }); err != nil {
		return err
	}
	if e.restoresOwner() {
		if err := d.lchown(base, e.uid, e.gid); err != nil {
			return err
		}
	}
	return d.do("chmod", base, func() error { return unix.Fchmodat(d.fd, base, uint32(e.mode.Perm()), 0) })
}

// finishesByDescriptor says that setTimes may be called when the folder is closed already.
const finishesByDescriptor = true

// setTimes sets the times of a file that create made, by its descriptor: the name may belong to another file by now.
func (d *folder) setTimes(f *os.File, _ string, t time.Time) error {
	return setTimes(int(f.Fd()), "", t)
}

// finish gives the folder base what its entry says. Most have their mode and owner from the beginning; the others are opened,
// because what goes by name could follow a symbolic link.
func (d *folder) finish(base string, e *entry) error {
	stat, err := d.lstat(base)
	if err != nil {
		return err
	}
	mode := modeBits(e.ownMode())
	chown := e.restoresOwner() && (int(stat.Uid) != e.uid || int(stat.Gid) != e.gid)
	if chown || stat.Mode != unix.S_IFDIR|mode {
		sub, err := d.open(base)
		if err != nil {
			return err
		}
		defer sub.close()
		if chown {
			if err := d.do("chown", base, func() error { return unix.Fchown(sub.fd, e.uid, e.gid) }); err != nil {
				return err
			}
		}
		if err := d.do("chmod", base, func() error { return unix.Fchmod(sub.fd, mode) }); err != nil {
			return err
		}
	}
	return setTimes(d.fd, base, e.modified)
}

// modeBits returns a mode as the system has it.
func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	if m&fs.ModeSetuid != 0 {
		bits |= unix.S_ISUID
	}
	if m&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	if m&fs.ModeSticky != 0 {
		bits |= unix.S_ISVTX
	}
	return bits
}

// setTimes sets both times of what has this name in an open folder, or, if it has none, of the open file itself, which package
// unix has no way to say.
func setTimes(fd int, base string, t time.Time) error {
	spec, err := unix.TimeToTimespec(t)
	if err != nil {
		return nil // a time that the system cannot hold is no reason to refuse the file
	}
	times := [2]unix.Timespec{spec, spec}
	name, flags := (*byte)(nil), 0
	if base != "" {
		if name, err = unix.BytePtrFromString(base); err != nil {
			return err
		}
		flags = unix.AT_SYMLINK_NOFOLLOW
	}
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&times)), uintptr(flags), 0, 0)
	if errno != 0 {
		return os.NewSyscallError("utimensat", errno)
	}
	return nil
}

// do calls the system again when a signal interrupted it, and says in an error what was tried.
func (d *folder) do(op, base string, call func() error) error {
	for {
		switch err := call(); err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return &fs.PathError{Op: op, Path: d.path(base), Err: err}
		}
	}
}

func (d *folder) path(base string) string { return filepath.Join(d.name, base) }
