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
		return Result{}, fmt.Errorf("%s is no folder: give its type, tar, tgz or zip", location)
	case l.Type != Directory && info.IsDir():
		return Result{}, fmt.Errorf("%s is a folder and not a %s file: give the type directory", location, l.Type)
	case l.Type == Directory:
		return s.copyHere(ctx, location, path)
	}
	// The mode of the bundle is nothing of ours: a chmod would go through the link.
	if err := os.Symlink(location, path); err != nil {
		return Result{}, fmt.Errorf("cannot link to the bundle: %w", err)
	}
	return Result{Bytes: info.Size()}, nil
}

// copyHere copies a user's folder.
func (s *Source) copyHere(ctx context.Context, folder, path string) (Result, error) {
	c := copier{log: s.Log}
	if s.Root != "" {
		if root, err := os.Stat(s.Root); err == nil {
			c.without = root
		}
	}
	size, err := c.copyFolder(ctx, folder, path, func(bytes int64) error { return s.HasRoom(path, bytes) })
	if err != nil {
		return Result{}, fmt.Errorf("cannot copy the folder %s: %w", folder, err)
	}
	return Result{Bytes: size, Unpacked: true}, nil
}
