package install

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// checkLinks looks for symbolic links that the copies and permissions would follow and that neither root nor the agent has
// made: whoever made one chooses where the agent writes. Stock agents follow them, so that reject_symlink_permission_targets
// must be set to refuse them.
func (p *Plan) checkLinks(context.Context) error {
	l := linkFinder{plan: p, seen: map[string]bool{}}
	for _, s := range p.steps {
		switch s := s.(type) {
		case *folder:
			l.look(filepath.Dir(s.path))
		case *file:
			l.look(filepath.Dir(s.destination))
		}
	}
	if len(l.found) == 0 {
		return nil
	}
	if !p.options.Hardening.RejectSymlinkPermissionTargets {
		p.options.Log.Warn("destinations lead through symbolic links that belong neither to root nor to the agent's user; set reject_symlink_permission_targets to refuse them",
			slog.Int("count", len(l.found)), slog.Any("first", l.found[:min(len(l.found), mostNamed)]))
		return nil
	}
	for _, link := range l.found {
		m, _ := lstat(link) // if it has gone by now then only its owner is not told
		c := p.conflict(link, m, "%s is a symbolic link of somebody else on the way to a destination, which reject_symlink_permission_targets forbids", link)
		c.Advice = "Remove the link, or choose a destination that does not lead through it"
		if !slices.ContainsFunc(p.conflicts, func(known Change) bool { return known.Path == c.Path && known.Reason == c.Reason }) {
			p.conflicts = append(p.conflicts, c)
		}
	}
	return nil
}

// linkFinder looks at each part of paths once, also of those that links lead to.
type linkFinder struct {
	plan  *Plan
	seen  map[string]bool
	found []string
}

func (l *linkFinder) look(path string) {
	if l.seen[path] {
		return
	}
	l.seen[path] = true
	l.look(filepath.Dir(path))
	if l.plan.folders[path] != nil {
		return // is made, in the place of what is there
	}
	m, err := lstat(path)
	if err != nil || !m.isLink() {
		return
	}
	if m.uid > 0 && m.uid != os.Geteuid() {
		l.found = append(l.found, path)
	}
	target, err := os.Readlink(path)
	if err != nil {
		return
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	l.look(filepath.Clean(target))
}
