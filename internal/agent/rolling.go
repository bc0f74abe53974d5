package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Limits of the logs that grow with the output of scripts (agent.md 9.6, 11).
const (
	rollSize  = 64 << 20 // bytes after which a file is rolled
	rollFiles = 8        // files kept, the current one included
)

// sizedFile is a log that is rolled by size: path, path.1 (younger) … path.7 (oldest).
type sizedFile struct {
	path string
	file *os.File
	size int64
}

func openSized(path string) (*sizedFile, error) {
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f := &sizedFile{path: path}
	return f, f.open()
}

func (f *sizedFile) open() error {
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the log: %w", err)
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return fmt.Errorf("cannot open the log: %w", err)
	}
	f.file, f.size = file, info.Size()
	return nil
}

// Write appends whole lines, which are never split between two files. When the log cannot be rolled they go on in the
// current file: one that is too long is better than none.
func (f *sizedFile) Write(p []byte) (int, error) {
	if f.size > 0 && f.size+int64(len(p)) > rollSize {
		f.roll()
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	return n, err
}

// roll leaves the current file open unless there is another one. When somebody has removed the current file, or the last
// try came as far as renaming it, the older ones stay as they are.
func (f *sizedFile) roll() {
	if _, err := os.Lstat(f.path); err == nil {
		for i := rollFiles - 2; i > 0; i-- {
			os.Rename(numbered(f.path, i), numbered(f.path, i+1)) // most do not exist
		}
		if os.Rename(f.path, numbered(f.path, 1)) != nil {
			return
		}
	}
	if old := f.file; f.open() == nil {
		old.Close()
	}
}

func numbered(path string, i int) string { return fmt.Sprintf("%s.%d", path, i) }

// Close closes the current file.
func (f *sizedFile) Close() error { return f.file.Close() }

// dailyFile is the agent's own log: rolled at local midnight to <name>.YYYYMMDD.log, seven of which are kept (agent.md 11).
type dailyFile struct {
	dir, name string
	day       time.Time // local midnight at which the current file began
	file      *os.File
}

// dailyKept is how many rolled files are kept.
const dailyKept = 7

const dayForm = "20060102"

func openDaily(dir, name string) (*dailyFile, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	f := &dailyFile{dir: dir, name: name}
	return f, f.open()
}

func (f *dailyFile) path() string { return filepath.Join(f.dir, f.name+".log") }

func (f *dailyFile) open() error {
	file, err := os.OpenFile(f.path(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("cannot open the agent's log: %w", err)
	}
	f.file, f.day = file, dayOf(time.Now())
	// The file of an agent that was stopped yesterday is yesterday's.
	if info, err := file.Stat(); err == nil && info.Size() > 0 {
		f.day = dayOf(info.ModTime())
	}
	return nil
}

func dayOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, t.Location())
}

// Write appends one line. When the log cannot be rolled it goes on in the current file, as with sizedFile.
func (f *dailyFile) Write(p []byte) (int, error) {
	if today := dayOf(time.Now()); today.After(f.day) {
		f.roll()
	}
	return f.file.Write(p)
}

func (f *dailyFile) roll() {
	rolled := filepath.Join(f.dir, f.name+"."+f.day.Format(dayForm)+".log")
	if err := os.Rename(f.path(), rolled); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return
	}
	f.prune()
	if old := f.file; f.open() == nil {
		old.Close()
	}
}

// prune removes the oldest rolled files; their names sort by date.
func (f *dailyFile) prune() {
	rolled, err := filepath.Glob(filepath.Join(f.dir, f.name+".[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9].log"))
	if err != nil || len(rolled) <= dailyKept {
		return
	}
	for _, path := range rolled[:len(rolled)-dailyKept] {
		os.Remove(path) // tried again tomorrow
	}
}

// Close closes the current file.
func (f *dailyFile) Close() error { return f.file.Close() }
