package install

import (
	"encoding/json"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Everything that an Install would do, as the dry run shows it.
func TestChanges(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.install(h.revision(all, files{"same": "1", "old/only": "1", "sub/x": "1"}))
	files{"app/kept": "own", "app/sub/own": "own"}.write(t, h.dir)
	must(t, os.Chmod(h.app("same"), 0o600))
	me, err := lstat(h.path("app"))
	must(t, err)
	owner := (&Plan{}).ownerOf(me)
	o := h.revision("file_exists_behavior: RETAIN\n"+all+`permissions:
  - {object: DIR/app/new, mode: "4711"}
  - {object: DIR/app, pattern: "lib", mode: 700, type: [directory]}
`, files{"same": "22", "kept": "2", "new": "2", "lib/y": "2", "sub/x": "2"})
	must(t, os.Chmod(o.Archive+"/new", 0o640), os.Symlink("same", o.Archive+"/link"))
	p, err := New(t.Context(), o)
	must(t, err)
	var got []string
	for _, c := range p.Changes() {
		line := string(c.Action) + " " + strings.TrimPrefix(c.Path, h.dir+"/")
		if c.Source != "" {
			line += " < " + c.Source
		}
		if c.From != nil {
			line += " from " + c.From.Mode
		}
		if c.To != nil {
			line += " to " + c.To.Mode
		}
		if c.Owner != "" && c.Owner != owner {
			t.Errorf("%s is owned by %s, want %s", c.Path, c.Owner, owner)
		}
		got = append(got, line)
	}
	want := []string{
		"delete app/old/only from 0644",
		"delete app/old from 0755",
		"mkdir app/lib to 0700",
		"create app/lib/y < lib/y to 0644",
		"create app/link < link",
		"create app/new < new to 4711",
		"overwrite app/same < same from 0600 to 0644",
		"overwrite app/sub/x < sub/x from 0644 to 0644",
		"keep app/kept < kept",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	// What was announced is what happens.
	must(t, p.Run(t.Context()))
	for _, c := range p.Changes() {
		_, err := os.Lstat(c.Path)
		if gone := err != nil; gone != (c.Action == Delete) {
			t.Errorf("%s %s: gone is %v", c.Action, c.Path, gone)
		}
	}
	if m, err := lstat(h.app("new")); err != nil || m.mode != 0o711|fs.ModeSetuid {
		t.Errorf("new has mode %v, %v", m.mode, err)
	}
}

func TestChangesAreJSON(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal([]Change{
		{Action: Create, Path: "/a", Source: "a", Bytes: 1, To: &Permissions{Mode: "0644", ACL: []string{"user:x:r--"}}},
		{Action: Conflict, Path: "/b", Reason: "r", Owner: "u:g", DeploymentGroup: "d", Advice: "x"},
	})
	must(t, err)
	want := `[{"action":"create","path":"/a","source":"a","bytes":1,"to":{"mode":"0644","acl":["user:x:r--"]}},` +
		`{"action":"conflict","path":"/b","reason":"r","owner":"u:g","deploymentGroup":"d","advice":"x"}]`
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
