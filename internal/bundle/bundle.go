// Package bundle opens, extracts and packs the archives that revisions are delivered in (agent.md section 10).
//
// A bundle comes from outside, so nothing in it is believed: names are checked, folders are opened one by one from the
// destination down, behind symbolic links by an os.Root only, what is written is always new, checksums are verified, and what was
// unpacked before a defect is found is removed again.
//
// A bundle is read once. Memory does not grow with its size, only with the number of folders, and of entries of a zip:
//
//	zip   directory ─ check names, sum sizes, ask for room ─┬─ inflate, write
//	                                                        ├─ inflate, write     as many as there are processors
//	                                                        └─ ...
//	tgz   inflate ahead ─ a few blocks ─ headers, ask for room, write             two processors
package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Type is the format of a bundle as a revision names it (agent.md 5.2).
type Type string

// Bundle types.
const (
	Tar Type = "tar" // compression is detected: a gzipped tar declared as tar unpacks (agent.md 10.4)
	Tgz Type = "tgz"
	Zip Type = "zip"
)

// Options bound what Extract accepts. The zero value is safe for any bundle.
type Options struct {
	MaxSize    int64 // bytes unpacked, the key archive_max_extraction_size; 0 = no limit
	MaxEntries int   // 0 = no limit

	// Room is asked before anything is written, and before every entry of a tar, whether so many bytes and entries in all can be
	// held where dst lies. Its error ends the extraction. It should compare with what was free at the beginning: zeros become
	// holes, so an archive of nothing but zeros takes no space, however much it unpacks to. nil = nobody is asked.
	Room func(bytes int64, entries int) error

	Owners  bool // restore stored owners (tar, as root), by name where this host knows the name; off: ignore_ownership_in_bundle
	Replace bool // remove what is at dst first; otherwise dst must not hold anything

	// Permissive takes what tar and unzip take although it is refused by default: of absolute names the leading slashes are
	// dropped, entries with ".." in their names are left out, symbolic links may lead anywhere, devices and pipes
	// of a tar are made. Nothing is written outside dst for all that, and no hard link leads there.
	Permissive bool
	Notice     func(entry, what string) // hears of what Permissive left out; nil = nobody

	// The flags of agent.md 15, each stronger than Permissive.
	RejectLinks     bool // reject_symlinks_in_bundle: no symbolic and no hard links
	RejectTraversal bool // reject_path_traversal_in_bundle: no absolute names, no "..", no symbolic link that leaves the archive
	RejectSetID     bool // reject_unsafe_permissions_in_bundle: no file with a set-id bit
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

// inEntry sets the entry of an *Error.
func inEntry(name string, err error) error {
	if defect := (*Error)(nil); errors.As(err, &defect) {
		defect.Entry = name
	}
	return err
}

// Extract unpacks the bundle at path into the folder dst, which is made with mode 0755.
//
// Names and links that leave dst, device files and corrupt or truncated archives are refused with an *Error; see
// Options.Permissive for what can be allowed. Trouble of the host, such as a full disk, is another error, which wraps the system's. What was unpacked before an error is
// removed, dst included.
//
// Modes and times are those of the archive, as "tar -p" and unzip leave them: the process's umask does not apply, except to
// folders that the archive does not list. Set-id bits are only kept together with owners. Extended attributes, capabilities
// and ACLs in PAX records are not restored, as by tar without --xattrs. Of entries with one name the last one stays.
func Extract(ctx context.Context, path string, t Type, dst string, o Options) (Stats, error) {
	if o.Replace {
		if err := removeAll(dst); err != nil {
			return Stats{}, fmt.Errorf("unpack %s: remove what an earlier attempt left: %w", path, err)
		}
	}
	if err := makeEmpty(dst); err != nil {
		return Stats{}, fmt.Errorf("unpack %s: %w", path, err)
	}
	stats, err := unpack(ctx, path, t, dst, o)
	if err == nil {
		return stats, nil
	}
	err = blame(ctx, path, err)
	if removeErr := removeAll(dst); removeErr != nil {
		err = errors.Join(err, fmt.Errorf("remove what was unpacked: %w", removeErr))
	}
	return Stats{}, err
}

// unpack extracts into the empty folder dst.
func unpack(ctx context.Context, path string, t Type, dst string, o Options) (Stats, error) {
	root, err := os.OpenRoot(dst)
	if err != nil {
		return Stats{}, err
	}
	defer root.Close()
	u := &unpacker{root: root, options: o, folders: map[string]*entry{}, owners: owners{restore: o.Owners}}
	switch t {
	case Tar, Tgz:
		err = u.tar(ctx, path, t)
	case Zip:
		err = u.zip(ctx, path)
	default:
		err = unknownType(t)
	}
	if err == nil {
		err = u.finish()
	}
	return u.wanted.Stats, u.diskFull(dst, err)
}

func unknownType(t Type) error {
	return &Error{Message: fmt.Sprintf("unknown bundle type %q; it must be tar, tgz or zip", t)}
}

// blame completes an error: the context's end and the host's troubles are not the bundle's fault, so whoever sees them must
// not be told that the bundle is corrupt.
func blame(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("bundle %s: %w", path, context.Cause(ctx))
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
