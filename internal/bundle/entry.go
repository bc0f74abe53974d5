package bundle

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// maxName is the longest name of an entry in bytes. Linux accepts no longer path, and without a limit one name of a tar
// archive could ask for half a million nested folders.
const maxName = 4096

// entry is one member of an archive of either format.
type entry struct {
	name     string      // as the archive has it
	mode     fs.FileMode // type, permissions and set-id bits
	hardLink bool        // link is the name of an earlier entry
	link     string      // target of a symbolic or hard link
	size     int64       // of a regular file, as declared; no more than that is ever read from content
	modified time.Time
	uid, gid int // both -1 when owners are not restored

	owner, group string                        // names of the same, "" when there are none
	major, minor uint32                        // of a device
	open         func() (io.ReadCloser, error) // content of a regular file; valid until the next entry
}

// regular reports whether the entry brings content of its own.
func (e *entry) regular() bool { return !e.hardLink && e.mode.IsRegular() }

// place returns where in the archive an entry belongs, in the form that os.Root wants, "." for the archive's own top and for
// what is to be left out, or an *Error if the entry is refused. What the entry is made from is not looked at: of a symbolic
// link in a zip the target is not known yet.
func (o *Options) place(e *entry) (string, error) {
	switch special := e.mode.Type() &^ (fs.ModeDir | fs.ModeSymlink); {
	case o.RejectLinks && (e.hardLink || e.mode.Type() == fs.ModeSymlink):
		return "", &Error{Message: "it is a link, and this host rejects those (reject_symlinks_in_bundle)"}
	case o.RejectSetID && e.regular() && e.mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		return "", &Error{Message: fmt.Sprintf("its mode %v sets the user or group of who runs it, and this host rejects that (reject_unsafe_permissions_in_bundle)", e.mode)}
	case !e.hardLink && special != 0 && !(o.Permissive && e.makeable()):
		return "", &Error{Message: "it is a device, pipe or socket, which a bundle must not hold"}
	}
	name := e.name
	if o.Permissive && !o.RejectTraversal {
		if climbs(name) {
			if o.Notice != nil {
				o.Notice(name, `left out: its name holds ".."`)
			}
			return ".", nil
		}
		if name = strings.TrimLeft(name, "/"); name == "" && e.name != "" {
			return ".", nil
		}
	}
	return inside(name)
}

// makeable reports whether an entry is a device or pipe that tar would make.
func (e *entry) makeable() bool { return e.mode&(fs.ModeIrregular|fs.ModeSocket) == 0 }

// ownMode is what the entry gets. Without its owner, a set-id bit would hand the agent's own rights to whoever runs the file.
func (e *entry) ownMode() fs.FileMode {
	if e.restoresOwner() {
		return e.mode & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	}
	return e.mode & (fs.ModePerm | fs.ModeSticky)
}

func (e *entry) restoresOwner() bool { return e.uid >= 0 && e.gid >= 0 }

// climbs reports whether a name has ".." for an element.
func climbs(name string) bool { return slices.Contains(strings.Split(name, "/"), "..") }

// inside returns the name in the form that os.Root wants, or an *Error if it does not stay below the archive's top. A ".."
// that would stay inside is refused as well: tar refuses it, and through a symbolic link it may not stay inside.
func inside(name string) (string, error) {
	switch {
	case name == "":
		return "", &Error{Message: "its name is empty"}
	case len(name) > maxName:
		return "", &Error{Message: fmt.Sprintf("its name is longer than %d bytes", maxName)}
	case strings.Contains(name, "\x00"):
		return "", &Error{Message: "its name holds a NUL byte"}
	case strings.HasPrefix(name, "/"):
		return "", &Error{Message: "its name is absolute; pack with names relative to the bundle's top"}
	case climbs(name):
		return "", &Error{Message: `its name holds ".." and would leave the archive; pack with names relative to the bundle's top`}
	}
	return path.Clean(name), nil
}

// leaves reports whether the symbolic link at name points out of the archive, going by the names alone.
func leaves(name, target string) bool {
	end := path.Join(path.Dir(name), target)
	return path.IsAbs(target) || end == ".." || strings.HasPrefix(end, "../")
}

// notAFolder says why a folder cannot be made where something else is.
func notAFolder(isLink bool) error {
	if isLink {
		return &Error{Message: "it is a folder here but a symbolic link earlier in the archive"}
	}
	return &Error{Message: "it is in the archive both as a file and as a folder"}
}
