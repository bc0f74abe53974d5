package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/account"
)

// agent.md 16: 159, 160
func TestCopyKeepsModeTimesOwnerAndLinks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision("file_exists_behavior: OVERWRITE\n"+all, files{"tool": "#!/bin/sh\n", "folder/x": "x"})
	then := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	owner := ids{os.Getuid(), os.Getgid()}
	if os.Geteuid() == 0 {
		owner = ids{1, 2}
	}
	must(t,
		os.Lchown(o.Archive+"/tool", owner.uid, owner.gid),
		os.Chmod(o.Archive+"/tool", 0o751|fs.ModeSetuid), os.Chtimes(o.Archive+"/tool", then, then),
		os.Symlink("tool", o.Archive+"/link"), os.Symlink("gone", o.Archive+"/dangling"), os.Symlink("folder", o.Archive+"/folder2"),
		os.MkdirAll(h.path("app"), 0o755), os.Symlink("/elsewhere", h.app("link")), os.Symlink(h.path("outside"), h.app("tool")),
	)
	writeFile(t, h.path("outside"), "not ours")
	h.install(o)
	m, err := lstat(h.app("tool"))
	must(t, err)
	if m.mode != 0o751|fs.ModeSetuid || m.mtime != then.UnixNano() || m.atime != then.UnixNano() || (ids{m.uid, m.gid}) != owner {
		t.Errorf("tool is %+v; want mode, times and owner of the bundle's", m)
	}
	if got := readFile(t, h.path("outside")); got != "not ours" {
		t.Errorf("the copy went through a link of the host: %q", got)
	}
	for name, want := range map[string]string{"link": "tool", "dangling": "gone"} {
		if got, err := os.Readlink(h.app(name)); got != want {
			t.Errorf("%s links to %q, %v; want %q", name, got, err, want)
		}
	}
	if m, err := lstat(h.app("folder2")); err != nil || !m.mode.IsDir() || readFile(t, h.app("folder2/x")) != "x" {
		t.Errorf("a link to a folder became %v, %v; want a folder", m.mode, err)
	}
}

// agent.md 16: 161
func TestSlashIsTheWholeBundle(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install(h.revision(all, files{"appspec.yml": "spec", "a/b": "b"}))
	if readFile(t, h.app("appspec.yml")) != "spec" || readFile(t, h.app("a/b")) != "b" {
		t.Error("something was left out")
	}
}

// agent.md 16: 147, 148
func TestFolderOfTheHostIsNotOurs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.MkdirAll(h.path("app"), 0o700))
	o := h.revision(all, files{"sub/f": "1"})
	h.install(o)
	want := h.app("sub") + "\n" + h.app("sub/f") + "\n"
	if diff := cmp.Diff(want, readFile(t, o.CleanupFile)); diff != "" {
		t.Errorf("cleanup file (-want +got):\n%s", diff)
	}
	if m, err := lstat(h.path("app")); err != nil || m.mode.Perm() != 0o700 {
		t.Errorf("the host's folder has mode %v, %v", m.mode, err)
	}
}

// Random trees of files of all sizes, with links and holes, arrive as they are, and go without a trace.
func TestCopiesAreFaithful(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		h := &host{TB: t, dir: filepath.Join(t.TempDir(), "h")}
		must(t, os.RemoveAll(h.dir))
		o := h.revision(all, nil)
		for i := range rapid.IntRange(0, 8).Draw(rt, "files") {
			path := filepath.Join(o.Archive, rapid.SampledFrom([]string{"", "a", "a/b", "c"}).Draw(rt, "folder"), fmt.Sprint("f", i))
			size := rapid.SampledFrom([]int{0, 1, 4095, 128<<10 - 1, 128 << 10, 128<<10 + 1, 300_000}).Draw(rt, "size")
			writeFile(t, path, strings.Repeat("x", size))
			if rapid.Bool().Draw(rt, "hole") {
				must(t, os.Truncate(path, int64(size+rapid.IntRange(0, 1<<20).Draw(rt, "hole size"))))
			}
			must(t, os.Chmod(path, fs.FileMode(rapid.IntRange(0o400, 0o777).Draw(rt, "mode"))))
			if rapid.Bool().Draw(rt, "link") {
				must(t, os.Symlink(filepath.Base(path), path+".link"))
			}
		}
		h.install(o)
		want, got := contents(t, o.Archive), contents(t, h.path("app"))
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("(-archive +installed):\n%s", diff)
		}
		h.install(h.options(o.Archive, ""))
		if exists(h.path("app")) {
			rt.Fatal("something was not removed")
		}
	})
}

// contents is tree by relative path, without what a copy does not take over.
func contents(t *testing.T, dir string) map[string]string {
	found := map[string]string{}
	for path := range tree(t, dir) {
		m, err := lstat(path)
		must(t, err)
		name, err := filepath.Rel(dir, path)
		must(t, err)
		switch {
		case m.mode.IsRegular():
			found[name] = fmt.Sprint(m.mode, m.mtime, len(readFile(t, path)), strings.TrimRight(readFile(t, path), "\x00"))
		case m.isLink():
			found[name], err = os.Readlink(path)
			must(t, err)
		default:
			found[name] = "folder"
		}
	}
	return found
}

func TestHolesStayHoles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"image": "head"})
	f, err := os.OpenFile(o.Archive+"/image", os.O_WRONLY, 0)
	must(t, err, f.Truncate(1<<30))
	_, err = f.WriteAt([]byte("tail"), 1<<29)
	must(t, err, f.Close())
	if m, err := lstat(o.Archive + "/image"); err != nil || m.allocated > 1<<20 {
		t.Skip("needs a file system with holes in files: run the tests on ext4, xfs, btrfs or tmpfs")
	}
	h.install(o)
	m, err := lstat(h.app("image"))
	must(t, err)
	if m.size != 1<<30 || m.allocated > 1<<20 {
		t.Errorf("the copy has %d bytes, of which %d are allocated", m.size, m.allocated)
	}
	out, err := os.Open(h.app("image"))
	must(t, err)
	defer out.Close()
	got := make([]byte, 4)
	if _, err := out.ReadAt(got, 1<<29); err != nil || string(got) != "tail" {
		t.Errorf("after the hole: %q, %v", got, err)
	}
}

// The end of the context ends an Install between two files, and what it has made goes with the next.
func TestCancelledInstall(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"a": "1", "b": "1"})
	p, err := New(t.Context(), o)
	must(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped for the test")
	cancel(stop)
	if err := p.Run(ctx); !errors.Is(err, stop) {
		t.Errorf("Run = %v, want the cause", err)
	}
	h.install(h.revision(all, files{"a": "2"}))
	if readFile(t, h.app("a")) != "2" || exists(h.app("b")) {
		t.Error("want the second revision only")
	}
}

// A file that is replaced is noted only when its copy begins: an Install that fails before leaves it to its owner.
func TestFailedInstallLeavesForeignFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	content := files{"aaa": "1"}
	for i := range 200 {
		content[fmt.Sprintf("f%03d", i)] = "new"
		writeFile(t, h.app(fmt.Sprintf("f%03d", i)), "own")
	}
	o := h.revision("file_exists_behavior: OVERWRITE\n"+all, content)
	p, err := New(t.Context(), o)
	must(t, err, os.Remove(o.Archive+"/aaa"), os.Remove(o.Archive+"/f007"))
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot copy to "+h.path("app")) {
		t.Fatalf("Run = %v, want the missing file named", err)
	}
	noted := entriesOf([]byte(readFile(t, o.CleanupFile)))
	for i := range 200 {
		path := h.app(fmt.Sprintf("f%03d", i))
		if readFile(t, path) == "own" && slices.Contains(noted, path) {
			t.Errorf("%s is not ours, but the next Install would remove it", path)
		}
	}
	var litter []string
	for path := range tree(t, h.path("app")) {
		if strings.HasPrefix(filepath.Base(path), ".codedeploy-") {
			litter = append(litter, path)
		}
	}
	if len(litter) > 0 {
		t.Errorf("left behind: %v", litter)
	}
}

// What somebody puts into a folder that was just made does not stop the Install.
func TestFileAppearsInANewFolder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"f": "1"})
	p, err := New(t.Context(), o)
	must(t, err)
	writeFile(t, h.path("elsewhere"), "own")
	must(t, os.Mkdir(h.path("app"), 0o755), os.Symlink(h.path("elsewhere"), h.app("f")), p.Run(t.Context()))
	if readFile(t, h.app("f")) != "1" || readFile(t, h.path("elsewhere")) != "own" {
		t.Error("the copy went through the link")
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run the tests as root to change owners")
	}
	daemon, err := account.UserID("daemon")
	must(t, err)
	h := newHost(t)
	writeFile(t, h.app("before/own"), "")
	spec := all + `permissions:
  - {object: DIR/app, pattern: "*.sh", except: ["keep*"], mode: 4750, type: [file]}
  - {object: DIR/app/sub, mode: "600", owner: daemon, group: daemon, type: [file]}
  - {object: DIR/app/owned, mode: "4755", owner: daemon}
  - {object: DIR/app/sub, mode: "711", group: daemon, type: [directory]}
  - {object: DIR/app/before, mode: "000"}
`
	content := files{"run.sh": "x", "keep.sh": "x", "sub/deep/data": "x", "before/new": "x", "owned": "x"}
	want := map[string]fs.FileMode{
		"run.sh": 0o750 | fs.ModeSetuid, "keep.sh": 0o644, "sub/deep/data": 0o600, "sub/deep": 0o711 | fs.ModeDir, "before/new": 0, "before/own": 0o644,
		"owned": 0o755, // chown comes last and clears the set-id bit, as with stock agents
	}
	check := func(h *host) {
		t.Helper()
		for name, mode := range want {
			if m, err := lstat(h.app(name)); err != nil || m.mode != mode {
				t.Errorf("%s has mode %v, %v; want %v", name, m.mode, err, mode)
			}
		}
		for name, owner := range map[string]ids{
			"sub/deep/data": {int(daemon), int(daemon)}, "sub/deep": {0, int(daemon)}, "owned": {int(daemon), 0}, "run.sh": {0, 0},
		} {
			if m, err := lstat(h.app(name)); err != nil || (ids{m.uid, m.gid}) != owner {
				t.Errorf("%s is owned by %d:%d, %v; want %v", name, m.uid, m.gid, err, owner)
			}
		}
	}
	h.install(h.revision(spec, content))
	check(h)

	// With a link among the objects everything is set in the order of the AppSpec, after all copies.
	o := h.revision(spec+"  - {object: DIR/app/link, mode: \"640\"}\n", content)
	must(t, os.Symlink("keep.sh", o.Archive+"/link"))
	want["keep.sh"] = 0o640
	h.install(o)
	check(h)

	o.Hardening.RejectSymlinkPermissionTargets = true
	wantContains(t, h.refused(o), "app/link is a symbolic link, whose target reject_symlink_permission_targets")
	last := h.revision(spec, content)
	last.Hardening.RejectSymlinkPermissionTargets = true
	want["keep.sh"] = 0o644
	h.install(last)
	check(h)
}

// Setting permissions takes system calls and no process: none could be started here.
// agent.md 17: 14
func TestPermissionsStartNoProcess(t *testing.T) {
	h := newHost(t)
	if os.Geteuid() != 0 || !keepsACLs(h.dir) {
		t.Skip("needs root and access control lists: run the tests as root, with TMPDIR on ext4, xfs or tmpfs")
	}
	t.Setenv("PATH", h.path("empty"))
	content := files{}
	for i := range 500 {
		content[fmt.Sprintf("d%d/f%d", i%50, i)] = "x"
	}
	h.install(h.revision(all+"permissions:\n  - {object: DIR/app, mode: \"640\", owner: root, acls: [\"root:r\"], type: [file]}\n", content))
	for name := range content {
		if m, err := lstat(h.app(name)); err != nil || m.mode != 0o640 {
			t.Fatalf("%s has mode %v, %v", name, m.mode, err)
		}
	}
}

// The memory of an Install does not grow with the size of its files.
func TestLargeFilesTakeNoMemory(t *testing.T) {
	h := newHost(t)
	o := h.revision(all, files{"big": strings.Repeat("0123456789abcdef", 4<<20)})
	p, err := New(t.Context(), o)
	must(t, err)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, p.Run(t.Context()))
	runtime.ReadMemStats(&after)
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 8<<20 {
		t.Errorf("copying 64 MiB took %d bytes of memory", taken)
	}
}
