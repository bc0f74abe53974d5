package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// copier copies files one after the other. It speaks to the kernel directly: os.File costs two more calls for each file.
type copier struct{ buffer []byte }

func newCopier() *copier { return &copier{make([]byte, 128<<10)} }

// copyFile makes path, which must not be there, a copy of f with its times, owner and mode, and with the permissions that
// it is to have.
func (c *copier) copyFile(ctx context.Context, f *file, path string) error {
	in, err := open(f.source, unix.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer unix.Close(in)
	out, err := open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	err = c.content(ctx, in, out, f.from)
	if err == nil {
		err = f.finish(handle{out, path})
	}
	if closeErr := unix.Close(out); err == nil && closeErr != nil && !errors.Is(closeErr, unix.EINTR) {
		err = fmt.Errorf("close: %w", closeErr) // where network file systems tell of a full disk
	}
	if err == nil {
		err = setTimes(path, f.from)
	}
	if err != nil {
		_ = unix.Unlink(path) // half a file takes space that may be what is missing
	}
	return err
}

// content copies what is in a file by the cheapest means that there is.
func (c *copier) content(ctx context.Context, in, out int, from meta) error {
	if from.size < int64(len(c.buffer)) {
		return c.few(ctx, in, out, from.size)
	}
	if unix.IoctlFileClone(out, in) == nil {
		return nil // both share the blocks until one is changed
	}
	if from.allocated < from.size {
		return c.sparse(ctx, in, out, from.size)
	}
	return c.extent(ctx, in, out, from.size)
}

// sparse copies the data between the holes, so that the copy has the same ones.
func (c *copier) sparse(ctx context.Context, in, out int, size int64) error {
	for at := int64(0); at < size; {
		start, err := unix.Seek(in, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole is left
		} else if err != nil {
			return c.extent(ctx, in, out, size) // the file system knows of no holes
		}
		end, err := unix.Seek(in, start, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("look for holes: %w", err)
		}
		for _, fd := range []int{in, out} {
			if _, err := unix.Seek(fd, start, io.SeekStart); err != nil {
				return fmt.Errorf("seek: %w", err)
			}
		}
		if err := c.extent(ctx, in, out, end-start); err != nil {
			return err
		}
		at = end
	}
	if err := unix.Ftruncate(out, size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	return nil
}

// extent copies n bytes from where both files are, within the kernel if it can.
func (c *copier) extent(ctx context.Context, in, out int, n int64) error {
	for n > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		const most = 16 << 20 // between two looks at the context
		done, err := unix.CopyFileRange(in, nil, out, nil, int(min(n, most)), 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EIO):
			return fmt.Errorf("write: %w", err)
		case err != nil || done == 0:
			return c.few(ctx, in, out, n) // not between these file systems, or not on this kernel
		default:
			n -= int64(done)
		}
	}
	return nil
}

// few copies n bytes through the buffer, or what there is.
func (c *copier) few(ctx context.Context, in, out int, n int64) error {
	for n > 0 {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		got, err := again(func() (int, error) { return unix.Read(in, c.buffer[:min(n, int64(len(c.buffer)))]) })
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if got == 0 {
			return nil
		}
		for data := c.buffer[:got]; len(data) > 0; {
			put, err := again(func() (int, error) { return unix.Write(out, data) })
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			data = data[put:]
		}
		n -= int64(got)
	}
	return nil
}

// again repeats a call that a signal has interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func open(path string, flags int, mode uint32) (int, error) {
	fd, err := again(func() (int, error) { return unix.Open(path, flags|unix.O_CLOEXEC, mode) })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func rename(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return nil
}

// removeFolder spares the attempt to remove a file that os.Remove makes first. It removes whatever else is there by now.
func removeFolder(path string) error {
	if err := unix.Rmdir(path); err == nil || errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return os.Remove(path)
}

func setTimes(path string, m meta) error {
	times := []unix.Timespec{unix.NsecToTimespec(m.atime), unix.NsecToTimespec(m.mtime)}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the times: %w", err)
	}
	return nil
}
