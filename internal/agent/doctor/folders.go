package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"grapnel/internal/mount"
)

// checkFolders tries to write where the agent does.
func checkFolders(_ context.Context, s setup, r *Result) {
	for _, folder := range []struct{ key, path string }{{"root_dir", s.RootDir}, {"log_dir", s.LogDir}, {"pid_dir", s.PIDDir}} {
		there, err := mount.NearestFolder(folder.path)
		if err == nil {
			err = tryToWrite(there)
		}
		what := folder.key + " " + folder.path
		switch {
		case err != nil && there != folder.path:
			r.cannot("make "+what, err)
		case err != nil:
			r.cannot("write into "+what, err)
		case there != folder.path:
			r.saw("%s can be made", what)
		default:
			r.saw("%s is writable", what)
		}
	}
}

// tryToWrite makes a file in a folder and removes it. Nothing less tells: rights may come from ACLs and security modules, and
// a mount may be read-only.
func tryToWrite(folder string) error {
	f, err := os.CreateTemp(folder, ".doctor-*.tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteString("can be removed\n") // an empty file fits on a full disk
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// checkScripts sees whether scripts of bundles can be started where they are unpacked.
func checkScripts(_ context.Context, s setup, r *Result) {
	there, err := mount.NearestFolder(s.RootDir)
	if err != nil {
		r.cannot("look at root_dir "+s.RootDir, err)
		return
	}
	on, err := mount.At(there)
	if err != nil {
		r.cannot("look at the mount of root_dir "+s.RootDir, err)
		return
	}
	switch forbidden, err := startsNothing(there); {
	case errors.Is(err, errors.ErrUnsupported):
		r.skip("mount options are not known on this system")
	case err != nil:
		r.cannot("read the options of the mount at "+on.Point, err)
	case forbidden:
		r.fail(fmt.Sprintf("root_dir %s lies on %s, which is mounted noexec: no script of a bundle can be started", s.RootDir, on.Point),
			fmt.Sprintf("mount -o remount,exec %s (and in /etc/fstab), or move root_dir", on.Point))
	default:
		r.saw("scripts in root_dir can be started (mount %s)", on.Point)
	}
	if mask := umask(); mask != "" {
		r.saw("umask %s here, 0022 for scripts", mask)
	}
}

// umask is that of this process, "" where the kernel does not tell. To ask the usual way is to change it.
func umask() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "Umask:"); ok {
			return strings.TrimSpace(mask)
		}
	}
	return ""
}
