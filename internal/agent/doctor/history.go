package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"grapnel/internal/agent"
)

// pointed is the Install that a deployment group completed last (agent.md 6.1).
type pointed struct {
	group, deployment string
	at                time.Time
}

// installed lists them by time, the newest first. What cannot be read is left out: it is replaced at this moment, or is
// another user's.
func installed(folder string) ([]pointed, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []pointed
	for _, entry := range entries {
		group, ok := strings.CutSuffix(entry.Name(), "_last_successful_install")
		if !ok {
			continue
		}
		info, err := entry.Info()
		pointer, unread := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err == nil && unread == nil {
			found = append(found, pointed{group, filepath.Base(strings.TrimSpace(string(pointer))), info.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b pointed) int { return b.at.Compare(a.at) })
	return found, nil
}

// checkDeployments tells what was installed, and when.
func checkDeployments(_ context.Context, s setup, r *Result) {
	folder := filepath.Join(s.RootDir, "deployment-instructions")
	found, err := installed(folder)
	if err != nil {
		r.cannot("list "+folder, err)
		return
	}
	const most = 5
	for _, p := range found[:min(most, len(found))] {
		r.saw("group %s: %s, installed %s", p.group, p.deployment, p.at.Format(time.RFC3339))
	}
	switch {
	case len(found) == 0:
		r.saw("none has been installed yet")
	case len(found) > most:
		r.saw("%d older ones", len(found)-most)
	}
}

// staleAfter is the age at which the record of a command counts no more (agent.md 6.4).
const staleAfter = 24 * time.Hour

// checkLeftovers looks for what a crash left behind: records of commands, and bundles that were never unpacked.
func checkLeftovers(_ context.Context, s setup, r *Result) {
	tracked, err := s.tracked()
	if err != nil {
		r.cannot("list the commands under way", err)
		return
	}
	revisions, err := s.revisions()
	if err != nil {
		r.cannot("list the revisions in root_dir "+s.RootDir, err)
		return
	}
	_, running := agent.Status(s.Config)
	for _, id := range slices.Sorted(maps.Keys(tracked)) {
		since := tracked[id]
		if errors.Is(running, agent.ErrNotRunning) {
			r.warn(fmt.Sprintf("a lifecycle event of %s was interrupted at %s", id, since.Format(time.RFC3339)),
				"start the agent: it tells the service, which fails the deployment on this host at once instead of waiting")
		} else {
			r.saw("a lifecycle event of %s is under way", id)
		}
	}
	for _, rev := range revisions {
		if _, underWay := tracked[rev.id]; !underWay && rev.isHalf() {
			r.warn("the bundle of "+rev.id+" was never unpacked", "nothing needs it; to have its space back now: rm -r "+rev.path)
		}
	}
	if len(r.Seen) == 0 {
		r.saw("none")
	}
}

// tracked returns the deployments with a command on record, and since when. Stale records stay: the agent removes them.
func (s setup) tracked() (map[string]time.Time, error) {
	entries, err := os.ReadDir(filepath.Join(s.RootDir, s.OngoingDeploymentTracking))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	found := map[string]time.Time{}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && !strings.HasPrefix(entry.Name(), ".") && time.Since(info.ModTime()) <= staleAfter {
			found[entry.Name()] = info.ModTime()
		}
	}
	return found, nil
}

// isHalf reports whether a bundle was downloaded, or a part of it, and not unpacked.
func (v revision) isHalf() bool {
	_, bundle := os.Lstat(filepath.Join(v.path, "bundle.tar"))
	_, archive := os.Lstat(filepath.Join(v.path, "deployment-archive"))
	return bundle == nil && errors.Is(archive, fs.ErrNotExist)
}
