package bundle

import (
	"archive/zip"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// maxWriters bounds how many entries of a zip are unpacked at once, and with it memory. More only compete for the disk.
const maxWriters = 4

// turn is how many neighbouring entries a writer takes at once: neighbours lie in the same folder, which it has open.
const turn = 8

// bzip2Method is how the format numbers bzip2, which unzip understands as well.
const bzip2Method = 12

// zip unpacks a zip archive. Whatever its directory tells is checked before anything is written. archive/zip verifies size and
// CRC of each entry that is read to its end.
func (u *unpacker) zip(ctx context.Context, path string) error {
	archive, err := openZip(path)
	if err != nil {
		return err
	}
	defer archive.Close()
	archive.RegisterDecompressor(bzip2Method, func(r io.Reader) io.ReadCloser { return io.NopCloser(bzip2.NewReader(r)) })
	names, err := u.admit(archive.File)
	if err != nil {
		return err
	}
	if err := u.wanted.room(&u.options); err != nil {
		return err
	}
	writers := 1
	if independent(archive.File, names) {
		writers = min(runtime.GOMAXPROCS(0), maxWriters)
	}
	return u.writeZip(ctx, archive.File, names, writers)
}

// openZip reads the directory of an archive.
func openZip(path string) (*zip.ReadCloser, error) {
	archive, err := zip.OpenReader(path)
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return archive, err
	case isGzip(path):
		return nil, &Error{Message: "it is compressed with gzip and no zip archive; register the revision with bundle type tgz (codedeploy-local: --type tgz)"}
	}
	return nil, &Error{Message: "it is not a zip archive or is cut off (" + err.Error() + "); pack and upload it again", Err: err}
}

func isGzip(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, 2)
	_, err = io.ReadFull(f, magic)
	return err == nil && magic[0] == 0x1f && magic[1] == 0x8b
}

// admit checks the entries as far as the directory tells, and returns the places that they go to.
func (u *unpacker) admit(files []*zip.File) ([]string, error) {
	names := make([]string, len(files))
	for i, f := range files {
		e := zipEntry(f)
		err := readable(f)
		if err == nil {
			err = u.wanted.add(e, &u.options)
		}
		if err == nil {
			names[i], err = u.options.place(e)
		}
		if err != nil {
			return nil, inEntry(f.Name, err)
		}
	}
	return names, nil
}

// readable refuses what archive/zip cannot decode.
func readable(f *zip.File) error {
	const encrypted = 1
	if f.Flags&encrypted != 0 {
		return &Error{Message: "it is encrypted; pack without a password"}
	}
	switch f.Method {
	case zip.Store, zip.Deflate, bzip2Method:
		return nil
	}
	return &Error{Message: fmt.Sprintf("it is compressed with method %d; pack with deflate, the usual method of zip", f.Method)}
}

// independent reports whether the entries can be written in any order: no two have one place, and none lies below something
// that is not a folder, such as a symbolic link.
func independent(files []*zip.File, names []string) bool {
	isFolder := make(map[string]bool, len(files))
	for i, f := range files {
		if _, twice := isFolder[names[i]]; twice && names[i] != "." {
			return false
		}
		isFolder[names[i]] = zipMode(f).IsDir()
	}
	last := ""
	for _, name := range names {
		dir := path.Dir(name)
		if dir == last {
			continue // as of the sibling before
		}
		for above := dir; above != "."; above = path.Dir(above) {
			if folder, listed := isFolder[above]; listed && !folder {
				return false
			}
		}
		last = dir
	}
	return true
}

// writeZip unpacks the entries with so many writers.
func (u *unpacker) writeZip(ctx context.Context, files []*zip.File, names []string, writers int) error {
	group, ctx := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range writers {
		group.Go(func() error {
			w := u.writer(ctx)
			defer w.close()
			for {
				end := int(taken.Add(turn))
				if end-turn >= len(files) {
					return nil
				}
				for i := end - turn; i < min(end, len(files)); i++ {
					if err := w.writeZipped(names[i], files[i]); err != nil {
						return inEntry(files[i].Name, err)
					}
				}
			}
		})
	}
	return group.Wait()
}

func (w *writer) writeZipped(name string, f *zip.File) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	e := zipEntry(f)
	if e.mode.Type() == fs.ModeSymlink {
		target, err := readTarget(f)
		if err != nil {
			return corrupt(err)
		}
		e.link = target
	}
	return w.write(name, e)
}

// zipEntry translates a header.
func zipEntry(f *zip.File) *entry {
	return &entry{
		name:     zipName(f),
		mode:     zipMode(f),
		size:     int64(f.UncompressedSize64),
		modified: f.Modified,
		uid:      -1,
		gid:      -1,
		open:     f.Open,
	}
}

// zipName returns the entry's name. Some programs on Windows separate folders with backslashes, against the format's rule;
// unzip mends that and so must we.
func zipName(f *zip.File) string {
	if madeOn(f) == madeOnDOS && !strings.Contains(f.Name, "/") {
		return strings.ReplaceAll(f.Name, `\`, "/")
	}
	return f.Name
}

// Systems that a zip entry can be made on, as its header tells.
const (
	madeOnDOS  = 0
	madeOnUnix = 3
	madeOnOSX  = 19
)

func madeOn(f *zip.File) uint16 { return f.CreatorVersion >> 8 }

// zipMode returns the stored Unix mode. Entries from elsewhere, or without any permission because the program that made
// them does not know of modes, get what a umask of 022 gives a new file or folder. Devices are none that unzip would make.
// Set-id bits are seen here and dropped when the file is written, as by unzip: the format has no owner to go with them.
func zipMode(f *zip.File) fs.FileMode {
	mode := f.Mode()
	if strings.HasSuffix(zipName(f), "/") {
		mode |= fs.ModeDir
	}
	if special := mode.Type() &^ (fs.ModeDir | fs.ModeSymlink); special != 0 {
		mode |= fs.ModeIrregular
	}
	if unix := madeOn(f) == madeOnUnix || madeOn(f) == madeOnOSX; unix && mode.Perm() != 0 {
		return mode
	}
	if mode.IsDir() {
		return mode.Type() | 0o755
	}
	return mode.Type() | 0o644
}

// readTarget reads the target of a symbolic link, which is the entry's content.
func readTarget(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	target, err := io.ReadAll(io.LimitReader(r, maxName+1))
	if err == nil && len(target) > maxName {
		err = errors.New("the target of the symbolic link is too long")
	}
	return string(target), err
}
