package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// maxName is the longest name of an entry in bytes. Linux accepts no longer path, and without a limit one name of a tar
// archive could ask for half a million nested folders.
const maxName = 4096

// unpacker writes entries below root. What is written once is never replaced, so no entry can redirect another one.
type unpacker struct {
	ctx     context.Context
	root    *os.Root
	options Options
	stats   Stats
	folders map[string]*entry // their modes and times are set last: a folder with mode 0555 takes no files
	buffer  []byte

	parent     *os.Root // the folder that the last entry went into, kept open because most entries follow their sibling
	parentName string
}

// add writes one entry.
func (u *unpacker) add(e *entry) error {
	u.stats.Entries++
	if limit := u.options.MaxEntries; limit > 0 && u.stats.Entries > limit {
		return &Error{Message: fmt.Sprintf("the archive has more than %d entries, the limit on this host", limit)}
	}
	name, err := inside(e.name)
	if err != nil {
		return err
	}
	if name == "." {
		return nil // the archive's own top folder; ours keeps mode 0755
	}
	return judge(u.write(name, e))
}

// write puts the entry where name says.
func (u *unpacker) write(name string, e *entry) error {
	if e.hardLink {
		return u.linkTo(name, e)
	}
	switch e.mode.Type() {
	case fs.ModeDir:
		return u.makeFolder(name, e)
	case 0:
		return u.writeFile(name, e)
	case fs.ModeSymlink:
		return u.symlink(name, e)
	}
	return &Error{Message: "it is a device, pipe or socket, which a bundle must not hold"}
}

func (u *unpacker) makeFolder(name string, e *entry) error {
	if err := u.root.MkdirAll(name, 0o755); err != nil {
		return err
	}
	info, err := u.root.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &Error{Message: "it is a folder here but a symbolic link earlier in the archive"}
	}
	u.folders[name] = e
	return nil
}

func (u *unpacker) writeFile(name string, e *entry) error {
	if limit := u.options.MaxSize; limit > 0 && e.size > limit-u.stats.Bytes {
		return tooBig(limit)
	}
	dir, base, err := u.locate(name)
	if err != nil {
		return err
	}
	content, err := e.open()
	if err != nil {
		return corrupt(err)
	}
	defer content.Close()
	f, err := dir.OpenFile(base, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := u.fill(f, content); err != nil {
		return err
	}
	if u.restoresOwner(e) {
		if err := f.Chown(e.uid, e.gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(u.mode(e)); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return dir.Chtimes(base, e.modified, e.modified)
}

// fill copies the content within the size limit. The declared size is not trusted for that. Blocks of zeros become holes: a
// sparse file, which a few bytes of an archive can describe, takes no more room than where it came from.
func (u *unpacker) fill(f *os.File, content io.Reader) error {
	for {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		n, readErr := content.Read(u.buffer)
		u.stats.Bytes += int64(n)
		if limit := u.options.MaxSize; limit > 0 && u.stats.Bytes > limit {
			return tooBig(limit)
		}
		if err := writeSparse(f, u.buffer[:n]); err != nil {
			return err
		}
		if readErr == io.EOF {
			size, err := f.Seek(0, io.SeekCurrent)
			if err != nil {
				return err
			}
			return f.Truncate(size) // the end may be a hole
		}
		if readErr != nil {
			return corrupt(readErr)
		}
	}
}

// writeSparse writes a block, or passes over it when it holds nothing but zeros.
func writeSparse(f *os.File, block []byte) error {
	if len(bytes.TrimLeft(block, "\x00")) == 0 {
		_, err := f.Seek(int64(len(block)), io.SeekCurrent)
		return err
	}
	_, err := f.Write(block)
	return err
}

// symlink makes a symbolic link with whatever target it has. A link that leaves the archive is what the customer packed and
// harms nobody until something is written through it, which the os.Root refuses (agent.md 10.4, 17).
func (u *unpacker) symlink(name string, e *entry) error {
	dir, base, err := u.locate(name)
	if err != nil {
		return err
	}
	if err := dir.Symlink(e.link, base); err != nil {
		return err
	}
	if u.restoresOwner(e) {
		return dir.Lchown(base, e.uid, e.gid)
	}
	return nil
}

// linkTo makes a hard link to a file or symbolic link that the archive holds earlier.
func (u *unpacker) linkTo(name string, e *entry) error {
	target, err := inside(e.link)
	if err != nil {
		return &Error{Message: fmt.Sprintf("it is a hard link to %q, which is outside the archive", e.link)}
	}
	info, err := u.root.Lstat(target)
	if err != nil || info.IsDir() {
		return &Error{Message: fmt.Sprintf("it is a hard link to %q, which is no file earlier in the archive", e.link), Err: err}
	}
	if _, _, err := u.locate(name); err != nil {
		return err
	}
	return u.root.Link(target, name)
}

// locate returns the open folder that name belongs into, made if need be, and the last part of name.
func (u *unpacker) locate(name string) (*os.Root, string, error) {
	dirName, base := path.Split(name)
	if dirName == "" {
		return u.root, base, nil
	}
	if u.parent != nil && dirName == u.parentName {
		return u.parent, base, nil
	}
	if err := u.root.MkdirAll(dirName, 0o755); err != nil {
		return nil, "", err
	}
	dir, err := u.root.OpenRoot(dirName)
	if err != nil {
		return nil, "", err
	}
	u.close()
	u.parent, u.parentName = dir, dirName
	return dir, base, nil
}

func (u *unpacker) close() {
	if u.parent != nil {
		u.parent.Close()
		u.parent = nil
	}
}

// finish sets owners, modes and times of the folders, children before their parents: a parent may become inaccessible.
func (u *unpacker) finish() error {
	names := make([]string, 0, len(u.folders))
	for name := range u.folders {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	for _, name := range names {
		if err := u.finishFolder(name, u.folders[name]); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) finishFolder(name string, e *entry) error {
	if u.restoresOwner(e) {
		if err := u.root.Lchown(name, e.uid, e.gid); err != nil {
			return err
		}
	}
	if err := u.root.Chtimes(name, e.modified, e.modified); err != nil {
		return err
	}
	return u.root.Chmod(name, u.mode(e))
}

func (u *unpacker) restoresOwner(e *entry) bool {
	return u.options.Owners && e.uid >= 0 && e.gid >= 0
}

// mode is what the entry gets. Without its owner, a set-id bit would hand the agent's own rights to whoever runs the file.
func (u *unpacker) mode(e *entry) fs.FileMode {
	if u.restoresOwner(e) {
		return e.mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	}
	return e.mode & (fs.ModePerm | fs.ModeSticky)
}

// inside returns the name in the form that os.Root wants, or an *Error if it does not stay below the archive's top. A ".."
// that would stay inside is refused as well: tar and unzip refuse it, and through a symbolic link it may not stay inside.
func inside(name string) (string, error) {
	switch {
	case name == "":
		return "", &Error{Message: "its name is empty"}
	case len(name) > maxName:
		return "", &Error{Message: fmt.Sprintf("its name is longer than %d bytes", maxName)}
	case strings.Contains(name, "\x00"):
		return "", &Error{Message: "its name holds a NUL byte"}
	case strings.HasPrefix(name, "/"):
		return "", &Error{Message: "its name is absolute; pack with names relative to the bundle's top"}
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", &Error{Message: `its name holds ".." and would leave the archive; pack with names relative to the bundle's top`}
	}
	return path.Clean(name), nil
}

// judge tells the bundle's defects from the host's troubles among the errors of writing an entry.
func judge(err error) error {
	var errno syscall.Errno
	defect := (*Error)(nil)
	switch {
	case err == nil, errors.As(err, &defect), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrExist):
		return &Error{Message: "it is in the archive twice, or as a file and as a folder", Err: err}
	case errors.Is(err, syscall.ENOTDIR):
		return &Error{Message: "it lies below something that is a file in this archive", Err: err}
	case errors.Is(err, syscall.ENAMETOOLONG):
		return &Error{Message: "its name is too long for this file system", Err: err}
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EINVAL), errors.Is(err, fs.ErrNotExist):
		return &Error{Message: "its name or target cannot be used: " + err.Error(), Err: err}
	case !errors.As(err, &errno): // os.Root has its own error for this, without a number
		return &Error{Message: "it would be written outside the archive, through a symbolic link", Err: err}
	}
	return err
}

func corrupt(err error) error {
	return &Error{Message: "the archive is corrupt or cut off (" + err.Error() + "); pack and upload it again", Err: err}
}

func tooBig(limit int64) error {
	return &Error{Message: fmt.Sprintf("with it the archive unpacks to more than %d bytes, the limit on this host", limit)}
}
