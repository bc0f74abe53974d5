package bundle

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// trail keeps open the folders on the way to the one that was needed last. Archives hold together what lies in one folder, so
// the next entry goes there as well, or into a new folder within it, or into one on the way: each folder is opened once, by the
// one it lies in. Where symbolic links are on the way, os.Root decides. A trail is used by one goroutine.
type trail struct {
	root   *os.Root
	levels []level // the first is root's top; every other one lies in the one before, at whatever depth
}

// level is an open folder of a trail.
type level struct {
	name   string
	linked bool // it was reached through a symbolic link, which a later entry may replace: nothing goes on from here
	*folder
}

// maxLevels bounds the open folders of a trail: a name can have two thousand elements.
const maxLevels = 64

// locate returns the open folder that name belongs into, made if need be, and the last part of name. The folder stays open
// until the next call.
func (t *trail) locate(name string) (*folder, string, error) {
	dir, base := path.Split(name)
	if err := t.follow(path.Clean(dir)); err != nil {
		return nil, "", err
	}
	return t.last().folder, base, nil
}

// follow makes the folder at name the last level.
func (t *trail) follow(name string) error {
	if len(t.levels) == 0 {
		if err := t.jump("."); err != nil {
			return err
		}
	}
	for !t.last().leadsTo(name) {
		t.last().close()
		t.levels = t.levels[:len(t.levels)-1]
	}
	for t.last().name != name {
		if err := t.enter(t.last().next(name)); err != nil {
			return t.jump(name)
		}
	}
	return nil
}

// leadsTo reports whether name is this folder or lies below it.
func (l *level) leadsTo(name string) bool {
	if l.name == name || l.name == "." {
		return true
	}
	return !l.linked && strings.HasPrefix(name, l.name) && name[len(l.name)] == '/'
}

// next returns the name of the folder in l that leads to name.
func (l *level) next(name string) string {
	begin := 0
	if l.name != "." {
		begin = len(l.name) + 1
	}
	if end := strings.IndexByte(name[begin:], '/'); end >= 0 {
		return name[:begin+end]
	}
	return name
}

// enter goes on to the folder at name in the last one, which is made if it is missing.
func (t *trail) enter(name string) error {
	parent, base := t.last(), path.Base(name)
	dir, err := parent.open(base)
	if errors.Is(err, fs.ErrNotExist) {
		if err := parent.mkdir(base, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		dir, err = parent.open(base)
	}
	if err != nil {
		return err
	}
	t.push(level{name: name, folder: dir})
	return nil
}

// jump goes to the folder at name as os.Root finds it, through symbolic links that stay below root and no others.
func (t *trail) jump(name string) error {
	dir, err := openFolder(t.root, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := t.root.MkdirAll(name, 0o755); err != nil {
			return err
		}
		dir, err = openFolder(t.root, name)
	}
	if err != nil {
		return err
	}
	t.push(level{name: name, linked: name != ".", folder: dir})
	return nil
}

func (t *trail) push(l level) {
	t.levels = append(t.levels, l)
	if len(t.levels) > maxLevels {
		t.levels[1].close()
		t.levels = slices.Delete(t.levels, 1, 2)
	}
}

func (t *trail) last() *level { return &t.levels[len(t.levels)-1] }

func (t *trail) close() {
	for _, l := range t.levels {
		l.close()
	}
	t.levels = nil
}
