package executor

import (
	"cmp"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// retire removes the oldest deployments of a group so that, with the current one, at most maxRevisions are left, but never
// the one that was installed last: it is what a failed deployment goes back to (agent.md 6.3).
func (e *Executor) retire(d *Deployment) error {
	folder := e.layout.group(d.GroupID)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("cannot list old deployments: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(entry fs.DirEntry) bool {
		return !entry.IsDir() || entry.Name() == d.ID
	})
	extra := len(entries) - e.MaxRevisions + 1
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
		if err := os.RemoveAll(path); err != nil {
			e.Log.Warn("an old deployment cannot be removed", slog.String("folder", path), slog.Any("error", err))
			continue
		}
		e.Log.Info("removed an old deployment", slog.String("folder", path))
	}
	return nil
}

// modified is when the entry was changed last, in nanoseconds; one that vanished meanwhile is oldest.
func modified(entry fs.DirEntry) int64 {
	info, err := entry.Info()
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}
