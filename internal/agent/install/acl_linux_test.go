package install

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/appspec"
)

// aclFolder is a folder whose file system has access control lists.
func aclFolder(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"setfacl", "getfacl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs setfacl and getfacl: apt-get install acl")
		}
	}
	dir := t.TempDir()
	if !keepsACLs(dir) {
		t.Skip("needs access control lists: set TMPDIR to a folder on ext4, xfs or tmpfs")
	}
	return dir
}

func getfacl(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("getfacl", "-cp", path).CombinedOutput()
	if err != nil {
		t.Fatalf("getfacl: %v: %s", err, out)
	}
	return string(out)
}

// completion is agent.md 8.2 in words of setfacl: what stock agents add to an AppSpec's list for one object.
func completion(given []appspec.ACL, mode fs.FileMode) []string {
	letters := mode.Perm().String()[1:]
	list := aclStrings(given)
	has := func(isDefault bool, match func(appspec.ACL) bool) bool {
		for _, a := range given {
			if a.Default == isDefault && match(a) {
				return true
			}
		}
		return false
	}
	for _, isDefault := range []bool{false, true} {
		prefix := ""
		if isDefault {
			prefix = "default:"
			if !has(true, func(appspec.ACL) bool { return true }) {
				continue
			}
		}
		group := letters[3:6]
		for _, a := range given {
			if a.Default == isDefault && a.Tag == "group" && a.Name == "" {
				group = strings.TrimPrefix(a.String(), prefix+"group::")
			}
		}
		for tag, perms := range map[string]string{"user": letters[:3], "group": letters[3:6], "other": letters[6:]} {
			if !has(isDefault, func(a appspec.ACL) bool { return a.Tag == tag && a.Name == "" }) {
				list = append(list, prefix+tag+"::"+perms)
			}
		}
		if has(isDefault, func(a appspec.ACL) bool { return a.Name != "" }) && !has(isDefault, func(a appspec.ACL) bool { return a.Tag == "mask" }) {
			list = append(list, prefix+"mask::"+group)
		}
	}
	return list
}

// What we write is what `setfacl --set` writes, for any list of an AppSpec, mode, and list that was inherited.
func TestACLsAreThoseOfSetfacl(t *testing.T) {
	t.Parallel()
	dir := aclFolder(t)
	must(t, os.Mkdir(dir+"/parent", 0o755))
	if out, err := exec.Command("setfacl", "-d", "-m", "u:games:rwx", dir+"/parent").CombinedOutput(); err != nil {
		t.Fatalf("setfacl: %v: %s", err, out)
	}
	entry := rapid.Custom(func(t *rapid.T) appspec.ACL {
		a := appspec.ACL{Perms: uint8(rapid.IntRange(0, 7).Draw(t, "perms"))}
		a.Default = rapid.Bool().Draw(t, "default")
		a.Tag = rapid.SampledFrom([]string{"user", "group", "mask", "other"}).Draw(t, "tag")
		if a.Tag == "user" || a.Tag == "group" {
			a.Name = rapid.SampledFrom([]string{"daemon", "bin", "4711", ""}).Draw(t, "name")
		}
		if !a.Default && a.Name == "" && a.Tag != "mask" {
			a.Name, a.Tag = "sys", "user" // without a name it would be the mode, which an AppSpec refuses
		}
		return a
	})
	rapid.Check(t, func(rt *rapid.T) {
		given := rapid.SliceOfN(entry, 1, 6).Draw(rt, "entries")
		mode := fs.FileMode(rapid.IntRange(0, 0o777).Draw(rt, "mode"))
		parent := dir + rapid.SampledFrom([]string{"", "/parent"}).Draw(rt, "parent")
		ours, theirs := filepath.Join(parent, "ours"), filepath.Join(parent, "theirs")
		for _, path := range []string{ours, theirs} {
			must(t, os.RemoveAll(path), os.Mkdir(path, 0o755), os.Chmod(path, mode))
		}
		p := &Plan{}
		list, err := p.resolveACL(given)
		must(t, err)
		must(t, (&access{path: ours, acl: list, owner: ids{-1, -1}}).set(followed(ours)))
		list2 := completion(given, mode)
		if out, err := exec.Command("setfacl", "--set", strings.Join(list2, ","), theirs).CombinedOutput(); err != nil {
			rt.Fatalf("setfacl --set %v: %v: %s", list2, err, out)
		}
		if diff := cmp.Diff(getfacl(t, theirs), getfacl(t, ours)); diff != "" {
			rt.Fatalf("%v on mode %v (-setfacl +ours):\n%s", given, mode, diff)
		}
	})
}

// Lists are completed afresh for each object, and come before the owner.
// agent.md 16: 154
func TestACLsOfAnInstall(t *testing.T) {
	t.Parallel()
	h := &host{TB: t, dir: aclFolder(t)}
	o := h.revision(all+`permissions:
  - {object: DIR/app, mode: "640", acls: ["daemon:rw"], type: [file]}
  - {object: DIR/app, mode: "2750", acls: ["d:g:bin:rx", "u:daemon:7"], type: [directory]}
`, files{"a": "", "sub/b": ""})
	must(t, os.Chmod(o.Archive+"/a", 0o777))
	h.install(o)
	for name, want := range map[string]string{
		"a":     "user::rw-\nuser:daemon:rw-\t#effective:r--\ngroup::r--\nmask::r--\nother::---\n\n",
		"sub/b": "user::rw-\nuser:daemon:rw-\t#effective:r--\ngroup::r--\nmask::r--\nother::---\n\n",
		"sub": "user::rwx\nuser:daemon:rwx\t#effective:r-x\ngroup::r-x\nmask::r-x\nother::---\n" +
			"default:user::rwx\ndefault:group::r-x\ndefault:group:bin:r-x\ndefault:mask::r-x\ndefault:other::---\n\n",
	} {
		if diff := cmp.Diff(want, strings.TrimPrefix(getfacl(t, h.app(name)), "# flags: -s-\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// agent.md 16: 155
func TestACLThatCannotBeSetFailsTheInstall(t *testing.T) {
	t.Parallel()
	h := &host{TB: t, dir: aclFolder(t)}
	o := h.revision(all+"permissions:\n  - {object: DIR/app/dangling, acls: [\"daemon:rw\"]}\n", nil)
	must(t, os.Symlink("nowhere", o.Archive+"/dangling"))
	p, err := New(t.Context(), o)
	must(t, err)
	err = p.Run(t.Context())
	if err == nil {
		t.Fatal("an access control list was set on nothing")
	}
	wantContains(t, err.Error(), "cannot set the permissions of "+h.app("dangling")+" (appspec.yml line 6)")
}

func TestNoACLsOnThisFileSystem(t *testing.T) {
	t.Parallel()
	if keepsACLs("/proc") {
		t.Skip("needs /proc, mounted as on every Linux host")
	}
	h := newHost(t)
	o := h.revision("files:\n  - {source: f, destination: /proc/grapnel}\npermissions:\n  - {object: /proc/grapnel/f, acls: [\"daemon:rw\"]}\n", files{"f": ""})
	wantContains(t, h.refused(o), "the file system mounted at /proc has no access control lists", "/proc/grapnel/f", "mount it with the option acl")
}
