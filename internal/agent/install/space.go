package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mount is a mounted file system and what is free on it.
type mount struct {
	point  string // where it is mounted
	device uint64
	bytes  int64
	files  int64 // inodes; -1 where the file system makes them as needed
}

// mountOf returns the mount that path lies on, or would lie on once it exists.
func mountOf(path string) (mount, error) {
	existing, err := nearestExisting(path)
	if err != nil {
		return mount{}, err
	}
	var st unix.Stat_t
	var vfs unix.Statfs_t
	if err := errors.Join(unix.Stat(existing, &st), unix.Statfs(existing, &vfs)); err != nil {
		return mount{}, fmt.Errorf("cannot tell the free space at %s: %w", existing, err)
	}
	// What is kept in reserve for root is not for deployments, also when the agent is root: the host needs it to be mended.
	m := mount{point: mountPoint(existing), device: st.Dev, bytes: int64(vfs.Bavail) * vfs.Bsize, files: int64(vfs.Ffree)}
	if vfs.Files == 0 {
		m.files = -1
	}
	return m, nil
}

func nearestExisting(path string) (string, error) {
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return real, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) || path == "/" || path == "." {
			return "", err
		}
		path = filepath.Dir(path)
	}
}

// mountPoint looks for the longest mount point above a real path. Where the kernel's table cannot be read, the path itself
// is the best name there is.
func mountPoint(path string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return path
	}
	best := ""
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescapeMount(fields[4])
		if len(point) > len(best) && isAtOrBelow(path, point) {
			best = point
		}
	}
	return cmp.Or(best, path)
}

// unescapeMount undoes the kernel's octal escapes of space, tab, newline and backslash.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func isAtOrBelow(path, folder string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(folder, "/"))
	return ok && (rest == "" || rest[0] == '/')
}

// check fails when the mount has no room for so many more bytes and files. what says what they are for, where the folder
// on the mount.
func (m mount) check(what, where string, bytes, files int64) error {
	if bytes > m.bytes {
		return fmt.Errorf("no space left on the device mounted at %s: %s needs %s, %s are free; "+
			"nothing was changed there. Free some space, or keep fewer old revisions with max_revisions. The device holds %s",
			m.point, what, mebibytes(bytes), mebibytes(m.bytes), where)
	}
	if m.files >= 0 && files > m.files {
		return fmt.Errorf("no inodes left on the device mounted at %s: %s needs %d files, %d can be made; "+
			"nothing was changed there. Remove files, or keep fewer old revisions with max_revisions. The device holds %s",
			m.point, what, files, m.files, where)
	}
	return nil
}

// demands adds up what is needed on each mount.
type demands struct {
	byFolder map[string]*demand // spares a look at the mount for each of many files in one folder
	byDevice map[uint64]*demand
}

type demand struct {
	mount        mount
	where        string // a folder on the mount, for the message
	bytes, files int64
}

// add counts a file or folder to be made at path.
func (d *demands) add(path string, bytes int64) error {
	folder := filepath.Dir(path)
	at, ok := d.byFolder[folder]
	if !ok {
		m, err := mountOf(folder)
		if err != nil {
			return err
		}
		at = d.on(m, folder)
		d.byFolder[folder] = at
	}
	at.bytes += bytes
	at.files++
	return nil
}

func (d *demands) on(m mount, folder string) *demand {
	if d.byDevice == nil {
		d.byFolder, d.byDevice = map[string]*demand{}, map[uint64]*demand{}
	}
	if d.byDevice[m.device] == nil {
		d.byDevice[m.device] = &demand{mount: m, where: folder}
	}
	return d.byDevice[m.device]
}

// release counts a file that will be removed or replaced, if it is there and its blocks belong to no other name.
func (d *demands) release(path string) {
	var st unix.Stat_t
	if unix.Lstat(path, &st) != nil || st.Nlink != 1 {
		return
	}
	if at, ok := d.byDevice[st.Dev]; ok {
		at.bytes -= st.Blocks * 512 // the unit of st_blocks, whatever the file system's
		at.files--
	}
}

// check fails for a mount that is too small.
func (d *demands) check(what string) error {
	for _, device := range slices.Sorted(maps.Keys(d.byDevice)) {
		at := d.byDevice[device]
		if err := at.mount.check(what, at.where, at.bytes, at.files); err != nil {
			return err
		}
	}
	return nil
}

// mebibytes rounds so that a small shortage can still be seen.
func mebibytes(n int64) string {
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}

// HasRoom returns an error when the mount on which path lies, or would lie once it exists, has no room for so many more
// bytes and files. It says what to do.
func HasRoom(path string, bytes, files int64) error {
	m, err := mountOf(path)
	if err != nil {
		return err
	}
	return m.check("this", filepath.Dir(path), bytes, files)
}
