package executor

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// retire takes the oldest deployments of a group away so that, with the current one, at most MaxRevisions are left, but never
// the one that was installed last: it is what a failed deployment goes back to (agent.md 6.3). What is taken away is removed
// by [Executor.Tidy], or at last with the next deployment.
func (e *Executor) retire(d *Deployment) error {
	e.Tidy()
	folder := e.layout.group(d.GroupID)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("cannot list old deployments: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(entry fs.DirEntry) bool {
		return !entry.IsDir() || entry.Name() == d.ID
	})
	extra := len(entries) - e.cfg.MaxRevisions + 1
	if extra <= 0 {
		return nil
	}
	last, _, err := readPointer(e.layout.lastSuccessful(d.GroupID))
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(entry fs.DirEntry) bool { return entry.Name() == filepath.Base(string(last)) })
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(modified(a), modified(b)) })
	for _, entry := range entries[:min(extra, len(entries))] {
		path := filepath.Join(folder, entry.Name())
		if err := e.takeAway(path); err != nil {
			e.log.Warn("an old deployment cannot be removed", slog.String("folder", path), slog.Any("error", err))
			continue
		}
		e.log.Info("removed an old deployment", slog.String("folder", path))
	}
	return nil
}

// takeAway moves a folder to where Tidy removes it, or removes it at once where it cannot be moved.
func (e *Executor) takeAway(path string) error {
	err := os.MkdirAll(e.layout.retired(), e.modes.Private)
	if err == nil {
		err = os.Rename(path, filepath.Join(e.layout.retired(), rand.Text()))
	}
	if err != nil {
		return os.RemoveAll(path)
	}
	return nil
}

// Tidy removes what deployments have taken away, and reports whether there was anything. It is for times when nothing waits
// for this host: removing the thousands of files of an old revision takes as long as unpacking the new one.
func (e *Executor) Tidy() bool {
	if _, err := os.Lstat(e.layout.retired()); err != nil {
		return false
	}
	if err := os.RemoveAll(e.layout.retired()); err != nil {
		e.log.Warn("an old deployment cannot be removed", slog.Any("error", err))
	}
	return true
}

// modified is when the entry was changed last, in nanoseconds; one that vanished meanwhile is oldest.
func modified(entry fs.DirEntry) int64 {
	info, err := entry.Info()
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}
