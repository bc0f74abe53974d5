package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// HasRoom returns a *[NoRoom] when the mount on which path lies, or would lie once it exists, has no room for so many more
// bytes and files.
func HasRoom(path string, bytes, files int64) error {
	free, err := FreeAt(path)
	if err != nil {
		return err
	}
	return free(bytes, files)
}

// NoRoom says that a mount is too small for what is to be put on it.
type NoRoom struct{ reason string }

// Error names the mount, what is needed and what is free, and says what to do.
func (e *NoRoom) Error() string { return e.reason + ". " + roomAdvice }

// FreeAt looks at the mount on which path lies, or would lie once it exists. The function that it returns compares with what
// was free then: the error is a *[NoRoom] when so many bytes and files in all have no room.
func FreeAt(path string) (func(bytes, files int64) error, error) {
	m, err := mountOf(path)
	if err != nil {
		return nil, err
	}
	return func(bytes, files int64) error {
		d := demand{mount: m, bytes: bytes, files: files}
		if reason := d.shortage("this"); reason != "" {
			return &NoRoom{reason}
		}
		return nil
	}, nil
}

// MountOf returns the folder on which the file system is mounted that path lies on, or would lie on once it exists.
func MountOf(path string) (string, error) {
	m, err := mountOf(path)
	return m.point, err
}

// RoomOf returns what is free on the mount that path lies on, or would lie on once it exists. Nothing is needed of it.
func RoomOf(path string) (Room, error) {
	m, err := mountOf(path)
	return Room{Mount: m.point, FreeBytes: m.bytes, FreeFiles: m.files}, err
}

const roomAdvice = "Free some space there, or keep fewer old revisions with max_revisions"

// mount is a mounted file system and what is free on it.
type mount struct {
	point    string // where it is mounted
	existing string // a path on it
	device   uint64
	block    int64 // bytes in which it gives out space
	bytes    int64
	files    int64 // inodes; -1 where the file system makes them as needed
}

// nearestExisting returns the real path of the nearest folder above path, or of path itself, that is there.
func nearestExisting(path string) (string, error) {
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return real, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) || path == filepath.Dir(path) {
			return "", err
		}
		path = filepath.Dir(path)
	}
}

// demand is what an Install needs of one mount, less what it frees there first.
type demand struct {
	mount        mount
	bytes, files int64
	largest      int64 // bytes of the largest file that is replaced, which stays until its successor is complete
}

// shortage returns why there is no room, "" when there is.
func (d *demand) shortage(what string) string {
	if need := d.bytes + d.largest; need > d.mount.bytes {
		return fmt.Sprintf("no space left on the device mounted at %s: %s needs %s, %s are free", d.mount.point, what, mebibytes(need), mebibytes(d.mount.bytes))
	}
	if d.mount.files >= 0 && d.files > d.mount.files {
		return fmt.Sprintf("no inodes left on the device mounted at %s: %s needs %d files, %d can be made", d.mount.point, what, d.files, d.mount.files)
	}
	return ""
}

// mebibytes rounds so that a small shortage can still be seen.
func mebibytes(n int64) string {
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MiB"
}

// demands adds up what is needed of each mount.
type demands struct {
	mountOf  func(path string) (mount, error)
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
	if d.byDevice[m.device] == nil {
		d.byDevice[m.device] = &demand{mount: m}
	}
	d.byFolder[folder] = d.byDevice[m.device]
	return d.byDevice[m.device], nil
}

// add counts a file or folder of so many bytes.
func (d *demand) add(bytes int64) {
	block := max(1, d.mount.block)
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
	slices.SortFunc(list, func(a, b *demand) int { return cmp.Compare(a.mount.point, b.mount.point) })
	return list
}

// measure compares what the plan takes with what is free on each mount once the previous Install's files are gone.
func (p *Plan) measure(ctx context.Context) error {
	p.demands = demands{mountOf: mountOf, byFolder: map[string]*demand{}, byDevice: map[uint64]*demand{}}
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
		if reason := d.shortage("installing this revision"); reason != "" {
			p.conflicts = append(p.conflicts, Change{Action: Conflict, Path: d.mount.point, Reason: reason, Advice: roomAdvice})
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
			keeps = keepsACLs(at.mount.existing)
			answers[at] = keeps
		}
		if !keeps {
			p.refuse(a.path, "permissions (%s): the file system mounted at %s has no access control lists, so that %s cannot get its acls; "+
				"mount it with the option acl, choose another destination, or remove the acls", p.where(a.entry.Line), at.mount.point, a.path)
		}
	}
}
