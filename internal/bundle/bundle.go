// Package bundle opens, extracts and packs the archives that revisions are delivered in (agent.md section 10).
//
// A bundle comes from outside, so nothing in it is believed: names are checked, everything is written through an os.Root,
// checksums are verified, and what was unpacked before a defect is found is removed again.
package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Type is the format of a bundle as a revision names it (agent.md 5.2).
type Type string

// Bundle types.
const (
	Tar Type = "tar" // compression is detected: a gzipped tar declared as tar unpacks (agent.md 10.4)
	Tgz Type = "tgz"
	Zip Type = "zip"
)

// Options bound what Extract accepts.
type Options struct {
	MaxSize    int64 // bytes unpacked; 0 = no limit
	MaxEntries int   // 0 = no limit
	Owners     bool  // restore stored uid/gid (tar, as root)
}

// Stats tells what an archive holds or what was unpacked.
type Stats struct {
	Entries int
	Bytes   int64 // sum of the sizes of regular files
}

// Error is a defect of a bundle: which entry, and what is wrong with it.
type Error struct {
	Path    string // the bundle
	Entry   string // the entry within, "" when the whole archive is meant
	Message string
	Err     error
}

// Error returns "bundle PATH: entry "NAME": message".
func (e *Error) Error() string {
	if e.Entry == "" {
		return fmt.Sprintf("bundle %s: %s", e.Path, e.Message)
	}
	return fmt.Sprintf("bundle %s: entry %q: %s", e.Path, e.Entry, e.Message)
}

// Unwrap returns the cause, which may be nil.
func (e *Error) Unwrap() error { return e.Err }

// entry is one member of an archive of either format.
type entry struct {
	name     string      // as the archive has it
	mode     fs.FileMode // type, permissions and set-id bits
	hardLink bool        // link is the name of an earlier entry
	link     string      // target of a symbolic or hard link
	size     int64       // of a regular file, as declared
	modified time.Time
	uid, gid int                           // -1 when the format has none
	open     func() (io.ReadCloser, error) // content of a regular file; valid until the next entry
}

// Extract unpacks the bundle at path into the folder dst, which is made with mode 0755 and must not hold anything.
// Names that leave dst, links whose target leaves it when something is written through them, device files and corrupt or
// truncated archives are refused with an *Error; partial output is removed. Trouble of the host, such as a full disk, is
// another error, which wraps the system's.
//
// Modes and times are those of the archive, as "tar -p" and unzip leave them: the process's umask does not apply, except to
// folders that the archive does not list. Set-id bits are only kept together with owners.
func Extract(ctx context.Context, path string, t Type, dst string, o Options) (Stats, error) {
	if err := makeEmpty(dst); err != nil {
		return Stats{}, fmt.Errorf("unpack %s: %w", path, err)
	}
	stats, err := unpack(ctx, path, t, dst, o)
	if err == nil {
		return stats, nil
	}
	err = blame(ctx, path, dst, err)
	if removeErr := removeAll(dst); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("remove what was unpacked: %w", removeErr))
	}
	return Stats{}, err
}

// Measure reads an archive's headers without unpacking it, so that space can be checked first. For tgz it reads the whole
// stream.
func Measure(ctx context.Context, path string, t Type) (Stats, error) {
	var stats Stats
	err := read(ctx, path, t, func(e *entry) error {
		stats.Entries++
		if !e.hardLink && e.mode.IsRegular() {
			stats.Bytes += e.size
		}
		if e.size < 0 || stats.Bytes < 0 {
			return &Error{Message: "its size is impossible"}
		}
		return nil
	})
	if err != nil {
		return Stats{}, blame(ctx, path, "", err)
	}
	return stats, nil
}

// read calls visit with each entry of the bundle, in the archive's order. Errors name the entry but not yet the bundle.
func read(ctx context.Context, path string, t Type, visit func(*entry) error) error {
	named := func(e *entry) error { return inEntry(e.name, visit(e)) }
	switch t {
	case Tar, Tgz:
		return readTar(ctx, path, t, named)
	case Zip:
		return readZip(path, named)
	}
	return &Error{Message: fmt.Sprintf("unknown bundle type %q; it must be tar, tgz or zip", t)}
}

// inEntry sets the entry of an *Error.
func inEntry(name string, err error) error {
	if defect := (*Error)(nil); errors.As(err, &defect) {
		defect.Entry = name
	}
	return err
}

// unpack extracts into the empty folder dst.
func unpack(ctx context.Context, path string, t Type, dst string, o Options) (Stats, error) {
	root, err := os.OpenRoot(dst)
	if err != nil {
		return Stats{}, err
	}
	defer root.Close()
	u := &unpacker{ctx: ctx, root: root, options: o, folders: map[string]*entry{}, buffer: make([]byte, 64<<10)}
	defer u.close()
	if err := read(ctx, path, t, u.add); err != nil {
		return Stats{}, err
	}
	if err := u.finish(); err != nil {
		return Stats{}, err
	}
	return u.stats, nil
}

// blame completes an error: the context's end and the host's troubles are not the bundle's fault, so whoever sees them must
// not be told that the bundle is corrupt.
func blame(ctx context.Context, path, dst string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("bundle %s: %w", path, context.Cause(ctx))
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("bundle %s: %w; the part that was unpacked is removed again, make room (bytes or inodes) where %s lies", path, err, dst)
	}
	if defect := (*Error)(nil); errors.As(err, &defect) {
		defect.Path = path
		return defect
	}
	return fmt.Errorf("bundle %s: %w", path, err)
}

// makeEmpty makes the folder dst, or accepts it if it is there and empty.
func makeEmpty(dst string) error {
	err := os.Mkdir(dst, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dst, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		entries, readErr := os.ReadDir(dst)
		if readErr != nil {
			return readErr
		}
		if len(entries) > 0 {
			return fmt.Errorf("%s is not empty", dst)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dst, 0o755)
}

// removeAll removes dir even if folders in it may not be written, which stops anyone but root.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// StripWrapper moves the contents of a single wrapping folder up by one level when that folder is the only entry and
// has an entry whose name contains "appspec" (agent.md 10.4). It reports whether it did. One level only.
func StripWrapper(dir string) (bool, error) {
	wrapper, ok, err := findWrapper(dir)
	if err != nil || !ok {
		return false, err
	}
	aside := filepath.Clean(dir) + "-temp" // the name that the stock agent uses
	for _, step := range []func() error{
		func() error { return removeAll(aside) }, // left over from a crash
		func() error { return os.Chmod(wrapper, 0o755) },
		func() error { return os.Rename(wrapper, aside) },
		func() error { return os.Remove(dir) },
		func() error { return os.Rename(aside, dir) },
	} {
		if err := step(); err != nil {
			return false, fmt.Errorf("strip the wrapping folder %s: %w", wrapper, err)
		}
	}
	return true, nil
}

// findWrapper returns the only entry of dir if that is a folder which holds an AppSpec.
func findWrapper(dir string) (string, bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !entries[0].IsDir() {
		return "", false, err
	}
	wrapper := filepath.Join(dir, entries[0].Name())
	inner, err := os.ReadDir(wrapper)
	if err != nil {
		return "", false, err
	}
	for _, e := range inner {
		if strings.Contains(strings.ToLower(e.Name()), "appspec") {
			return wrapper, true, nil
		}
	}
	return "", false, nil
}
