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
	"sync"
	"sync/atomic"
	"syscall"
)

// unpacker is what the writers of one extraction share.
type unpacker struct {
	root     *os.Root
	options  Options
	owners   owners
	estimate Stats  // what the whole was thought to need before it was read
	wanted   demand // what has been admitted so far
	written  atomic.Int64

	mu      sync.Mutex
	folders map[string]*entry // their modes and times are set last: a folder with mode 0555 takes no files
}

// writer writes entries below the unpacker's root. No file is opened that is already there, so no entry can redirect another
// one. It is used by one goroutine.
type writer struct {
	*unpacker
	trail
	ctx    context.Context
	buffer []byte
	crew   *crew // takes small files; nil = nobody
}

// blockLength is what is read and written at once.
const blockLength = 64 << 10

func (u *unpacker) writer(ctx context.Context) *writer {
	return &writer{unpacker: u, trail: trail{root: u.root}, ctx: ctx, buffer: make([]byte, blockLength)}
}

// write puts the entry where name says.
func (w *writer) write(name string, e *entry) error {
	if name == "." {
		return nil // the archive's own top folder; ours keeps mode 0755
	}
	return judge(w.put(name, e))
}

func (w *writer) put(name string, e *entry) error {
	dir, base, err := w.locate(name)
	if err != nil {
		return err
	}
	switch kind := e.mode.Type(); {
	case e.hardLink:
		return w.linkTo(name, dir, base, e)
	case kind == fs.ModeDir:
		return w.makeFolder(name, dir, base, e)
	case kind == fs.ModeSymlink:
		return w.symlink(name, dir, base, e)
	case kind != 0:
		return replacing(dir, base, func() error { return dir.special(base, e) })
	}
	return w.makeFile(dir, base, e)
}

func (w *writer) makeFolder(name string, dir *folder, base string, e *entry) error {
	err := dir.mkdir(base, e.ownMode().Perm()&^0o022|0o700) // until it is finished, nobody else writes in it
	if errors.Is(err, fs.ErrExist) {
		err = dir.mustBeFolder(base)
	}
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.folders[name] = e
	return nil
}

func (w *writer) makeFile(dir *folder, base string, e *entry) error {
	content, err := e.open()
	if err != nil {
		return corrupt(err)
	}
	defer content.Close()
	var f *os.File
	err = replacing(dir, base, func() (err error) {
		f, err = dir.create(base)
		return err
	})
	if err != nil {
		return err
	}
	if w.crew.takes(e) {
		return w.crew.add(f, dir, e, content)
	}
	defer f.Close()
	if err := w.fill(f, content); err != nil {
		return err
	}
	return complete(f, dir, e)
}

// complete gives a file that has its content the rest, and closes it.
func complete(f *os.File, dir *folder, e *entry) error {
	if e.restoresOwner() {
		if err := f.Chown(e.uid, e.gid); err != nil {
			return err
		}
	}
	if err := f.Chmod(e.ownMode()); err != nil {
		return err
	}
	if err := dir.setTimes(f, path.Base(e.name), e.modified); err != nil {
		return err
	}
	return f.Close()
}

// fill copies the content. Blocks of zeros become holes: a sparse file, which a few bytes of an archive can describe, takes no
// more room than where it came from.
func (w *writer) fill(f *os.File, content io.Reader) error {
	for offset := int64(0); ; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		n, readErr := readBlock(content, w.buffer)
		if readErr != nil && readErr != io.EOF {
			return corrupt(readErr)
		}
		block := w.buffer[:n]
		hole := isZero(block)
		if !hole {
			if _, err := f.WriteAt(block, offset); err != nil {
				return err
			}
		}
		offset += int64(n)
		w.written.Add(int64(n))
		switch {
		case readErr == nil:
		case hole && offset > 0:
			return f.Truncate(offset)
		default:
			return nil
		}
	}
}

// readBlock fills a block as io.ReadFull does, but keeps the reader's own error, which tells an end from a cut.
func readBlock(r io.Reader, block []byte) (n int, err error) {
	for n < len(block) && err == nil {
		var more int
		more, err = r.Read(block[n:])
		n += more
	}
	return n, err
}

// isZero reports whether a block holds nothing but zeros.
func isZero(block []byte) bool { return len(bytes.TrimLeft(block, "\x00")) == 0 }

// symlink makes a symbolic link, by default only within the archive: through any other, scripts and later deployments would
// reach what the bundle has no business with. Stock agents take every target (agent.md 10.4), as does Permissive.
func (w *writer) symlink(name string, dir *folder, base string, e *entry) error {
	if (!w.options.Permissive || w.options.RejectTraversal) && leaves(name, e.link) {
		return &Error{Message: fmt.Sprintf("it is a symbolic link to %q, outside the archive; link within the bundle, or make the link "+
			"in a hook, or set trust_bundles in the agent's configuration (and not reject_path_traversal_in_bundle)", e.link)}
	}
	if err := replacing(dir, base, func() error { return dir.symlink(e.link, base) }); err != nil {
		return err
	}
	if e.restoresOwner() {
		return dir.lchown(base, e.uid, e.gid)
	}
	return nil
}

// linkTo makes a hard link to a file or symbolic link that the archive holds earlier.
func (w *writer) linkTo(name string, dir *folder, base string, e *entry) error {
	target, err := inside(e.link)
	if err != nil {
		return &Error{Message: fmt.Sprintf("it is a hard link to %q, which is outside the archive", e.link)}
	}
	info, err := w.unpacker.root.Lstat(target)
	if err != nil || info.IsDir() {
		return &Error{Message: fmt.Sprintf("it is a hard link to %q, which is no file earlier in the archive", e.link), Err: err}
	}
	if there, err := w.unpacker.root.Lstat(name); err == nil && os.SameFile(there, info) {
		return nil // removing the name would remove the file
	}
	return replacing(dir, base, func() error { return w.unpacker.root.Link(target, name) })
}

// replacing makes something at base, and when there is a file already, because the archive has the name twice, again after
// removing that: of what tar and unzip unpack, the last one stays.
func replacing(dir *folder, base string, make func() error) error {
	err := make()
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if dir.remove(base) != nil {
		return err // a folder
	}
	return make()
}

// finish sets owners, modes and times of the folders, children before their parents: a parent may become inaccessible.
func (u *unpacker) finish() error {
	names := make([]string, 0, len(u.folders))
	for name := range u.folders {
		names = append(names, name)
	}
	slices.Sort(names)
	slices.Reverse(names)
	t := trail{root: u.root}
	defer t.close()
	for _, name := range names {
		dir, base, err := t.locate(name)
		if err == nil {
			err = dir.finish(base, u.folders[name])
		}
		if err != nil {
			return inEntry(name, judge(err))
		}
	}
	return nil
}

// judge tells the bundle's defects from the host's troubles among the errors of writing an entry.
func judge(err error) error {
	var errno syscall.Errno
	defect := (*Error)(nil)
	switch {
	case err == nil, errors.As(err, &defect), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, fs.ErrExist):
		return &Error{Message: "it is in the archive both as a file and as a folder", Err: err}
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
