package install

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Another agent plans before the cleanup counts, so that the second deployment of a file meets the first one's.
// agent.md 16: 141
// users.md mistakes: 1
func TestMistakeSecondDeploymentMeetsItsOwnFiles(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install(h.revision(all, files{"app.jar": "1", "old/only": "1"}))
	h.install(h.revision(all, files{"app.jar": "2"}))
	if got := readFile(t, h.app("app.jar")); got != "2" {
		t.Errorf("app.jar = %q, want the second revision's", got)
	}
	if exists(h.app("old")) {
		t.Error("what only the first revision had is still there")
	}
}

// A second name, made by a backup for example, does not make a file somebody else's; and the backup stays.
func TestInstalledFileWithASecondName(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.MkdirAll(h.path("app"), 0o755)) // in a folder of its own the revision would meet nothing
	h.install(h.revision(all, files{"f": "1"}))
	must(t, os.Link(h.app("f"), h.path("backup")))
	h.install(h.revision(all, files{"f": "2"}))
	if readFile(t, h.app("f")) != "2" || readFile(t, h.path("backup")) != "1" {
		t.Error("want the new file, and the old one under its second name")
	}
}

// Another agent's cleanup removes the folder that the plan counted on, and the application is gone.
// users.md mistakes: 2
func TestMistakeRenamedJarKeepsItsFolder(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install(h.revision(all, files{"lib/app-1.jar": "1"}))
	h.install(h.revision(all, files{"lib/app-2.jar": "2"}))
	if exists(h.app("lib/app-1.jar")) || readFile(t, h.app("lib/app-2.jar")) != "2" {
		t.Error("want app-2.jar instead of app-1.jar")
	}
	h.install(h.revision("", nil))
	if exists(h.path("app")) {
		t.Error("the folders of the second revision were not removed by the third, which has none")
	}
}

// The folder is kept for the sake of somebody's file, which vanishes between the plan and its run.
func TestForeignFileVanishesAfterThePlan(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install(h.revision(all, files{"logs/a": "1"}))
	writeFile(t, h.app("logs/foreign"), "")
	o := h.revision(all, files{"logs/a": "2"})
	p, err := New(t.Context(), o)
	must(t, err, os.Remove(h.app("logs/foreign")), p.Run(t.Context()))
	if got := readFile(t, h.app("logs/a")); got != "2" {
		t.Errorf("logs/a = %q", got)
	}
}

// A folder that the previous Install made, and in which somebody keeps something since, stays as it is: the permissions of
// the AppSpec are for what an Install makes. Its files are replaced, and it is announced as it comes.
func TestFolderInUseStaysAsItIs(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	const spec = all + "permissions:\n  - {object: DIR/app, mode: 711, type: [directory]}\n"
	h.install(h.revision(spec, files{"used/a": "1", "used/deep/b": "1", "free/c": "1"}))
	writeFile(t, h.app("used/own"), "own")
	must(t, os.Chmod(h.app("used"), 0o700))
	o := h.revision(spec, files{"used/a": "2", "used/deep/b": "2", "used/new/d": "2", "free/c": "2"})
	p, err := New(t.Context(), o)
	must(t, err)
	var made []string
	for _, c := range p.Changes() {
		if c.Action == Mkdir {
			made = append(made, c.Path)
		}
	}
	want := []string{h.app("free"), h.app("used/deep"), h.app("used/new")}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("folders to be made (-want +got):\n%s", diff)
	}
	must(t, p.Run(t.Context()))
	for name, mode := range map[string]fs.FileMode{"used": 0o700, "used/deep": 0o711, "used/new": 0o711, "free": 0o711} {
		if m, err := lstat(h.app(name)); err != nil || m.mode.Perm() != mode {
			t.Errorf("%s has mode %v, %v; want %v", name, m.mode, err, mode)
		}
	}
	if readFile(t, h.app("used/a")) != "2" || readFile(t, h.app("used/own")) != "own" {
		t.Error("want the new file beside the host's own")
	}
	if strings.Contains(readFile(t, o.InstructionsFile), `"directory":"`+h.app("used")+`"`) {
		t.Error("the instructions make a folder that is there")
	}
	if noted := entriesOf([]byte(readFile(t, o.CleanupFile))); slices.Contains(noted, h.app("used")) {
		t.Error("the next Install would remove a folder that is not ours any more")
	}
	wantContains(t, h.refused(h.revision(all, files{"used/own": "3"})), h.app("used/own"), "already exists")
}

// Entries that were reached through a link which is not ours go as well, and the link stays.
func TestReplayThroughALink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.MkdirAll(path("real/folder"), 0o755), os.Symlink("real", path("link")))
	entries := []string{path("real"), path("link/folder")}
	for i := range 100 { // more than one hand takes at a time
		name := fmt.Sprint("link/folder/sub", i)
		must(t, os.Mkdir(path(name), 0o755), os.Symlink("nowhere", path(name+"/link")))
		entries = append(entries, path(name), path(name+"/link"))
	}
	writeFile(t, path("cleanup"), strings.Join(entries, "\n")+"\n")
	r, err := readRecord(t.Context(), path("cleanup"), slog.New(slog.DiscardHandler))
	must(t, err)
	left, err := r.replay(t.Context())
	must(t, err)
	if len(left) > 0 || len(tree(t, dir)) != 2 {
		t.Errorf("replay left %v; the folder has %v", left, tree(t, dir))
	}
}

// Cleanup goes backwards, leaves folders that hold something else, and passes over a torn last line.
// agent.md 16: 141-143
func TestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	files{"a/b/file": "", "kept/own": "", "kept/ours": "", "torn": "", "plain": ""}.write(t, dir)
	must(t, os.Symlink("nowhere", path("link")))
	writeFile(t, tempName(path("link")), "half a copy")
	cleanup := path("cleanup")
	writeFile(t, cleanup, strings.Join([]string{
		path("a"), path("a/b"), path("a/b/file"), path("kept"), path("kept/ours"), path("gone"), path("plain/below"), path("link"),
	}, "\n")+"\n"+path("torn"))
	r, err := readRecord(t.Context(), cleanup, slog.New(slog.DiscardHandler))
	must(t, err)
	var foreseen []string
	for name := range tree(t, dir) {
		if !r.goes(name) && name != cleanup {
			foreseen = append(foreseen, name)
		}
	}
	stay, err := r.replay(t.Context())
	must(t, err)
	if diff := cmp.Diff(map[string]bool{path("kept"): true}, stay); diff != "" {
		t.Errorf("folders left (-want +got):\n%s", diff)
	}
	var left []string
	for name := range tree(t, dir) {
		left = append(left, name)
	}
	slices.Sort(left)
	slices.Sort(foreseen)
	want := []string{dir, path("kept"), path("kept/own"), path("plain"), path("torn")}
	if diff := cmp.Diff(want, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, foreseen); diff != "" {
		t.Errorf("foreseen to be left (-want +got):\n%s", diff)
	}
}

func TestRelativeEntryIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"f": ""})
	writeFile(t, o.CleanupFile, "etc/passwd\n")
	wantContains(t, h.refused(o), `names "etc/passwd", which is no absolute path`)
}

// Whoever could write the cleanup file could have the agent, often root, remove any file.
func TestCleanupFileOfOthersIsNotReplayed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	writeFile(t, h.path("victim"), "")
	o := h.revision(all, files{"f": ""})
	writeFile(t, o.CleanupFile, h.path("victim")+"\n")
	must(t, os.Chmod(o.CleanupFile, 0o666))
	h.install(o)
	wantContains(t, h.log.String(), "others than the agent can write it")
	if !exists(h.path("victim")) {
		t.Error("the entry of a cleanup file that anybody can write was removed")
	}
	if m, err := lstat(o.CleanupFile); err != nil || m.mode != 0o644 {
		t.Errorf("the new cleanup file has mode %v, %v", m.mode, err)
	}
}

// An Install that failed in the middle is put right by the next.
// agent.md 16: 162
func TestNextInstallCleansUpAfterAFailure(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all+"permissions:\n  - {object: DIR/app/b, mode: 600}\n", files{"a": "1", "sub/c": "1"})
	must(t, os.Symlink("nowhere", o.Archive+"/b")) // its mode cannot be set through it
	p, err := New(t.Context(), o)
	must(t, err)
	if err := p.Run(t.Context()); err == nil {
		t.Fatal("the mode of nothing was set")
	}
	writeFile(t, o.CleanupFile, h.path("top")+"\n"+readFile(t, o.CleanupFile))
	// A crash may have come in the middle of any copy, also of one that was noted long before others.
	writeFile(t, tempName(h.path("top")), "half a copy")
	h.install(h.revision(all, files{"a": "2"}))
	if exists(tempName(h.path("top"))) {
		t.Error("half a copy was left")
	}
	want := []string{h.path("app"), h.app("a")}
	var got []string
	for name := range tree(t, h.path("app")) {
		got = append(got, name)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after the second Install (-want +got):\n%s", diff)
	}
}

// What was retained is not ours, so that the next deployment leaves it alone.
// agent.md 16: 158
func TestRetainedFileIsNotRemoved(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	writeFile(t, h.app("f"), "own")
	o := h.revision(all, files{"f": "1"})
	o.Behavior = "RETAIN"
	h.install(o)
	h.install(h.revision("", nil))
	if got := readFile(t, h.app("f")); got != "own" {
		t.Errorf("the file holds %q, want what the host had", got)
	}
}

// The AppSpec's behaviour wins over the deployment's.
func TestBehaviors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ deployment, spec, want string }{
		{"OVERWRITE", "", "new"}, {"RETAIN", "", "own"}, {"DISALLOW", "OVERWRITE", "new"}, {"OVERWRITE", "RETAIN", "own"},
	} {
		h := newHost(t)
		writeFile(t, h.app("f"), "own")
		spec := all
		if test.spec != "" {
			spec += "file_exists_behavior: " + test.spec + "\n"
		}
		o := h.revision(spec, files{"f": "new"})
		o.Behavior = test.deployment
		h.install(o)
		if got := readFile(t, h.app("f")); got != test.want {
			t.Errorf("deployment %q, AppSpec %q: the file holds %q", test.deployment, test.spec, got)
		}
	}
}

// Files that were changed on the host since their Install are named before they go (users.md row 23); a chmod or chown by a
// hook is no such change.
func TestEditedFilesAreNamed(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	first := h.revision(all, files{"same": "1", "moved": "1", "written": "1", "owned": "1"})
	past := time.Now().Add(-time.Hour)
	for _, name := range []string{"same", "moved", "written", "owned"} {
		must(t, os.Chtimes(filepath.Join(first.Archive, name), past, past))
	}
	h.install(first)
	waitForTheClock(t, first.CleanupFile)
	writeFile(t, h.app("written"), "by hand")
	writeFile(t, h.path("backup"), "older")
	must(t, os.Chtimes(h.path("backup"), past.Add(-time.Hour), past.Add(-time.Hour)), os.Rename(h.path("backup"), h.app("moved")), os.Chmod(h.app("owned"), 0o600))

	second := h.revision(all, files{"same": "2"})
	p, err := Preview(t.Context(), second)
	must(t, err)
	edited := map[string]bool{}
	for _, c := range p.Changes() {
		if c.Edited {
			edited[c.Path] = true
		}
	}
	if diff := cmp.Diff(map[string]bool{h.app("moved"): true, h.app("written"): true}, edited); diff != "" {
		t.Errorf("edited (-want +got):\n%s", diff)
	}
	h.install(second)
	wantContains(t, h.log.String(), "were changed on this host", "count=2", h.app("moved"), h.app("written"))
}

// waitForTheClock returns once a new file is later than the one at path: the kernel's clock for files advances in steps.
func waitForTheClock(t *testing.T, path string) {
	t.Helper()
	m, err := lstat(path)
	must(t, err)
	probe := filepath.Join(t.TempDir(), "probe")
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		writeFile(t, probe, "")
		if now, err := lstat(probe); err == nil && now.mtime > m.mtime {
			return
		}
	}
	t.Fatal("the clock of the file system stands still")
}

// Another agent writes in place: "text file busy".
// users.md mistakes: 10
func TestMistakeRunningProgramIsBusy(t *testing.T) {
	t.Parallel()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs sleep: apt-get install coreutils")
	}
	h := newHost(t)
	writeFile(t, h.app("server"), readFile(t, sleep))
	must(t, os.Chmod(h.app("server"), 0o755))
	running := exec.Command(h.app("server"), "60")
	must(t, running.Start())
	defer running.Wait()         //nolint:errcheck // it is killed
	defer running.Process.Kill() //nolint:errcheck // it may have ended
	h.install(h.revision("file_exists_behavior: OVERWRITE\n"+all, files{"server": "new"}))
	if got := readFile(t, h.app("server")); got != "new" {
		t.Error("the program was not replaced")
	}
}
