package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"grapnel/internal/appspec"
)

// What to do when a file of the revision exists on the host already and no earlier revision put it there.
const (
	disallow  = "DISALLOW"
	overwrite = "OVERWRITE"
	retain    = "RETAIN"
)

// installPlan turns an AppSpec into instructions (agent.md 8.1). It reads the host and changes nothing.
type installPlan struct {
	archive  string
	behavior string
	// gone holds paths that will have been removed, if they are there now, when the instructions run.
	gone map[string]bool

	steps  []instruction
	copies map[string]copyInstruction // by destination
	made   map[string]bool            // folders
	// replaced holds existing files that copies will replace.
	replaced []string
}

// planInstall returns the instructions that install an archive. removed lists the cleanup entries that will have been
// replayed before they run.
func planInstall(archive string, spec *appspec.AppSpec, behavior string, removed []string) (*installPlan, error) {
	p := &installPlan{
		archive:  archive,
		behavior: cmp.Or(spec.FileExistsBehavior, behavior),
		gone:     removedBy(removed),
		copies:   map[string]copyInstruction{},
		made:     map[string]bool{},
	}
	for _, f := range spec.Files {
		if err := p.file(f); err != nil {
			return nil, err
		}
	}
	if err := p.permissions(spec.Permissions); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *installPlan) file(f appspec.File) error {
	source := filepath.Join(p.archive, f.Source) // "/" is the archive itself
	destination, err := filepath.Abs(f.Destination)
	if err != nil {
		return fmt.Errorf("destination %q: %w", f.Destination, err)
	}
	if _, err := os.Lstat(source); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("files (AppSpec line %d): the source %q is not in the bundle.%s Nothing was changed on this host",
			f.Line, f.Source, suggestion(p.archive, "source", f.Source))
	}
	if err := p.ancestors(destination); err != nil {
		return err
	}
	if info, err := os.Stat(source); err == nil && info.IsDir() {
		return p.tree(source, destination, []fs.FileInfo{info})
	}
	if err := p.mkdir(destination); err != nil {
		return err
	}
	return p.copy(source, filepath.Join(destination, filepath.Base(source)))
}

// ancestors makes the missing folders above path, the topmost first.
func (p *installPlan) ancestors(path string) error {
	parent := filepath.Dir(path)
	if parent == path || p.isDir(parent) {
		return nil
	}
	if err := p.ancestors(parent); err != nil {
		return err
	}
	return p.mkdir(parent)
}

// tree copies a folder. Links to folders become folders, as in stock agents; above holds the folders that lead here, so
// that a link back to one of them ends in an error and not in an endless tree.
func (p *installPlan) tree(source, destination string, above []fs.FileInfo) error {
	if err := p.mkdir(destination); err != nil {
		return err
	}
	children, err := os.ReadDir(source)
	if err != nil {
		return fmt.Errorf("cannot read the bundle: %w", err)
	}
	for _, child := range children {
		from, to := filepath.Join(source, child.Name()), filepath.Join(destination, child.Name())
		info, err := os.Stat(from)
		if err != nil || !info.IsDir() {
			if err := p.copy(from, to); err != nil {
				return err
			}
			continue
		}
		for _, dir := range above {
			if os.SameFile(dir, info) {
				return fmt.Errorf("the bundle's link %s leads back to a folder above it", p.inBundle(from))
			}
		}
		if err := p.tree(from, to, append(above[:len(above):len(above)], info)); err != nil {
			return err
		}
	}
	return nil
}

// mkdir makes one folder unless it is there or planned already.
func (p *installPlan) mkdir(path string) error {
	if p.isDir(path) {
		return nil
	}
	if c, ok := p.copies[path]; ok {
		return fmt.Errorf("%s would be a folder and also the copy of %s: correct the files section of the AppSpec", path, p.inBundle(c.Source))
	}
	if _, err := os.Lstat(path); err == nil && !p.gone[path] {
		return fmt.Errorf("%s must become a folder but exists as something else; remove it, or choose another destination. Nothing was changed on this host", path)
	}
	p.made[path] = true
	p.steps = append(p.steps, mkdirOf(path))
	return nil
}

// isDir reports whether path will be a folder when the next instruction runs.
func (p *installPlan) isDir(path string) bool {
	if p.made[path] {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && info.IsDir() && !p.gone[path]
}

func (p *installPlan) copy(source, destination string) error {
	if c, ok := p.copies[destination]; ok {
		return fmt.Errorf("both %s and %s would be copied to %s: correct the files section of the AppSpec",
			p.inBundle(c.Source), p.inBundle(source), destination)
	}
	if p.made[destination] {
		return fmt.Errorf("%s would be a folder and also the copy of %s: correct the files section of the AppSpec", destination, p.inBundle(source))
	}
	info, err := os.Lstat(source)
	if err != nil {
		return fmt.Errorf("cannot read the bundle: %w", err)
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0 {
		return fmt.Errorf("%s in the bundle is neither a file, a folder nor a link", p.inBundle(source))
	}
	keep, err := p.collision(destination)
	if err != nil || keep {
		return err
	}
	c := copyOf(source, destination, info.Size())
	p.copies[destination] = c
	p.steps = append(p.steps, c)
	return nil
}

// collision decides about a file that is on the host already; it reports whether that file is to be kept.
func (p *installPlan) collision(destination string) (keep bool, err error) {
	info, err := os.Stat(destination)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || p.gone[destination] {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("cannot look at the destination: %w", err)
	}
	switch p.behavior {
	case retain:
		return true, nil
	case overwrite:
		if info.IsDir() {
			return false, fmt.Errorf("%s is a folder on this host and a file in the bundle, which OVERWRITE does not cover; nothing was changed", destination)
		}
		p.replaced = append(p.replaced, destination)
		return false, nil
	case disallow:
		return false, fmt.Errorf("the deployment failed because a specified file already exists at this location: %s. "+
			"No earlier deployment of this group put it there, and nothing was changed on this host. Remove it, or set "+
			"file_exists_behavior: OVERWRITE or RETAIN in the AppSpec (or --file-exists-behavior for one deployment)", destination)
	default:
		return false, fmt.Errorf("%s exists, and file_exists_behavior is %q: use DISALLOW, OVERWRITE or RETAIN", destination, p.behavior)
	}
}

func (p *installPlan) inBundle(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, p.archive), "/")
}
