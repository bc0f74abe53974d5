//go:build !linux

package bundle

import (
	"io/fs"
	"os"
	"time"
)

// folder is an open folder below the destination. The names given to its methods hold no slash.
type folder struct{ root *os.Root }

// openFolder opens the folder at name. os.Root follows symbolic links that stay below root, and no others.
func openFolder(root *os.Root, name string) (*folder, error) {
	opened, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &folder{opened}, nil
}

// open opens a folder within.
func (d *folder) open(base string) (*folder, error) { return openFolder(d.root, base) }

func (d *folder) close() { d.root.Close() }

// create makes a new file.
func (d *folder) create(base string) (*os.File, error) {
	return d.root.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d *folder) mkdir(base string, perm fs.FileMode) error { return d.root.Mkdir(base, perm) }

// mustBeFolder fails if base is anything else.
func (d *folder) mustBeFolder(base string) error {
	info, err := d.root.Lstat(base)
	if err == nil && !info.IsDir() {
		err = notAFolder(info.Mode().Type() == fs.ModeSymlink)
	}
	return err
}

func (d *folder) symlink(target, base string) error { return d.root.Symlink(target, base) }

// remove removes anything but a folder.
func (d *folder) remove(base string) error {
	info, err := d.root.Lstat(base)
	if err == nil && info.IsDir() {
		return fs.ErrExist
	}
	return d.root.Remove(base)
}

func (d *folder) lchown(base string, uid, gid int) error { return d.root.Lchown(base, uid, gid) }

// special cannot make devices and pipes on this system.
func (d *folder) special(string, *entry) error {
	return &Error{Message: "it is a device or pipe, which this agent makes on Linux only"}
}

// finishesByDescriptor says that setTimes may be called when the folder is closed already.
const finishesByDescriptor = false

// setTimes sets the times of a file that create made.
func (d *folder) setTimes(_ *os.File, base string, t time.Time) error {
	return d.root.Chtimes(base, t, t)
}

// finish gives the folder base what its entry says.
func (d *folder) finish(base string, e *entry) error {
	if e.restoresOwner() {
		if err := d.root.Chown(base, e.uid, e.gid); err != nil {
			return err
		}
	}
	if err := d.root.Chtimes(base, e.modified, e.modified); err != nil {
		return err
	}
	return d.root.Chmod(base, e.ownMode())
}
