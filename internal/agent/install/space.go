package install

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"

	"grapnel/internal/mount"
)

// demand is what an Install needs of one mount, less what it frees there first.
type demand struct {
	mount        mount.Mount
	bytes, files int64
	largest      int64 // bytes of the largest file that is replaced, which stays until its successor is complete
}

// room is the demand beside what is free.
func (d *demand) room() mount.Room { return d.mount.Room(d.bytes+d.largest, d.files) }

// demands adds up what is needed of each mount.
type demands struct {
	mountOf  func(path string) (mount.Mount, error)
	byFolder map[string]*demand // spares a look at the mount for each of many files in one folder
	byDevice map[uint64]*demand
}

// at returns the demand on the mount of a folder that exists.
func (d *demands) at(folder string) (*demand, error) {
	if known := d.byFolder[folder]; known != nil {
		return known, nil
	}
	m, err := d.mountOf(folder)
	if err != nil {
		return nil, err
	}
	if d.byDevice[m.Device] == nil {
		d.byDevice[m.Device] = &demand{mount: m}
	}
	d.byFolder[folder] = d.byDevice[m.Device]
	return d.byDevice[m.Device], nil
}

// add counts a file or folder of so many bytes.
func (d *demand) add(bytes int64) {
	block := max(1, d.mount.Block)
	d.bytes += (bytes + block - 1) / block * block
	d.files++
}

// release counts something that will be removed, unless its blocks belong to another name as well.
func (d *demands) release(m meta) {
	if at := d.byDevice[m.device]; at != nil && (m.links == 1 || m.mode.IsDir()) {
		at.bytes -= m.allocated
		at.files--
	}
}

// sorted returns the demands by mount.
func (d *demands) sorted() []*demand {
	var list []*demand
	for _, at := range d.byDevice {
		list = append(list, at)
	}
	slices.SortFunc(list, func(a, b *demand) int { return cmp.Compare(a.mount.Point, b.mount.Point) })
	return list
}

// measure compares what the plan takes with what is free on each mount once the previous Install's files are gone.
func (p *Plan) measure(ctx context.Context) error {
	p.demands = demands{mountOf: mount.At, byFolder: map[string]*demand{}, byDevice: map[uint64]*demand{}}
	if err := p.addDemands(ctx); err != nil {
		return err
	}
	p.refuseShortages()
	p.checkACLs()
	return nil
}

func (p *Plan) addDemands(ctx context.Context) error {
	var replaced []meta
	for _, s := range p.steps {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		switch s := s.(type) {
		case *folder:
			at, err := p.demandAt(filepath.Dir(s.path))
			if err != nil {
				return err
			}
			at.add(1)
		case *file:
			at, err := p.demandAt(filepath.Dir(s.destination))
			if err != nil {
				return err
			}
			at.add(min(s.from.size, max(s.from.allocated, 1))) // holes take nothing
			if s.replaced != nil {
				at.largest = max(at.largest, s.replaced.allocated)
				replaced = append(replaced, *s.replaced)
			}
		}
	}
	for path, m := range p.old.found {
		if p.folders[path] != nil || p.old.goes(path) { // a folder that is made again counts neither way
			p.demands.release(m)
		}
	}
	for _, m := range replaced {
		p.demands.release(m)
	}
	return nil
}

// demandAt returns the demand on the mount of a folder. One that is yet to be made will lie where the one above it does.
func (p *Plan) demandAt(path string) (*demand, error) {
	f := p.folders[path]
	if known := p.demands.byFolder[path]; known != nil || f == nil || f.mounted {
		return p.demands.at(path)
	}
	at, err := p.demandAt(filepath.Dir(path))
	if err == nil {
		p.demands.byFolder[path] = at
	}
	return at, err
}

func (p *Plan) refuseShortages() {
	for _, d := range p.demands.sorted() {
		if short := d.room().Shortage("installing this revision"); short != nil {
			p.conflicts = append(p.conflicts, Change{Action: Refused, Path: d.mount.Point, Reason: short.Reason, Advice: mount.Advice})
		}
	}
}

// checkACLs refuses access control lists on file systems that have none.
func (p *Plan) checkACLs() {
	answers := map[*demand]bool{}
	for _, a := range p.accesses {
		if a.acl == nil {
			continue
		}
		at, err := p.demandAt(filepath.Dir(a.path))
		if err != nil {
			continue // the demands of its file or folder have found a mount
		}
		keeps, known := answers[at]
		if !known {
			keeps = keepsACLs(at.mount.Existing)
			answers[at] = keeps
		}
		if !keeps {
			p.refuse(a.path, "permissions (%s): the file system mounted at %s has no access control lists, so that %s cannot get its acls; "+
				"mount it with the option acl, choose another destination, or remove the acls", p.where(a.entry.Line), at.mount.Point, a.path)
		}
	}
}
