package install

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// checkHost looks for what would fail in the middle, and for what the flags forbid.
func (p *Plan) checkHost(context.Context) error {
	p.checkPrograms()
	p.checkUnsafeModes()
	p.checkUnconfined()
	p.checkWritable()
	return nil
}

// checkWritable looks for folders in which nothing can be made or removed: those of a file system that is mounted
// read-only, and those of others when the agent is not root.
func (p *Plan) checkWritable() {
	seen := map[string]bool{}
	check := func(path string) {
		dir := filepath.Dir(path)
		if f := p.folders[dir]; seen[dir] || f != nil && (!f.again || os.Geteuid() == 0) {
			return // root can write to a folder that is made again if it can to the one above
		}
		seen[dir] = true
		if err := writable(dir); err != nil && !isAbsent(err) {
			p.refuse(dir, "the agent cannot write to the folder %s: %v", dir, err)
		}
	}
	for _, s := range p.steps {
		switch s := s.(type) {
		case *folder:
			check(s.path)
		case *file:
			check(s.destination)
		}
	}
	for _, path := range p.old.entries {
		if _, found := p.old.found[path]; found {
			check(path)
		}
	}
}

// checkUnsafeModes applies reject_unsafe_permissions_in_bundle to set-id bits, of files and of the AppSpec.
func (p *Plan) checkUnsafeModes() {
	if !p.options.Hardening.RejectUnsafePermissions {
		return
	}
	for _, s := range p.steps {
		if f, ok := s.(*file); ok && f.from.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0 && !f.from.isLink() {
			p.refuse(f.destination, "%s in the bundle has a set-id bit (mode %04o), which reject_unsafe_permissions_in_bundle forbids", p.inBundle(f.source), octal(f.from.mode))
		}
	}
	for _, entry := range p.options.AppSpec.Permissions {
		if len(entry.Mode) == 4 && (entry.Mode[0]-'0')&6 != 0 {
			p.refuse(entry.Object, "permissions (%s): mode %s has a set-id bit, which reject_unsafe_permissions_in_bundle forbids", p.where(entry.Line), entry.Mode)
		}
	}
}

// unconfined are the types that SELinux does not restrict.
var unconfined = []string{"unconfined_t", "kernel_t", "init_t"}

// checkUnconfined applies reject_unconfined_selinux_in_bundle.
func (p *Plan) checkUnconfined() {
	if !p.options.Hardening.RejectUnconfinedSELinux {
		return
	}
	for _, entry := range p.options.AppSpec.Permissions {
		if c := entry.Context; c != nil && slices.Contains(unconfined, c.Type) {
			p.refuse(entry.Object, "permissions (%s): the SELinux type %s is unconfined, which reject_unconfined_selinux_in_bundle forbids", p.where(entry.Line), c.Type)
		}
	}
}
