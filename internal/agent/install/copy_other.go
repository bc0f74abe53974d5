//go:build !linux

package install

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// copier copies files one after the other, by what every system offers.
type copier struct{}

func newCopier() *copier { return &copier{} }

// copyFile makes path, which must not be there, a copy of f with its times and mode, and with the permissions that it is
// to have.
func (c *copier) copyFile(_ context.Context, f *file, path string) error {
	in, err := os.Open(f.source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	err = errors.Join(err, out.Close())
	if err == nil {
		err = os.Chtimes(path, time.Unix(0, f.from.atime), time.Unix(0, f.from.mtime))
	}
	if err == nil {
		err = f.finish(handle{path})
	}
	if err != nil {
		os.Remove(path) // half a file takes space that may be what is missing
	}
	return err
}

func rename(from, to string) error { return os.Rename(from, to) }

func removeFolder(path string) error { return os.Remove(path) }
