package install

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"

	"grapnel/internal/appspec"
)

// access is what one entry of the AppSpec's permissions sets on one object.
type access struct {
	path   string
	entry  *appspec.Permission
	mode   *fs.FileMode // nil keeps it
	acl    *acl         // nil for none
	owner  ids
	folded bool // set by the copy of the file itself
}

// ids are the numbers of an owner and a group; -1 keeps what is.
type ids struct{ uid, gid int }

// resolve turns an entry into what the kernel takes. The names must exist on this host; all that do not are told.
func (p *Plan) resolve(entry *appspec.Permission) (a access, errs []error) {
	failed := func(what string, err error) bool {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", what, err))
		}
		return err != nil
	}
	a = access{entry: entry, owner: ids{-1, -1}}
	if entry.Mode != "" {
		bits, err := strconv.ParseUint(entry.Mode, 8, 12)
		if !failed(fmt.Sprintf("mode %q", entry.Mode), err) {
			mode := modeOf(uint32(bits))
			a.mode = &mode
		}
	}
	if entry.Owner != "" {
		uid, err := p.accounts.UserID(entry.Owner)
		if !failed("owner", err) {
			a.owner.uid = int(uid)
		}
	}
	if entry.Group != "" {
		gid, err := p.accounts.GroupID(entry.Group)
		if !failed("group", err) {
			a.owner.gid = int(gid)
		}
	}
	if len(entry.ACLs) > 0 {
		list, err := p.resolveACL(entry.ACLs)
		if !failed("acls", err) {
			a.acl = list
		}
	}
	return a, errs
}

// set applies the access: chown comes last and lets the kernel clear set-id bits, as with stock agents (agent.md 8.1).
func (a *access) set(h handle) error {
	if a.mode != nil {
		if err := h.chmod(*a.mode); err != nil {
			return err
		}
	}
	if a.acl != nil {
		mode, err := a.modeNow(h)
		if err != nil {
			return err
		}
		if err := h.setACL(a.acl.completed(mode)); err != nil {
			return err
		}
	}
	if a.owner == (ids{-1, -1}) {
		return nil
	}
	return h.chown(a.owner)
}

func (a *access) modeNow(h handle) (fs.FileMode, error) {
	if a.mode != nil {
		return *a.mode, nil
	}
	return h.mode()
}

// fold leaves permissions of files to their copies, which spares looking up each path again. It is not done when one of
// the objects is a link: what it leads to may be another of them, and then their order counts.
func (p *Plan) fold() {
	if slices.ContainsFunc(p.accesses, func(a *access) bool { f := p.files[a.path]; return f != nil && f.from.isLink() }) {
		return
	}
	for _, a := range p.accesses {
		if f := p.files[a.path]; f != nil {
			f.access, a.folded = a, true
		}
	}
}

// setAccesses sets the permissions of what is no file, or all of them in their order.
func (p *Plan) setAccesses(ctx context.Context, _ *ledger) error {
	for _, a := range p.accesses {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if a.folded {
			continue
		}
		if err := p.setAccess(a); err != nil {
			return fmt.Errorf("cannot set the permissions of %s (%s): %w", a.path, p.where(a.entry.Line), err)
		}
	}
	return nil
}

// setAccess follows symbolic links as stock agents do, unless the flag forbids it.
func (p *Plan) setAccess(a *access) error {
	if !p.options.Hardening.RejectSymlinkPermissionTargets {
		return a.set(followed(a.path))
	}
	h, err := opened(a.path)
	if err != nil {
		return err
	}
	defer h.close()
	return a.set(h)
}
