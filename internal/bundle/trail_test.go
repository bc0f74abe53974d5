//go:build unix

package bundle

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A name far deeper than a trail, and the way back up from there.
func TestDeepFolders(t *testing.T) {
	t.Parallel()
	const depth = 4 * maxLevels
	deep := strings.TrimSuffix(strings.Repeat("d/", depth), "/")
	var members []member
	want := map[string]string{}
	for i := range depth {
		folder := deep[:2*i+1]
		want[folder], want[folder+"/up"] = "drwxr-xr-x", "-rw-r--r-- 2"
		members = append([]member{{name: folder + "/up", text: "2"}}, members...) // the deepest first
	}
	members = append([]member{{name: deep + "/down", text: "1"}}, members...)
	want[deep+"/down"] = "-rw-r--r-- 1"
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
		dst, _, err := extract(t, data, typ, Options{})
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%.2000s", typ, diff)
		}
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	way := trail{root: root}
	defer way.close()
	if _, _, err := way.locate(deep + "/x"); err != nil || len(way.levels) > maxLevels {
		t.Errorf("%d folders are open: %v", len(way.levels), err)
	}
}

// A folder that was reached through a link is not where the link leads after it was replaced.
func TestReplacedLinkLeadsElsewhere(t *testing.T) {
	t.Parallel()
	members := []member{
		{name: "a/", mode: dir}, {name: "b/", mode: dir},
		{name: "l", mode: link, text: "a"}, {name: "l/x/1", text: "1"},
		{name: "l", mode: link, text: "b"}, {name: "l/x/2", text: "2"}, {name: "l/3", text: "3"},
		// The link is replaced by a name that goes through itself.
		{name: "c/e/up", mode: link, text: ".."}, {name: "c/f/", mode: dir}, {name: "c/m", mode: link, text: "e"}, {name: "n", mode: link, text: "c/m"},
		{name: "n/4", text: "4"}, {name: "n/up/m", mode: link, text: "f"}, {name: "n/5", text: "5"},
	}
	want := map[string]string{
		"a": "drwxr-xr-x", "a/x": "drwxr-xr-x", "a/x/1": "-rw-r--r-- 1",
		"b": "drwxr-xr-x", "b/x": "drwxr-xr-x", "b/x/2": "-rw-r--r-- 2", "b/3": "-rw-r--r-- 3", "l": "-> b",
		"c": "drwxr-xr-x", "c/e": "drwxr-xr-x", "c/e/up": "-> ..", "c/e/4": "-rw-r--r-- 4", "c/f": "drwxr-xr-x", "c/f/5": "-rw-r--r-- 5", "c/m": "-> f", "n": "-> c/m",
	}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
		dst, _, err := extract(t, data, typ, Options{})
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", typ, diff)
		}
	}
}

// The mode of a listed folder is not given to what a link in its place leads to.
func TestFinishingFollowsNoLink(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	if err := os.Chmod(outside, 0o700); err != nil {
		t.Fatal(err)
	}
	data := tarOf(t, member{name: "a/", mode: dir}, member{name: "b/s", mode: link, text: outside},
		member{name: "l", mode: link, text: "a"}, member{name: "l/s/", mode: dir &^ 0o022}, member{name: "l", mode: link, text: "b"})
	if dst, _, err := extract(t, data, Tar, Options{Permissive: true}); err == nil {
		t.Errorf("unpacked to %v", tree(t, dst))
	}
	if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the mode of a folder outside was changed: %v, %v", info.Mode(), err)
	}
}
