package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"grapnel/internal/mount"
)

// Free space below which a deployment is likely to fail, and below which it is time to look. Each deployment checks what it
// needs itself; here nobody knows how large it will be.
const (
	tooFewBytes, fewBytes = 100 << 20, 1 << 30
	tooFewFiles, fewFiles = 1_000, 10_000
)

// checkSpace looks once at each mount that is written to.
func checkSpace(_ context.Context, s setup, r *Result) {
	if runtime.GOOS != "linux" {
		r.skip("free space is known on Linux only")
		return
	}
	seen := map[string]bool{}
	for _, path := range []string{s.RootDir, s.LogDir, os.TempDir()} {
		m, err := mount.At(path)
		if err != nil {
			r.cannot("tell the free space at "+path, err)
			continue
		}
		if !seen[m.Point] {
			seen[m.Point] = true
			judgeRoom(m, s.MaxRevisions, r)
		}
	}
}

func judgeRoom(m mount.Mount, revisions int, r *Result) {
	told := fmt.Sprintf("%s has %s", m.Point, mount.Size(m.FreeBytes))
	if m.FreeFiles >= 0 {
		told += fmt.Sprintf(" and %d files", m.FreeFiles)
	}
	told += " free"
	limited := m.FreeFiles >= 0
	advice := fmt.Sprintf("free some space there, or keep fewer old revisions of each deployment group (max_revisions, now %d)", revisions)
	switch {
	case m.FreeBytes < tooFewBytes || limited && m.FreeFiles < tooFewFiles:
		r.fail(told, advice)
	case m.FreeBytes < fewBytes || limited && m.FreeFiles < fewFiles:
		r.warn(told, advice)
	default:
		r.saw("%s", told)
	}
}

// revision is the folder of one deployment (agent.md 6).
type revision struct{ group, id, path string }

// revisions lists what is kept of deployments.
func (s setup) revisions() ([]revision, error) {
	own := []string{"deployment-instructions", "deployment-logs", s.OngoingDeploymentTracking}
	groups, err := folders(s.RootDir)
	if err != nil {
		return nil, err
	}
	var found []revision
	for _, group := range groups {
		if slices.Contains(own, group) || strings.HasPrefix(group, ".") {
			continue
		}
		ids, err := folders(filepath.Join(s.RootDir, group))
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			found = append(found, revision{group, id, filepath.Join(s.RootDir, group, id)})
		}
	}
	return found, nil
}

// folders lists the folders in a folder, none when that does not exist.
func folders(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// measuring bounds how long old revisions are counted: they may be millions of files.
const measuring = 10 * time.Second

func checkRevisions(ctx context.Context, s setup, r *Result) {
	ctx, cancel := context.WithTimeout(ctx, measuring)
	defer cancel()
	all, err := s.revisions()
	if err != nil {
		r.cannot("list the revisions in root_dir "+s.RootDir, err)
		return
	}
	groups := map[string]bool{}
	var bytes int64
	least := ""
	for _, rev := range all {
		groups[rev.group] = true
		n, whole := weigh(ctx, rev.path)
		if bytes += n; !whole {
			least = "at least "
		}
	}
	r.saw("%d of %d deployment groups, %s%s in all; %d of each group are kept", len(all), len(groups), least, mount.Size(bytes), s.MaxRevisions)
}

// weigh adds up the files below a folder; false means that there are more, which could not be seen or not in time.
func weigh(ctx context.Context, folder string) (bytes int64, whole bool) {
	whole = true
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			whole = false
			return nil
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes, whole && err == nil
}
