// Package logfile writes logs in the form of stock agents, and in files that roll: by size those that grow with the output of
// scripts, daily the agent's own (agent.md 9.6, 11).
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// rollSize is the size in bytes after which a log is rolled (agent.md 9.6, 11).
const rollSize = 64 << 20

// Modes are those of the folders and files that a log makes (agent.md 6, 15).
type Modes struct{ Dir, File fs.FileMode }

// Sized is a log that is rolled by size: Path, Path.1 (younger), Path.2 … Its first line makes the file, and the folder it
// lies in. It may be used by several goroutines.
type Sized struct {
	Path  string
	Keep  int // files, the current one included
	Modes Modes

	mu   sync.Mutex
	file *os.File // nil until the first line
	size int64
}

// Write appends whole lines, which are never split between two files. When the log cannot be rolled they go on in the
// current file: one that is too long is better than none.
func (f *Sized) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.file == nil:
		if err := f.open(); err != nil {
			return 0, err
		}
	case f.size > 0 && f.size+int64(len(p)) > rollSize:
		f.roll()
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	return n, err
}

func (f *Sized) open() error {
	if err := makeDir(filepath.Dir(f.Path), f.Modes.Dir); err != nil {
		return err
	}
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, f.Modes.File)
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

func makeDir(path string, mode fs.FileMode) error {
	if err := os.MkdirAll(path, mode); err != nil {
		return fmt.Errorf("cannot make the folder of a log: %w", err)
	}
	return nil
}

// roll leaves the current file open unless there is another one. The current one is renamed first: where that is not
// allowed the older ones stay as they are, and so they do when somebody has removed it.
func (f *Sized) roll() {
	aside := f.Path + ".rolled"
	f.shift(aside) // of a roll that a crash cut off
	switch err := os.Rename(f.Path, aside); {
	case err == nil:
		f.shift(aside)
	case !errors.Is(err, fs.ErrNotExist):
		return
	}
	if old := f.file; f.open() == nil {
		old.Close()
	}
}

// shift makes the file aside the youngest of the older ones.
func (f *Sized) shift(aside string) {
	if _, err := os.Lstat(aside); err != nil {
		return
	}
	for i := f.Keep - 2; i > 0; i-- {
		os.Rename(numbered(f.Path, i), numbered(f.Path, i+1)) // most do not exist
	}
	os.Rename(aside, numbered(f.Path, 1)) // tried again with the next roll
}

func numbered(path string, i int) string { return fmt.Sprintf("%s.%d", path, i) }

// Close closes the current file, if there is one.
func (f *Sized) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// Daily is the agent's own log: rolled at local midnight to <name>.YYYYMMDD.log, seven of which are kept (agent.md 11).
type Daily struct {
	dir, name string
	mode      fs.FileMode
	day       time.Time // local midnight at which the current file began
	file      *os.File
}

// dailyKept is how many rolled files are kept.
const dailyKept = 7

const dayForm = "20060102"

// OpenDaily opens the log dir/name.log for appending and makes the folder.
func OpenDaily(dir, name string, m Modes) (*Daily, error) {
	if err := makeDir(dir, m.Dir); err != nil {
		return nil, err
	}
	f := &Daily{dir: dir, name: name, mode: m.File}
	return f, f.open()
}

func (f *Daily) path() string { return filepath.Join(f.dir, f.name+".log") }

func (f *Daily) open() error {
	file, err := os.OpenFile(f.path(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, f.mode)
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

// Write appends one line. When the log cannot be rolled it goes on in the current file, as with Sized.
func (f *Daily) Write(p []byte) (int, error) {
	if today := dayOf(time.Now()); today.After(f.day) {
		f.roll()
	}
	return f.file.Write(p)
}

func (f *Daily) roll() {
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
func (f *Daily) prune() {
	rolled, err := filepath.Glob(filepath.Join(f.dir, f.name+".[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9].log"))
	if err != nil || len(rolled) <= dailyKept {
		return
	}
	for _, path := range rolled[:len(rolled)-dailyKept] {
		os.Remove(path) // tried again tomorrow
	}
}

// Close closes the current file.
func (f *Daily) Close() error { return f.file.Close() }
