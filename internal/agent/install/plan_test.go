package install

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A plan that does not stand changes nothing: files of the old revision, cleanup file and instructions stay byte for byte.
// agent.md 16: 137, 138, 150, 151, 157
func TestRefusals(t *testing.T) {
	t.Parallel()
	const copyB = "files:\n  - {source: b, destination: DIR/app}\n"
	for _, test := range []struct {
		name, spec string
		content    files
		want       []string
	}{
		{"a file in the way", all, files{"a": "2", "own": "2"}, []string{
			"the deployment failed because a specified file already exists at this location: ", "/app/own (owned by ", "OVERWRITE or RETAIN",
		}},
		{"a folder in the way", "file_exists_behavior: OVERWRITE\n" + all, files{"folder": "2"}, []string{"app/folder is a folder on this host and a file in the bundle"}},
		{"a file where a folder must be", all, files{"own/x": "2"}, []string{"app/own must become a folder but exists as something else"}},
		{"a folder in use where a file must be", all, files{"used": "2"}, []string{"already exists at this location", "/app/used"}},
		{"a missing source", "files:\n  - {source: app.jr, destination: DIR/app}\n", files{"target/app.jar": ""}, []string{
			`files (appspec.yml line 4): the source "app.jr" is not in the bundle. Did you mean "target/app.jar"`,
		}},
		{"copy and copy", all + "  - {source: b/a, destination: DIR/app}\n", files{"a": "", "b/a": ""}, []string{"both a and b/a would be copied to"}},
		{"copy and folder", all + "  - {source: b, destination: DIR/app/a}\n", files{"a": "", "b/x": ""}, []string{"/app/a would be a folder and also the copy of a"}},
		{"folder and copy", "files:\n  - {source: b, destination: DIR/app/a}\n  - {source: a, destination: DIR/app}\n", files{"a": "", "b/x": ""}, []string{
			"/app/a would be a folder and also the copy of a",
		}},
		{"unknown behavior", all, files{"own": "2"}, []string{`file_exists_behavior is "MAYBE": use DISALLOW, OVERWRITE or RETAIN`}},
		{"an unknown owner", copyB + "permissions:\n  - {object: DIR/app, owner: nobody-of-this-name}\n", files{"b": ""}, []string{
			`permissions (appspec.yml line 6): owner: there is no user "nobody-of-this-name"`,
		}},
		{"an unknown group", copyB + "permissions:\n  - {object: DIR/app, group: nobody-of-this-name}\n", files{"b": ""}, []string{`there is no group`}},
		{"an unknown name in an ACL", copyB + "permissions:\n  - {object: DIR/app, acls: [\"g:nobody-of-this-name:r\"]}\n", files{"b": ""}, []string{
			`acls: there is no group "nobody-of-this-name"`,
		}},
		{"permissions twice", copyB + "permissions:\n  - {object: DIR/app, mode: 600}\n  - {object: DIR/app/b, mode: 644}\n", files{"b": ""}, []string{
			"the entries of lines 6 and 7 both set the permissions of",
		}},
		{"a pattern on a file", copyB + "permissions:\n  - {object: DIR/app/b, pattern: \"*\"}\n", files{"b": ""}, []string{"app/b is a file, so pattern and except cannot apply"}},
		{"except on a file", copyB + "permissions:\n  - {object: DIR/app/b, except: [c]}\n", files{"b": ""}, []string{"app/b is a file, so pattern and except cannot apply"}},
		{"default ACL on a file", copyB + "permissions:\n  - {object: DIR/app/b, acls: [\"d:daemon:r\"]}\n", files{"b": ""}, []string{"default entries in acls are for folders"}},
		{"default ACL on a folder's file", copyB + "permissions:\n  - {object: DIR/app, acls: [\"d:daemon:r\"]}\n", files{"b": ""}, []string{"default entries in acls are for folders"}},
		{"a newline in a name", all, files{"a\nb": ""}, []string{`a\nb" holds a newline`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			h.install(h.revision(all, files{"a": "1", "sub/x": "1", "used/default": "1"}))
			files{"app/own": "own", "app/folder/own": "own", "app/used/own": "own"}.write(t, h.dir)
			o := h.revision(test.spec, test.content)
			if strings.Contains(test.name, "unknown behavior") {
				o.Behavior = "MAYBE"
			}
			wantContains(t, h.refused(o), test.want...)
		})
	}
}

func TestTooLongAName(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	name := strings.Repeat("x", 255)
	h.install(h.revision(all, files{name: "long", name[1:] + "y": "other"}))
	if readFile(t, h.app(name)) != "long" || readFile(t, h.app(name[1:]+"y")) != "other" {
		t.Error("long names got the wrong content")
	}
	wantContains(t, h.refused(h.revision("files:\n  - {source: f, destination: DIR/"+name+"x}\n", files{"f": ""})), "has 256 bytes")
}

// People see all of what is in the way at once, up to a length that still travels, and whose it is.
func TestAllConflictsAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	other := h.revision(all, files{"f00": "other"})
	other.CleanupFile = h.path("records/group-2-cleanup")
	h.install(other)
	content := files{}
	for i := range 14 {
		content[fmt.Sprintf("f%02d", i)] = "1"
	}
	content.write(t, h.path("app"))
	o := h.revision(all, content)
	text := h.refused(o)
	wantContains(t, text, "/app/f00 (owned by ", "installed by the deployment group group-2)", "/app/f09", "; and 4 more")
	if strings.Contains(text, "f10") || strings.Count(text, "already exists") != 2 || strings.Count(text, "RETAIN") != 1 {
		t.Errorf("the message is too long: %s", text)
	}
	p, err := Preview(t.Context(), o)
	must(t, err)
	if got := len(p.Changes()); got != 14 {
		t.Errorf("the preview has %d changes, want 14 conflicts", got)
	}
}

// A file that is reached through a link now is the previous Install's all the same.
func TestDestinationThroughALink(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.MkdirAll(h.path("disk"), 0o755))
	h.install(h.revision("files:\n  - {source: /, destination: DIR/disk}\n", files{"f": "1", "sub/g": "1"}))
	must(t, os.Symlink("disk", h.path("app")))
	h.install(h.revision(all, files{"f": "2", "sub/g": "2"}))
	if readFile(t, h.path("disk/f")) != "2" || readFile(t, h.path("disk/sub/g")) != "2" {
		t.Error("the files behind the link were not replaced")
	}
	if m, err := lstat(h.path("app")); err != nil || !m.isLink() {
		t.Errorf("the link became %v, %v", m.mode, err)
	}
}

func TestBundleIsItsOwnDestination(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision("file_exists_behavior: OVERWRITE\nfiles:\n  - {source: /, destination: DIR/archive1}\n", files{"f": "1"})
	wantContains(t, h.refused(o), "archive1/f is the file of the bundle itself")
}

func TestLinkBackUpIsRefused(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"a/b/c": ""})
	must(t, os.Symlink("..", filepath.Join(o.Archive, "a/b/up")))
	wantContains(t, h.refused(o), "a/b/up leads back to a folder above it")
}

// A source outside of the bundle is taken, as by stock agents, unless the flag forbids it.
func TestSourceOutsideTheBundle(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	writeFile(t, h.path("outside/f"), "outside")
	o := h.revision("files:\n  - {source: ../outside, destination: DIR/app}\n", nil)
	h.install(o)
	if got := readFile(t, h.app("f")); got != "outside" {
		t.Errorf("f = %q", got)
	}
	wantContains(t, h.log.String(), "lies outside the bundle", "../outside")
	o.Hardening.RejectPathTraversal = true
	wantContains(t, h.refused(o), `the source "../outside" climbs out`, "reject_path_traversal_in_bundle")
	up := h.revision("files:\n  - {source: /, destination: /../../etc}\n", nil)
	up.Hardening.RejectPathTraversal = true
	wantContains(t, h.refused(up), `the destination "/../../etc" climbs out`)
}

func TestUnsafePermissions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all+"permissions:\n  - {object: DIR/app/b, mode: 4755}\n", files{"a": "", "b": ""})
	must(t, os.Chmod(o.Archive+"/a", 0o755|os.ModeSetgid))
	o.Hardening.RejectUnsafePermissions = true
	wantContains(t, h.refused(o), "a in the bundle has a set-id bit (mode 2755)", "line 6): mode 4755 has a set-id bit", "reject_unsafe_permissions_in_bundle")
	o.Hardening.RejectUnsafePermissions = false
	h.install(o)
}
