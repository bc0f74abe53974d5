package local

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/install"
	"grapnel/internal/mount"
)

// writeText prints a report for people: what changes in which files, the scripts, the space, what is wrong.
func (r *report) writeText(out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "Dry run of %s for the deployment group %s: nothing is changed on this host.\n", r.Location, r.DeploymentGroup)
	section(w, "Files", r.files())
	section(w, "Scripts, in the order in which they run", r.scripts())
	section(w, "Space", r.space())
	section(w, "It may fail", r.doubts())
	section(w, "It would fail", r.Failures)
	verdict := "start"
	if !r.WouldStart {
		verdict = "fail"
	}
	fmt.Fprintf(w, "\n%s; the deployment would %s\n", r.Summary, verdict)
	return w.Flush()
}

// section prints lines whose cells are separated by tabs, and nothing when there are none.
func section(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	aligned := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, line := range lines {
		fmt.Fprintf(aligned, "  %s\n", line)
	}
	aligned.Flush() //nolint:errcheck // that w cannot be written is found out when it is flushed
}

// groups is the order in which changes are listed.
var groups = []install.Action{install.Conflict, install.Delete, install.Mkdir, install.Create, install.Overwrite, install.Keep}

func (r *report) files() []string {
	changes := slices.Clone(r.Changes)
	slices.SortStableFunc(changes, func(a, b install.Change) int {
		return cmp.Compare(slices.Index(groups, a.Action), slices.Index(groups, b.Action))
	})
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = strings.TrimRight(strings.Join([]string{string(c.Action), c.Path, permissions(c), remark(c)}, "\t"), "\t")
	}
	return lines
}

// permissions are those of a path, and what they would be where they change.
func permissions(c install.Change) string {
	before, after := describe(c.From), describe(completedBy(c.To, c.From))
	switch {
	case c.Action == install.Conflict || c.Action == install.Delete || c.Action == install.Keep || after == "":
		return before
	case before == "" || before == after:
		return after
	}
	return before + " -> " + after
}

// completedBy fills in what is not set and therefore stays.
func completedBy(to, from *install.Permissions) *install.Permissions {
	if to == nil || from == nil {
		return to
	}
	full := *to
	full.Mode = cmp.Or(to.Mode, from.Mode)
	full.Owner = cmp.Or(to.Owner, from.Owner)
	full.Group = cmp.Or(to.Group, from.Group)
	return &full
}

func describe(p *install.Permissions) string {
	if p == nil {
		return ""
	}
	parts := []string{p.Mode, strings.TrimSuffix(p.Owner+":"+p.Group, ":")}
	if len(p.ACL) > 0 {
		parts = append(parts, "acl "+strings.Join(p.ACL, ","))
	}
	if p.Context != "" {
		parts = append(parts, "selinux "+p.Context)
	}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// remark is what else there is to say about a change.
func remark(c install.Change) string {
	var parts []string
	switch c.Action {
	case install.Conflict:
		parts = append(parts, c.Reason)
	case install.Create, install.Overwrite:
		parts = append(parts, mount.Size(c.Bytes))
	}
	if c.DeploymentGroup != "" {
		parts = append(parts, "installed by the deployment group "+c.DeploymentGroup)
	}
	if c.Edited {
		parts = append(parts, "CHANGED on this host since it was installed")
	}
	return strings.Join(parts, "; ")
}

func (r *report) scripts() []string {
	lines := make([]string, len(r.Scripts))
	for i, s := range r.Scripts {
		lines[i] = strings.Join([]string{s.Event, s.Location, "as " + user(s), fmt.Sprintf("at most %d s", s.Timeout), origin(s)}, "\t")
	}
	return lines
}

func user(s executor.PlannedScript) string {
	name := cmp.Or(s.RunAs, "the same user")
	switch {
	case s.Sudo && s.RunAs == "":
		return "root by sudo"
	case s.Sudo:
		return name + " by sudo"
	}
	return name
}

// origin says whose script it is, which surprises many.
func origin(s executor.PlannedScript) string {
	if s.Previous != "" {
		return "of the revision installed before, in " + s.Previous
	}
	return "of this revision"
}

func (r *report) space() []string {
	lines := make([]string, len(r.Room))
	for i, room := range r.Room {
		free := "no limit of files"
		if room.FreeFiles >= 0 {
			free = fmt.Sprintf("%d files", room.FreeFiles)
		}
		lines[i] = fmt.Sprintf("%s\tneeds %s, %d files\tfree %s, %s", room.Mount, mount.Size(max(0, room.Bytes)), max(0, room.Files), mount.Size(room.FreeBytes), free)
	}
	return lines
}

func (r *report) doubts() []string {
	lines := slices.Clone(r.Doubts)
	for _, s := range r.Scripts {
		if s.Problem != "" && !s.Fails {
			lines = append(lines, s.Event+": "+s.Problem)
		}
	}
	return lines
}

// failures are all that is certain to go wrong: what the preview found, scripts, and conflicts, which are listed among the files.
func (r *report) failures() []string {
	lines := r.Failures
	for _, s := range r.Scripts {
		if s.Fails {
			lines = append(lines, s.Event+": "+s.Problem)
		}
	}
	if r.Summary.Conflicts > 0 {
		lines = append(lines, fmt.Sprintf("Install: %d of the paths are in the way%s", r.Summary.Conflicts, r.wayOut()))
	}
	return lines
}

// wayOut says what to do when files exist already, which most conflicts are.
func (r *report) wayOut() string {
	for _, c := range r.Changes {
		if c.Action == install.Conflict && strings.Contains(c.Reason, "already exists") {
			return ". Remove the files that exist already, or choose --file-exists-behavior OVERWRITE or RETAIN"
		}
	}
	return ""
}
