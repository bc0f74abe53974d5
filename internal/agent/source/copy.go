package source

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// copier copies a folder with all that is in it. Symbolic links stay what they are, and nothing is read or written through
// one: the folder may belong to somebody who changes it meanwhile.
type copier struct {
	// exact keeps owners, all mode bits and times. Otherwise the copy belongs to the agent, files have the modes of their
	// originals as the umask allows, and folders 0755 (agent.md 10.3).
	exact   bool
	without fs.FileInfo // a folder that is left out, with the copy itself
	log     *slog.Logger

	self fs.FileInfo // the copy
}

// copyFolder makes the folder to, once hasRoom agrees to what lies in from. It returns the size of the files.
func (c *copier) copyFolder(ctx context.Context, from, to string, hasRoom func(bytes int64) error) (int64, error) {
	src, err := os.OpenRoot(from)
	if err != nil {
		return 0, err
	}
	defer src.Close()
	if err := os.Mkdir(to, 0o755); err != nil {
		return 0, err
	}
	dst, err := os.OpenRoot(to)
	if err != nil {
		return 0, err
	}
	defer dst.Close()
	if c.self, err = dst.Stat("."); err != nil {
		return 0, err
	}
	size, err := c.measure(src)
	if err != nil {
		return 0, err
	}
	if err := hasRoom(size); err != nil {
		return 0, err
	}
	info, err := src.Stat(".")
	if err != nil {
		return 0, err
	}
	return size, c.fill(ctx, src, dst, info)
}

// measure adds up the files below a folder.
func (c *copier) measure(src *os.Root) (size int64, err error) {
	err = c.each(src, func(name string, info fs.FileInfo) error {
		switch {
		case info.IsDir():
			below, err := src.OpenRoot(name)
			if err != nil {
				return err
			}
			defer below.Close()
			n, err := c.measure(below)
			size += n
			return err
		case info.Mode().IsRegular():
			size += info.Size()
		}
		return nil
	})
	return size, err
}

// each calls do with what is in a folder and belongs into the copy.
func (c *copier) each(folder *os.Root, do func(name string, info fs.FileInfo) error) error {
	list, err := folder.Open(".")
	if err != nil {
		return err
	}
	names, err := list.Readdirnames(-1)
	list.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		info, err := folder.Lstat(name)
		if err != nil {
			return err
		}
		if info.IsDir() && (os.SameFile(info, c.self) || c.without != nil && os.SameFile(info, c.without)) {
			continue
		}
		if err := do(name, info); err != nil {
			return err
		}
	}
	return nil
}

// fill copies the contents of src, which info describes, to dst.
func (c *copier) fill(ctx context.Context, src, dst *os.Root, info fs.FileInfo) error {
	err := c.each(src, func(name string, info fs.FileInfo) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			return c.folder(ctx, src, dst, name, info)
		case mode.IsRegular():
			return naming(src, name, c.file(src, dst, name, info))
		case mode&fs.ModeSymlink != 0:
			return naming(src, name, c.link(src, dst, name, info))
		}
		c.log.Warn("what is no file, folder or link is not copied", slog.String("path", filepath.Join(src.Name(), name)),
			slog.String("mode", info.Mode().String()))
		return nil
	})
	if err != nil {
		return err
	}
	return c.settle(dst, ".", info) // last: making something in a folder changes its time
}

// naming adds the whole path to an error, of which an os.Root tells the last name only.
func naming(folder *os.Root, name string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(folder.Name(), name), err)
	}
	return nil
}

func (c *copier) folder(ctx context.Context, src, dst *os.Root, name string, info fs.FileInfo) error {
	if err := dst.Mkdir(name, 0o755); err != nil {
		return err
	}
	from, err := src.OpenRoot(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := dst.OpenRoot(name)
	if err != nil {
		return err
	}
	defer to.Close()
	return c.fill(ctx, from, to, info)
}

// modeBits are all that a mode holds but the kind of file.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

func (c *copier) file(src, dst *os.Root, name string, info fs.FileInfo) error {
	from, err := src.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := dst.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode()&fs.ModePerm)
	if err != nil {
		return err
	}
	defer to.Close()
	if clone(to, from) != nil { // the file system cannot share the blocks
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
	}
	if err := c.keepSpecial(to, info); err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	return c.settle(dst, name, info)
}

// keepSpecial adds set-id and sticky bits, which no file is made with, to the mode that the umask has left.
func (c *copier) keepSpecial(to *os.File, info fs.FileInfo) error {
	special := info.Mode() & modeBits &^ fs.ModePerm
	if special == 0 {
		return nil
	}
	made, err := to.Stat()
	if err != nil {
		return err
	}
	return to.Chmod(made.Mode()&fs.ModePerm | special)
}

func (c *copier) link(src, dst *os.Root, name string, info fs.FileInfo) error {
	to, err := src.Readlink(name)
	if err != nil {
		return err
	}
	if err := dst.Symlink(to, name); err != nil {
		return err
	}
	if uid, gid, ok := owner(info); ok && c.exact {
		return dst.Lchown(name, uid, gid)
	}
	return nil
}

// settle gives a file or folder of the copy its attributes. The mode comes after the owner, whose change clears set-id bits.
func (c *copier) settle(dst *os.Root, name string, info fs.FileInfo) error {
	if !c.exact {
		if info.IsDir() {
			return dst.Chmod(name, 0o755) // whatever the umask
		}
		return nil
	}
	if uid, gid, ok := owner(info); ok {
		if err := dst.Lchown(name, uid, gid); err != nil {
			return err
		}
	}
	if err := dst.Chmod(name, info.Mode()&modeBits); err != nil {
		return err
	}
	return dst.Chtimes(name, info.ModTime(), info.ModTime())
}
