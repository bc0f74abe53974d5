// Package atomicfile replaces files so that a reader, or a machine that loses power, sees the old or the new content and
// never a part of it.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
)

// WriteFile makes path hold data with exactly the given mode, whatever the umask. The content reaches the disk before the
// name does, and the name before WriteFile returns. The temporary file lies in the same folder and its name starts with a
// dot, so that those who list the folder can tell what a crash left behind. A symlink at path is replaced, not followed.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	return write(path, data, mode, true)
}

// Replace is WriteFile for what is not worth waiting for the disk: a crash of this process leaves the old or the new
// content, a loss of power may leave neither.
func Replace(path string, data []byte, mode fs.FileMode) error { return write(path, data, mode, false) }

// Move gives a file that WriteFile wrote another name in the same folder, in place of what had it, and returns when that is
// durable.
func Move(from, to string) error {
	err := os.Rename(from, to)
	if err == nil {
		err = syncFolder(filepath.Dir(to))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", to, err)
	}
	return nil
}

// Sweep removes the temporary files of writes to path that were killed. Nobody else may be writing to path meanwhile.
func Sweep(path string) error {
	dir, base := filepath.Split(path)
	entries, err := os.ReadDir(filepath.Clean(dir))
	if err != nil {
		return err
	}
	left := regexp.MustCompile(`^\.` + regexp.QuoteMeta(base) + `\.[0-9]+\.tmp$`)
	for _, e := range entries {
		if left.MatchString(e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

func write(path string, data []byte, mode fs.FileMode, durable bool) error {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	temp, err := os.CreateTemp(dir, "."+base+".*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := fill(temp, data, mode, durable); err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	if !durable {
		return nil
	}
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// fill writes and closes the temporary file.
func fill(f *os.File, data []byte, mode fs.FileMode, durable bool) error {
	defer f.Close()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if durable {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	return f.Close()
}

// syncFolder makes a rename in dir durable. Windows has no such call: there the rename itself is journaled. Some network and
// user-space filesystems refuse it; the content is as durable there as it can be.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
