package install

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/appspec"
	"grapnel/internal/mount"
)

// Action is what an Install does to a path.
type Action string

// What a Change can be.
const (
	Create    Action = "create"    // a file or link where nothing is
	Overwrite Action = "overwrite" // a file or link in the place of one that is there
	Keep      Action = "keep"      // a file of the host that RETAIN leaves
	Delete    Action = "delete"    // a file, link or folder of the previous Install that this one does not have
	Mkdir     Action = "mkdir"
	Conflict  Action = "conflict" // something at the path that stands in the way of the whole Install
	Refused   Action = "refused"  // anything else for which the whole Install fails
)

// Change is what an Install does, or cannot do, to one path.
type Change struct {
	Action Action `json:"action"`
	Path   string `json:"path"`
	Source string `json:"source,omitempty"` // path in the bundle
	Bytes  int64  `json:"bytes,omitempty"`
	Reason string `json:"reason,omitempty"` // of a conflict or refusal: a sentence without its end
	Owner  string `json:"owner,omitempty"`  // user:group of what is there now
	// DeploymentGroup is the id of the deployment group whose cleanup file lists what is there now.
	DeploymentGroup string `json:"deploymentGroup,omitempty"`
	// Edited says that somebody has changed, since the previous Install copied it, the file that goes.
	Edited bool         `json:"edited,omitempty"`
	From   *Permissions `json:"from,omitempty"` // what is there now, nil for nothing
	To     *Permissions `json:"to,omitempty"`   // what will be there

	// Advice is what to do about a conflict, in whole sentences without the last end; most that follow each other have the same.
	Advice string `json:"advice,omitempty"`
}

// Permissions are those of one path. What an Install does not set on its own is left out of its To.
type Permissions struct {
	Mode    string   `json:"mode,omitempty"` // octal
	Owner   string   `json:"owner,omitempty"`
	Group   string   `json:"group,omitempty"`
	ACL     []string `json:"acl,omitempty"`     // as in the AppSpec
	Context string   `json:"context,omitempty"` // SELinux: [user:]type[:range]
}

// Changes lists what Run would do: conflicts, what goes, what comes in the order in which it comes, and what is kept.
func (p *Plan) Changes() []Change {
	edited := p.old.edited(p.options.InstructionsFile)
	changes := slices.Clone(p.conflicts)
	for _, path := range slices.Backward(p.old.entries) {
		m, found := p.old.found[path]
		if found && p.files[path] == nil && p.folders[path] == nil && p.old.goes(path) {
			changes = append(changes, Change{Action: Delete, Path: path, Owner: p.ownerOf(m), Edited: edited[path], From: p.permissionsOf(m)})
		}
	}
	accesses := map[string]*access{}
	for _, a := range p.accesses {
		accesses[a.path] = a
	}
	for _, s := range p.steps {
		switch s := s.(type) {
		case *folder:
			if !s.again || p.old.goes(s.path) {
				changes = append(changes, p.folderChange(s, accesses[s.path]))
			}
		case *file:
			c := p.fileChange(s, accesses[s.destination])
			c.Edited = edited[s.destination]
			changes = append(changes, c)
		}
	}
	return append(changes, p.kept...)
}

func (p *Plan) folderChange(f *folder, a *access) Change {
	c := Change{Action: Mkdir, Path: f.path, To: a.permissions()}
	if m, ok := p.old.found[f.path]; ok {
		c.From, c.Owner = p.permissionsOf(m), p.ownerOf(m)
	}
	return c
}

func (p *Plan) fileChange(f *file, a *access) Change {
	c := Change{Action: Create, Path: f.destination, Source: p.inBundle(f.source), Bytes: f.from.size}
	m, found := p.old.found[f.destination]
	if f.replaced != nil {
		m, found = *f.replaced, true
	}
	if found {
		c.Action, c.From, c.Owner = Overwrite, p.permissionsOf(m), p.ownerOf(m)
	}
	if f.from.isLink() {
		c.To = a.permissions()
		return c
	}
	c.To = p.permissionsOf(f.from)
	if set := a.permissions(); set != nil {
		c.To.take(set)
	}
	return c
}

// take replaces what another sets.
func (to *Permissions) take(set *Permissions) {
	if set.Mode != "" {
		to.Mode = set.Mode
	}
	if set.Owner != "" {
		to.Owner = set.Owner
	}
	if set.Group != "" {
		to.Group = set.Group
	}
	to.ACL, to.Context = set.ACL, set.Context
}

// permissions returns what an access sets, nil for no access.
func (a *access) permissions() *Permissions {
	if a == nil {
		return nil
	}
	set := &Permissions{Owner: a.entry.Owner, Group: a.entry.Group}
	if a.mode != nil {
		set.Mode = fmt.Sprintf("%04o", octal(*a.mode))
	}
	if len(a.entry.ACLs) > 0 {
		set.ACL = aclStrings(a.entry.ACLs)
	}
	if a.entry.Context != nil {
		set.Context = contextString(a.entry.Context)
	}
	return set
}

func contextString(c *appspec.Context) string {
	return strings.Join(slices.DeleteFunc([]string{c.User, c.Type, c.Range}, func(s string) bool { return s == "" }), ":")
}

// Room lists what the Install needs of each mount.
func (p *Plan) Room() []mount.Room {
	var list []mount.Room
	for _, d := range p.demands.sorted() {
		list = append(list, d.room())
	}
	return list
}

// conflict is something at path that is in the way.
func (p *Plan) conflict(path string, m meta, reason string, args ...any) Change {
	return Change{
		Action: Conflict, Path: path, Reason: fmt.Sprintf(reason, args...),
		Owner: p.ownerOf(m), DeploymentGroup: p.groupOf(path), From: p.permissionsOf(m),
	}
}

// advice is what to do about a conflict: the usual, unless another deployment group would miss what is there.
func (p *Plan) advice(c Change, usual string) string {
	if c.DeploymentGroup == "" || c.DeploymentGroup+cleanupSuffix == filepath.Base(p.options.CleanupFile) {
		return usual
	}
	return fmt.Sprintf("What the deployment group %s installed is not for this group to remove: deploy it with that group, or change the destination in the AppSpec", c.DeploymentGroup)
}

// holder says whose the thing in the way is, "" when nothing is known.
func (c Change) holder() string {
	switch {
	case c.DeploymentGroup != "":
		return fmt.Sprintf(" (owned by %s, installed by the deployment group %s)", c.Owner, c.DeploymentGroup)
	case c.Owner != "":
		return fmt.Sprintf(" (owned by %s)", c.Owner)
	}
	return ""
}

// groupOf returns the id of the deployment group whose cleanup file lists path.
func (p *Plan) groupOf(path string) string {
	if p.installers == nil {
		p.installers = installersIn(filepath.Dir(p.options.CleanupFile))
	}
	return p.installers[path]
}

// cleanupSuffix follows the id of the group in the name of its cleanup file (agent.md 6).
const cleanupSuffix = "-cleanup"

// installersIn reads all cleanup files of a folder: which group installed what.
func installersIn(dir string) map[string]string {
	installers := map[string]string{}
	entries, _ := os.ReadDir(dir) // what cannot be read makes a message poorer, no more
	for _, entry := range entries {
		group, ok := strings.CutSuffix(entry.Name(), cleanupSuffix)
		if !ok || !entry.Type().IsRegular() {
			continue
		}
		data, _ := os.ReadFile(filepath.Join(dir, entry.Name()))
		for _, path := range entriesOf(data) {
			installers[path] = group
		}
	}
	return installers
}

func (p *Plan) permissionsOf(m meta) *Permissions {
	owner, group, _ := strings.Cut(p.ownerOf(m), ":")
	return &Permissions{Mode: fmt.Sprintf("%04o", octal(m.mode)), Owner: owner, Group: group}
}

// ownerOf returns user:group, as numbers where they have no name, and "" where the system has no owners.
func (p *Plan) ownerOf(m meta) string {
	if m.uid < 0 {
		return ""
	}
	return p.accounts.Owner(m.uid, m.gid)
}
