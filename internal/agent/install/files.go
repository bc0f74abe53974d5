package install

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"grapnel/internal/appspec"
)

// step is one folder or file to make.
type step interface{ instruction() any }

// folder is made in a folder that is there.
type folder struct {
	path string
	// again says that the previous Install has made it too. If it holds something that is not ours then it is there still
	// when its turn comes.
	again   bool
	mounted bool // is the place of a mount, of those that are made again
	made    bool // by this Install
}

// file is a copy of a file or symbolic link of the archive.
type file struct {
	source, destination string
	from                meta    // the source's
	replaced            *meta   // what is at the destination now, nil for nothing
	access              *access // is set while the file is made, nil for none
	in                  *folder // nil for a folder that this Install does not make
}

// placeFiles turns the AppSpec's files into steps (agent.md 8.1).
func (p *Plan) placeFiles(ctx context.Context) error {
	for _, f := range p.options.AppSpec.Files {
		if err := p.place(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plan) place(ctx context.Context, f appspec.File) error {
	source := filepath.Join(p.options.Archive, f.Source) // "/" is the archive itself
	destination, err := filepath.Abs(f.Destination)
	if err != nil {
		return fmt.Errorf("files (%s): destination %q: %w", p.where(f.Line), f.Destination, err)
	}
	if p.leavesArchive(f) {
		return nil
	}
	if root := p.options.Root; root != "" && isBelow(resolved(destination), resolved(root)) {
		p.refuse(destination, "files (%s): the destination %s lies in %s, where the agent keeps its own records; choose another destination", p.where(f.Line), destination, root)
		return nil
	}
	itself, err := lstat(source)
	if isAbsent(err) {
		p.missing = append(p.missing, destination)
		text := fmt.Sprintf("files (%s): the source %q is not in the bundle", p.where(f.Line), f.Source)
		if probably := appspec.Probably(p.options.Archive, "source", f.Source); probably != "" {
			text += "." + strings.TrimSuffix(probably, ".")
		}
		p.refuse(destination, "%s", text)
		return nil
	} else if err != nil {
		return fmt.Errorf("cannot read the bundle: %w", err)
	}
	if !p.makeAncestors(destination) {
		return nil
	}
	if m, err := stat(source); err == nil && m.mode.IsDir() {
		return p.placeTree(ctx, source, destination, m)
	}
	if p.makeFolder(destination) {
		p.copy(source, filepath.Join(destination, filepath.Base(source)), itself)
	}
	return nil
}

// leavesArchive looks for paths that climb out. Unless the flag forbids it, a source outside is taken, as by stock agents:
// some people rely on it.
func (p *Plan) leavesArchive(f appspec.File) (refused bool) {
	if !p.options.Hardening.RejectPathTraversal {
		if appspec.ClimbsOut(f.Source) {
			p.options.Log.Warn("a source of the AppSpec lies outside the bundle", slog.String("source", f.Source), slog.Int("line", f.Line))
		}
		return false
	}
	const reason = "files (%s): the %s %q climbs out with \"..\", which reject_path_traversal_in_bundle forbids"
	if appspec.ClimbsOut(f.Source) {
		p.refuse(f.Destination, reason, p.where(f.Line), "source", f.Source)
		refused = true
	}
	if appspec.ClimbsOut(f.Destination) {
		p.refuse(f.Destination, reason, p.where(f.Line), "destination", f.Destination)
		refused = true
	}
	return refused
}

// makeAncestors makes the missing folders above path, the topmost first. It reports whether they can be made.
func (p *Plan) makeAncestors(path string) bool {
	parent := filepath.Dir(path)
	if parent == path || p.isFolder(parent) {
		return true
	}
	return p.makeAncestors(parent) && p.makeFolder(parent)
}

func (p *Plan) placeTree(ctx context.Context, source, destination string, m meta) error {
	children, err := readTree(ctx, source, m)
	if err != nil {
		return fmt.Errorf("cannot read the bundle: %w", err)
	}
	p.copyTree(children, source, destination)
	return nil
}

// copyTree copies a folder. Links to folders become folders, as with stock agents.
func (p *Plan) copyTree(children []branch, source, destination string) {
	if !p.makeFolder(destination) {
		return
	}
	for _, child := range children {
		from, to := source+"/"+child.name, strings.TrimSuffix(destination, "/")+"/"+child.name
		switch {
		case child.circular:
			p.refuse(to, "the bundle's link %s leads back to a folder above it", p.inBundle(from))
		case child.folder:
			p.copyTree(child.children, from, to)
		default:
			p.copy(from, to, child.meta)
		}
	}
}

// makeFolder adds a folder unless it is there or planned already. It reports whether there will be one.
func (p *Plan) makeFolder(path string) bool {
	if p.isFolder(path) {
		return true
	}
	if f, ok := p.files[path]; ok {
		p.refuse(path, "%s would be a folder and also the copy of %s: correct the files section of the AppSpec", path, p.inBundle(f.source))
		return false
	}
	if !p.nameable(path) {
		return false
	}
	f := &folder{path: path, again: p.old.found[path].mode.IsDir() && !p.isNew(filepath.Dir(path))}
	if f.again {
		f.mounted = p.old.isMounted(path)
	} else if !p.isFree(path) {
		return false
	}
	p.folders[path] = f
	p.steps = append(p.steps, f)
	return true
}

// isFree reports whether a folder can be made where none is.
func (p *Plan) isFree(path string) bool {
	m, found, err := p.inTheWay(path)
	if err != nil {
		p.refuse(path, "cannot look at the destination: %v", err)
	} else if found {
		c := p.conflict(path, m, "%s must become a folder but exists as something else", path)
		c.Advice = p.advice(c, "Remove it, or choose another destination")
		p.conflicts = append(p.conflicts, c)
	}
	return err == nil && !found
}

// isNew reports whether nothing can be in a folder before this Install makes it.
func (p *Plan) isNew(path string) bool {
	f := p.folders[path]
	return f != nil && !f.again
}

// isFolder reports whether path is a folder, or will be one, that the next step can count on. Those of the previous Install
// are not: they are made again if they go.
func (p *Plan) isFolder(path string) bool {
	if p.folders[path] != nil {
		return true
	}
	if p.isNew(filepath.Dir(path)) {
		return false
	}
	if _, ours := p.old.found[path]; ours {
		return false
	}
	m, err := stat(path)
	return err == nil && m.mode.IsDir() && !p.old.removes(path, m)
}

// inTheWay returns what is at path itself, links not followed, and does not go with the files of the previous Install.
// What vanishes while the plan is made was not in the way.
func (p *Plan) inTheWay(path string) (m meta, found bool, err error) {
	if p.isNew(filepath.Dir(path)) {
		return meta{}, false, nil
	}
	m, ours := p.old.found[path]
	if !ours {
		if m, err = lstat(path); isAbsent(err) {
			return meta{}, false, nil
		}
	}
	return m, err == nil && !p.old.removes(path, m), err
}

// copy adds the copy of one file or link.
func (p *Plan) copy(source, destination string, from meta) {
	if f, ok := p.files[destination]; ok {
		p.refuse(destination, "both %s and %s would be copied to %s: correct the files section of the AppSpec", p.inBundle(f.source), p.inBundle(source), destination)
		return
	}
	if p.folders[destination] != nil {
		p.refuse(destination, "%s would be a folder and also the copy of %s: correct the files section of the AppSpec", destination, p.inBundle(source))
		return
	}
	if !from.mode.IsRegular() && !from.isLink() {
		p.refuse(destination, "%s in the bundle is neither a file, a folder nor a link", p.inBundle(source))
		return
	}
	if !p.nameable(destination) {
		return
	}
	f := &file{source: source, destination: destination, from: from, in: p.folders[filepath.Dir(destination)]}
	if p.collision(f) {
		p.files[destination] = f
		p.steps = append(p.steps, f)
	}
}

// collision decides about a file that is on the host already. It reports whether the copy is to be made.
func (p *Plan) collision(f *file) (wanted bool) {
	m, found, err := p.inTheWay(f.destination)
	if err != nil {
		p.refuse(f.destination, "cannot look at the destination: %v", err)
		return false
	}
	if !found {
		return true
	}
	f.replaced = &m
	if _, err := stat(f.destination); m.isLink() && isAbsent(err) {
		return true // a link to nowhere is no file: it gives way, as with stock agents
	}
	switch behavior := p.behavior(); behavior {
	case appspec.Retain:
		p.kept = append(p.kept, Change{Action: Keep, Path: f.destination, Source: p.inBundle(f.source), Owner: p.ownerOf(m)})
		return false
	case appspec.Overwrite:
		return p.replaceable(f, m)
	case appspec.Disallow:
		c := p.conflict(f.destination, m, "the deployment failed because a specified file already exists at this location: %s", f.destination)
		c.Advice = p.advice(c, "No earlier deployment of this group put it there. Remove it, or set file_exists_behavior: OVERWRITE or RETAIN "+
			"in the AppSpec (or --file-exists-behavior for one deployment)")
		p.conflicts = append(p.conflicts, c)
	default:
		p.refuse(f.destination, "%s exists, and file_exists_behavior is %q: use DISALLOW, OVERWRITE or RETAIN", f.destination, behavior)
	}
	return false
}

// replaceable reports whether a copy can take the place of m.
func (p *Plan) replaceable(f *file, m meta) bool {
	switch {
	case m.mode.IsDir():
		p.conflicts = append(p.conflicts, p.conflict(f.destination, m, "%s is a folder on this host and a file in the bundle, which OVERWRITE does not cover", f.destination))
	case m.serial != 0 && m.id() == f.from.id():
		p.refuse(f.destination, "%s is the file of the bundle itself, which cannot be copied to where it is: correct the destination in the files section of the AppSpec", f.destination)
	default:
		return true
	}
	return false
}

func (p *Plan) behavior() string {
	return cmp.Or(p.options.AppSpec.FileExistsBehavior, p.options.Behavior, appspec.Disallow)
}

// Limits of Linux file systems, in bytes.
const (
	longestName = 255
	longestPath = 4096 - 1
)

// nameable refuses a name that cannot be made, or cannot be written down in the cleanup file.
func (p *Plan) nameable(path string) bool {
	switch root := p.options.Root; {
	case root != "" && isBelow(path, root):
		p.refuse(path, "%s lies in %s, where the agent keeps its own records; choose another destination", path, root)
	case strings.ContainsAny(path, "\n\x00"):
		p.refuse(path, "the name %q holds a newline, which the record of installed files (one name on each line) cannot hold; rename it", path)
	case len(filepath.Base(path)) > longestName:
		p.refuse(path, "the name %q has %d bytes, of which a file system takes %d; shorten it", filepath.Base(path), len(filepath.Base(path)), longestName)
	case len(filepath.Dir(path))+tempLength > longestPath || len(path) > longestPath:
		p.refuse(path, "the path %s has %d bytes, too many for the system; choose a shorter destination", path, len(path))
	default:
		return true
	}
	return false
}

// isBelow reports whether path is dir or lies in it.
func isBelow(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// resolved follows the links in what there is of a path.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(resolved(parent), filepath.Base(path))
}

// inBundle names a file by its path in the bundle.
func (p *Plan) inBundle(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, filepath.Clean(p.options.Archive)), "/")
}
