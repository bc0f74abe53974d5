package bundle

import (
	"archive/zip"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// readZip visits the entries of a zip archive. archive/zip verifies size and CRC of each entry that is read to its end.
func readZip(path string, visit func(*entry) error) error {
	archive, err := zip.OpenReader(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return err
	}
	if err != nil && isGzip(path) {
		return &Error{Message: "it is compressed with gzip and no zip archive; register the revision with bundle type tgz"}
	}
	if err != nil {
		return &Error{Message: "it is not a zip archive or is cut off (" + err.Error() + "); pack and upload it again", Err: err}
	}
	defer archive.Close()
	for _, f := range archive.File {
		e, err := zipEntry(f)
		if err != nil {
			return inEntry(f.Name, err)
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
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

// zipEntry translates a header.
func zipEntry(f *zip.File) (*entry, error) {
	const encrypted = 1
	if f.Flags&encrypted != 0 {
		return nil, &Error{Message: "it is encrypted; pack without a password"}
	}
	e := &entry{
		name:     zipName(f),
		mode:     zipMode(f),
		size:     int64(f.UncompressedSize64),
		modified: f.Modified,
		uid:      -1,
		gid:      -1,
		open:     f.Open,
	}
	if e.mode.Type() == fs.ModeSymlink {
		target, err := readTarget(f)
		if err != nil {
			return nil, corrupt(err)
		}
		e.link = target
	}
	return e, nil
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
// them does not know of modes, get what a umask of 022 gives a new file or folder. unzip drops set-id bits, and so do we.
func zipMode(f *zip.File) fs.FileMode {
	mode := f.Mode() &^ (fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	if strings.HasSuffix(zipName(f), "/") {
		mode |= fs.ModeDir
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
