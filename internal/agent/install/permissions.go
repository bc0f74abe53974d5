package install

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"grapnel/internal/appspec"
)

// placePermissions finds the objects of each entry of the AppSpec's permissions (agent.md 7.3, 8.1). Only what this Install
// makes is touched.
func (p *Plan) placePermissions(ctx context.Context) error {
	lines := map[string]int{} // of the entry that sets an object's permissions
	for i := range p.options.AppSpec.Permissions {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p.permit(&p.options.AppSpec.Permissions[i], lines)
	}
	p.fold()
	return nil
}

func (p *Plan) permit(entry *appspec.Permission, lines map[string]int) {
	objects := p.objects(entry)
	if len(objects) == 0 && !p.mayMatch(entry) {
		return
	}
	resolved, errs := p.resolve(entry)
	for _, err := range errs {
		p.refuse(entry.Object, "permissions (%s): %v", p.where(entry.Line), err)
	}
	if len(errs) > 0 {
		return
	}
	for _, object := range objects {
		if line, ok := lines[object]; ok {
			p.refuse(object, "permissions: the entries of lines %d and %d both set the permissions of %s", line, entry.Line, object)
			continue
		}
		lines[object] = entry.Line
		if reason := p.forbids(entry, object); reason != "" {
			p.refuse(object, "permissions (%s): %s", p.where(entry.Line), reason)
			continue
		}
		a := resolved
		a.path = object
		p.accesses = append(p.accesses, &a)
	}
}

// mayMatch reports whether an entry may be meant for what is missing in the bundle: its mistakes are told together with that.
func (p *Plan) mayMatch(entry *appspec.Permission) bool {
	object := filepath.Clean(entry.Object)
	return slices.ContainsFunc(p.missing, func(path string) bool { return isBelow(path, object) || isBelow(object, path) })
}

// forbids returns why an entry cannot apply to an object, "" when it can.
func (p *Plan) forbids(entry *appspec.Permission, object string) string {
	f := p.files[object]
	if f == nil {
		return ""
	}
	if slices.ContainsFunc(entry.ACLs, func(a appspec.ACL) bool { return a.Default }) {
		return fmt.Sprintf("default entries in acls are for folders, but %s is a file; put them into an entry with \"type: [directory]\"", object)
	}
	if f.from.isLink() && p.options.Hardening.RejectSymlinkPermissionTargets {
		return fmt.Sprintf("%s is a symbolic link, whose target reject_symlink_permission_targets does not let permissions change", object)
	}
	return ""
}

// objects returns what an entry applies to: files before folders, each in alphabetical order.
func (p *Plan) objects(entry *appspec.Permission) []string {
	object, err := filepath.Abs(entry.Object)
	if err != nil {
		p.refuse(entry.Object, "permissions (%s): object %q: %v", p.where(entry.Line), entry.Object, err)
		return nil
	}
	files := slices.Contains(entry.Types, "file")
	if p.files[object] != nil {
		if !files {
			return nil
		}
		if entry.Pattern != "**" || len(entry.Except) > 0 {
			p.refuse(object, "permissions (%s): %s is a file, so pattern and except cannot apply to it; remove them", p.where(entry.Line), object)
			return nil
		}
		return []string{object}
	}
	if !p.isFolder(object) {
		return nil
	}
	var found []string
	if files {
		found = append(found, matching(object, entry, p.files)...)
	}
	if slices.Contains(entry.Types, "directory") {
		found = append(found, matching(object, entry, p.folders)...)
	}
	return found
}

func matching[V any](object string, entry *appspec.Permission, paths map[string]V) []string {
	var found []string
	for path := range paths {
		if matches(object, entry, path) {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	return found
}
