package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fromHere makes path a symbolic link to a bundle of this host, or a copy of a folder (agent.md 10.3).
func (s *Source) fromHere(ctx context.Context, l Local, path string) (Result, error) {
	location, err := filepath.Abs(l.Location)
	if err != nil {
		return Result{}, fmt.Errorf("cannot tell where %s is: %w", l.Location, err)
	}
	info, err := os.Stat(location)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Result{}, fmt.Errorf("there is no bundle at %s", location)
	case err != nil:
		return Result{}, fmt.Errorf("cannot look at the bundle: %w", err)
	case l.Type == Directory && !info.IsDir():
		return Result{}, fmt.Errorf("%s is not a folder: give its type as tar, tgz or zip", location)
	case l.Type != Directory && info.IsDir():
		return Result{}, fmt.Errorf("%s is a folder: give its type as directory", location)
	case l.Type == Directory:
		return Result{Unpacked: true}, os.CopyFS(path, os.DirFS(location))
	}
	if err := os.Symlink(location, path); err != nil {
		return Result{}, fmt.Errorf("cannot link to the bundle: %w", err)
	}
	return Result{Bytes: info.Size()}, nil
}
