package install

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// somebody is a user that is neither root nor the agent's.
const somebody = 65534

func needsRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run the tests as root to make files of other users")
	}
}

// Whoever owns a destination could have the agent, often root, write and give away files anywhere.
func TestLinkOfSomebodyElse(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	const spec = all + "permissions:\n  - {object: DIR/app, owner: daemon}\n"
	for _, through := range []string{"conf", "mine"} { // a link, and a link of the agent's that leads to it
		h := newHost(t)
		must(t, os.MkdirAll(h.path("app"), 0o755), os.MkdirAll(h.path("etc"), 0o755))
		must(t, os.Symlink(h.path("etc"), h.app("conf")), os.Lchown(h.app("conf"), somebody, somebody), os.Symlink("conf", h.app("mine")))
		o := h.revision(spec, files{through + "/job": "1"})
		o.Hardening.RejectSymlinkPermissionTargets = true
		wantContains(t, h.refused(o), h.app("conf")+" is a symbolic link of somebody else", "(owned by ", "reject_symlink_permission_targets")
		o.Hardening.RejectSymlinkPermissionTargets = false
		h.install(o)
		wantContains(t, h.log.String(), "neither to root nor to the agent's user", h.app("conf"))
		if !exists(h.path("etc/job")) {
			t.Error("by default links are followed, as by stock agents")
		}
	}
}

// The flag trusts the agent's own links, and what comes between the plan and its run.
func TestLinkComesAfterThePlan(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	h := newHost(t)
	must(t, os.MkdirAll(h.path("disk/conf"), 0o755), os.Symlink("disk", h.path("app")))
	o := h.revision(all, files{"conf/job": "1"})
	o.Hardening.RejectSymlinkPermissionTargets = true
	h.install(o)
	o = h.revision(all, files{"conf/job": "2"})
	o.Hardening.RejectSymlinkPermissionTargets = true
	p, err := New(t.Context(), o)
	must(t, err, os.Rename(h.path("disk/conf"), h.path("disk/old")), os.Mkdir(h.path("etc"), 0o755))
	must(t, os.Symlink("../etc", h.path("disk/conf")), os.Lchown(h.path("disk/conf"), somebody, somebody))
	if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "is a symbolic link of somebody else") {
		t.Errorf("Run = %v", err)
	}
	if exists(h.path("etc/job")) || readFile(t, h.path("disk/old/job")) != "1" {
		t.Error("the refused Install changed something")
	}
}

// A folder of ours that became a link would have the next Install remove other people's files.
func TestReplayDoesNotLeaveThroughALink(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.MkdirAll(h.path("app"), 0o755))
	h.install(h.revision(all, files{"conf/backup": "1", "conf/deep/x": "1", "top": "1"}))
	files{"victim/backup": "own", "victim/deep/x": "own"}.write(t, h.dir)
	must(t, os.Rename(h.app("conf"), h.path("old")), os.Symlink(h.path("victim"), h.app("conf")))
	h.install(h.revision(all, files{"conf/backup": "2"}))
	if readFile(t, h.path("victim/backup")) != "own" || readFile(t, h.path("victim/deep/x")) != "own" {
		t.Error("something behind the link was changed")
	}
	if m, err := lstat(h.app("conf")); err != nil || !m.mode.IsDir() || readFile(t, h.app("conf/backup")) != "2" || exists(h.app("top")) {
		t.Errorf("conf is %v, %v; want a new folder in the place of the link, and no top", m.mode, err)
	}
	wantContains(t, h.log.String(), "were replaced by symbolic links", "count=3", h.app("conf/backup"))
}

// The temporary name follows from the file's: others know it.
func TestTemporaryNameIsTaken(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.MkdirAll(h.path("app"), 0o755))
	h.install(h.revision(all, files{"prog": "1", "other": "1"}))
	temp := tempName(h.app("prog"))
	writeFile(t, temp+"/x", "own")
	if os.Geteuid() == 0 {
		writeFile(t, tempName(h.app("other")), "own")
		must(t, os.Lchown(tempName(h.app("other")), somebody, somebody))
	}
	o := h.revision(all, files{"prog": "2", "other": "2"})
	h.install(o)
	if readFile(t, h.app("prog")) != "2" || readFile(t, h.app("other")) != "2" || readFile(t, temp+"/x") != "own" {
		t.Error("want the new files beside the folder")
	}
	if os.Geteuid() == 0 && !exists(tempName(h.app("other"))) {
		t.Error("somebody's file was removed")
	}
	if slices.ContainsFunc(entriesOf([]byte(readFile(t, o.CleanupFile))), func(e string) bool { return strings.Contains(e, ".codedeploy-") }) {
		t.Error("the cleanup file names a temporary name that is no more")
	}
}

// The agent's own records are no destination, whatever name they have.
func TestDestinationInTheDeploymentRoot(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.Symlink(h.dir, filepath.Join(h.dir, "alias")))
	for _, destination := range []string{"DIR/root", "DIR/root/deployment-instructions", "DIR/alias/root/new", "DIR"} {
		o := h.revision("files:\n  - {source: /, destination: "+destination+"}\n", files{"root/g-cleanup": "/etc/passwd\n"})
		o.Root = h.path("root")
		wantContains(t, h.refused(o), h.path("root"), "where the agent keeps its own records")
	}
	o := h.revision(all, files{"f": "1"})
	o.Root = h.path("ap")
	h.install(o)
}

// Unknown names and what is missing are told at once.
func TestAllMistakesOfAnAppSpecAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	text := h.refused(h.revision("files:\n  - {source: app.jr, destination: DIR/app}\npermissions:\n"+
		"  - {object: DIR/app, owner: no-such-user, group: no-such-group}\n", files{"app.jar": ""}))
	wantContains(t, text, `"app.jr" is not in the bundle. Did you mean`, `there is no user "no-such-user"`, `there is no group "no-such-group"`)
	empty := h.refused(h.revision("files:\n  - {source: x, destination: DIR/app}\n", nil))
	if strings.Contains(empty, "..") {
		t.Errorf("two dots: %s", empty)
	}
}

// What another group installed is not for this one to remove.
func TestFileOfAnotherGroup(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	other := h.revision(all, files{"f": "other"})
	other.CleanupFile = h.path("records/group-2-cleanup")
	h.install(other)
	for _, content := range []files{{"f": "1"}, {"f/x": "1"}} {
		text := h.refused(h.revision(all, content))
		wantContains(t, text, "What the deployment group group-2 installed", "deploy it with that group, or change the destination")
		if strings.Contains(strings.ToLower(text), "remove it") {
			t.Errorf("the advice breaks the other group: %s", text)
		}
	}
}
