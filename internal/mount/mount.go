// Package mount knows what is free on the file system that a path lies on, and refuses what has no room there.
package mount

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Mount is a mounted file system and what is free on it.
type Mount struct {
	Point     string // where it is mounted
	Existing  string // a real path on it
	Device    uint64
	Block     int64 // bytes in which it gives out space
	FreeBytes int64
	FreeFiles int64 // inodes; -1 where the file system makes them as needed
}

// Room is what something needs of one mount, and what is free there.
type Room struct {
	Mount     string `json:"mount"`
	Bytes     int64  `json:"bytes"` // less what is freed there first, so that it may be negative
	Files     int64  `json:"files"`
	FreeBytes int64  `json:"freeBytes"`
	FreeFiles int64  `json:"freeFiles"` // -1 when there is no limit
}

// NoRoom says that a mount is too small for what is to be put on it. For [errors.Is] it is syscall.ENOSPC.
type NoRoom struct {
	Reason string // the mount, what is needed and what is free: a sentence without its end
}

// Advice is what to do when there is no room.
const Advice = "Free some space there, or keep fewer old revisions with max_revisions"

// Error names the mount, what is needed and what is free, and says what to do.
func (e *NoRoom) Error() string { return e.Reason + ". " + Advice }

// Unwrap returns what the system says on a full disk.
func (e *NoRoom) Unwrap() error { return syscall.ENOSPC }

// At returns the mount on which path lies, or would lie once it exists.
func At(path string) (Mount, error) {
	existing, _, err := nearest(path)
	if err == nil {
		existing, err = filepath.EvalSymlinks(existing)
	}
	if err != nil {
		return Mount{}, fmt.Errorf("cannot tell the free space at %s: %w", path, err)
	}
	return holding(existing)
}

// HasRoom returns a *[NoRoom] when the mount on which path lies, or would lie once it exists, has no room for so many more
// bytes and files.
func HasRoom(path string, bytes, files int64) error {
	m, err := At(path)
	if err != nil {
		return err
	}
	return m.HasRoom(bytes, files)
}

// HasRoom compares with what was free when the mount was looked at: the error is a *[NoRoom] when so many bytes and files in
// all have no room.
func (m Mount) HasRoom(bytes, files int64) error {
	if short := m.Room(bytes, files).Shortage("this"); short != nil {
		return short
	}
	return nil
}

// Room is what is free on the mount for something that needs so many bytes and files.
func (m Mount) Room(bytes, files int64) Room {
	return Room{Mount: m.Point, Bytes: bytes, Files: files, FreeBytes: m.FreeBytes, FreeFiles: m.FreeFiles}
}

// Shortage says that there is no room for what needs it, nil when there is.
func (r Room) Shortage(what string) *NoRoom {
	switch {
	case r.Bytes > r.FreeBytes:
		return &NoRoom{fmt.Sprintf("no space left on the device mounted at %s: %s needs %s, %s are free", r.Mount, what, MiB(r.Bytes), MiB(r.FreeBytes))}
	case r.FreeFiles >= 0 && r.Files > r.FreeFiles:
		return &NoRoom{fmt.Sprintf("no inodes left on the device mounted at %s: %s needs %d files, %d can be made", r.Mount, what, r.Files, r.FreeFiles)}
	}
	return nil
}

// NearestFolder returns path, or the nearest folder above it that is there. With an error, which is also that something else
// than a folder stands there, it returns where it came to.
func NearestFolder(path string) (string, error) {
	path, info, err := nearest(path)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s is no folder", path)
	}
	return path, err
}

// nearest returns path, or the nearest one above it at which something is.
func nearest(path string) (string, fs.FileInfo, error) {
	for {
		info, err := os.Stat(path)
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) || path == filepath.Dir(path) {
			return path, info, err
		}
		path = filepath.Dir(path)
	}
}

// MiB writes a number of bytes in one unit, so that two of them can be compared at a glance, and a small shortage seen.
func MiB(bytes int64) string {
	return strconv.FormatFloat(float64(bytes)/(1<<20), 'f', 1, 64) + " MiB"
}

// Size writes a number of bytes in the unit that suits it.
func Size(bytes int64) string {
	for _, unit := range []struct {
		name  string
		bytes int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if bytes >= unit.bytes || bytes <= -unit.bytes {
			return fmt.Sprintf("%.1f %s", float64(bytes)/float64(unit.bytes), unit.name)
		}
	}
	return fmt.Sprintf("%d B", bytes)
}
