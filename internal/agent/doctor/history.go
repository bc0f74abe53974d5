package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"grapnel/internal/agent"
)

// checkDeployments tells the Install that each deployment group completed last (agent.md 6.1).
func checkDeployments(_ context.Context, s setup, r *Result) {
	const suffix = "_last_successful_install"
	folder := filepath.Join(s.RootDir, "deployment-instructions")
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cannot("list "+folder, err)
		return
	}
	type last struct {
		at   time.Time
		told string
	}
	var found []last
	for _, entry := range entries {
		group, ok := strings.CutSuffix(entry.Name(), suffix)
		if !ok {
			continue
		}
		info, err := entry.Info()
		pointer, unread := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil || unread != nil {
			continue // replaced at this moment, or another user's
		}
		id := filepath.Base(strings.TrimSpace(string(pointer)))
		found = append(found, last{info.ModTime(), fmt.Sprintf("group %s: %s, installed %s", group, id, info.ModTime().Format(time.RFC3339))})
	}
	slices.SortFunc(found, func(a, b last) int { return b.at.Compare(a.at) })
	const most = 5
	for _, l := range found[:min(most, len(found))] {
		r.saw("%s", l.told)
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
	folder := filepath.Join(s.RootDir, s.OngoingDeploymentTracking)
	tracked, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cannot("list "+folder, err)
		return
	}
	_, notRunning := agent.Status(s.Config)
	underWay := map[string]bool{}
	for _, entry := range tracked {
		info, err := entry.Info()
		if err != nil || strings.HasPrefix(entry.Name(), ".") || time.Since(info.ModTime()) > staleAfter {
			continue
		}
		underWay[entry.Name()] = true
		if errors.Is(notRunning, agent.ErrNotRunning) {
			r.warn(fmt.Sprintf("a lifecycle event of %s was interrupted at %s", entry.Name(), info.ModTime().Format(time.RFC3339)),
				"start the agent: it tells the service, which fails the deployment on this host at once instead of waiting")
		} else {
			r.saw("a lifecycle event of %s is under way", entry.Name())
		}
	}
	revisions, err := s.revisions()
	if err != nil {
		r.cannot("list the revisions in root_dir "+s.RootDir, err)
		return
	}
	for _, rev := range revisions {
		if !underWay[rev.id] && rev.isHalf() {
			r.warn("the bundle of "+rev.id+" was never unpacked", "nothing needs it; to have its space back now: rm -r "+rev.path)
		}
	}
	if len(r.Seen) == 0 {
		r.saw("none")
	}
}

// isHalf reports whether a bundle was downloaded, or a part of it, and not unpacked.
func (v revision) isHalf() bool {
	_, bundle := os.Lstat(filepath.Join(v.path, "bundle.tar"))
	_, archive := os.Lstat(filepath.Join(v.path, "deployment-archive"))
	return bundle == nil && errors.Is(archive, fs.ErrNotExist)
}
