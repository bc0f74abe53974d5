//go:build !linux

package install

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// copier copies files one after the other, by what every system offers.
type copier struct{}

func newCopier() *copier { return &copier{} }

// copyFile makes temp, a copy of f with its times and mode, and with the permissions that it is to have.
func (c *copier) copyFile(_ context.Context, f *file, temp string) error {
	in, err := os.Open(f.source)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(temp, time.Unix(0, f.from.atime), time.Unix(0, f.from.mtime)); err != nil {
		return err
	}
	return f.finish(handle{temp})
}

func rename(from, to string) error { return os.Rename(from, to) }
