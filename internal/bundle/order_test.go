//go:build unix

package bundle

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Of entries with one name the last one stays, as with tar and unzip -o, and none is written through another.
func TestTheLastOfOneNameStays(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		members []member
		want    map[string]string
	}{
		"files":            {[]member{{name: "a", text: "1"}, {name: "b", text: "2"}, {name: "a", mode: 0o755, text: "3"}}, map[string]string{"a": "-rwxr-xr-x 3", "b": "-rw-r--r-- 2"}},
		"other spelling":   {[]member{{name: "a", text: "1"}, {name: "./a", text: "2"}}, map[string]string{"a": "-rw-r--r-- 2"}},
		"file for a link":  {[]member{{name: "a", mode: link, text: outside}, {name: "a", text: "2"}}, map[string]string{"a": "-rw-r--r-- 2"}},
		"link for a file":  {[]member{{name: "a", text: "1"}, {name: "a", mode: link, text: "b"}}, map[string]string{"a": "-> b"}},
		"link for a link":  {[]member{{name: "a", mode: link, text: "x"}, {name: "a", mode: link, text: "y"}}, map[string]string{"a": "-> y"}},
		"folders":          {[]member{{name: "d/", mode: dir}, {name: "d/a", text: "1"}, {name: "d/", mode: dir &^ 0o055}}, map[string]string{"d": "drwx------", "d/a": "-rw-r--r-- 1"}},
		"different cases":  {[]member{{name: "A", text: "1"}, {name: "a", text: "2"}, {name: "Dir/x", text: "3"}, {name: "dir/x", text: "4"}}, map[string]string{"A": "-rw-r--r-- 1", "a": "-rw-r--r-- 2", "Dir": "drwxr-xr-x", "Dir/x": "-rw-r--r-- 3", "dir": "drwxr-xr-x", "dir/x": "-rw-r--r-- 4"}},
		"folder after all": {[]member{{name: "d/a", text: "1"}, {name: "d/", mode: dir &^ 0o222}}, map[string]string{"d": "dr-xr-xr-x", "d/a": "-rw-r--r-- 1"}},
	} {
		for typ, data := range map[Type][]byte{Tar: tarOf(t, c.members...), Zip: zipOf(t, c.members...)} {
			dst, _, err := extract(t, data, typ, Options{Permissive: true})
			if err != nil {
				t.Errorf("%s in %s: %v", name, typ, err)
				continue
			}
			if diff := cmp.Diff(c.want, tree(t, dst)); diff != "" {
				t.Errorf("%s in %s (-want +got):\n%s", name, typ, diff)
			}
			os.Chmod(filepath.Join(dst, "d"), 0o755) //nolint:errcheck // most have none
		}
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "secret" {
		t.Errorf("a file outside holds %q, %v", got, err)
	}
	// A hard link to itself must not remove the file first.
	dst, _, err := extract(t, tarOf(t, member{name: "a", text: "1"}, member{name: "b", text: "a", hard: true}, member{name: "b", text: "a", hard: true}), Tar, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "-rw-r--r-- 1", "b": "-rw-r--r-- 1"}, tree(t, dst)); diff != "" {
		t.Errorf("hard link twice (-want +got):\n%s", diff)
	}
}

// Entries of a zip are only unpacked side by side when their order makes no difference.
func TestIndependent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		members []member
		want    bool
	}{
		"nothing":        {nil, true},
		"the usual":      {sample, true},
		"twice":          {[]member{{name: "a"}, {name: "b"}, {name: "a"}}, false},
		"other spelling": {[]member{{name: "a"}, {name: "./a"}}, false},
		"below a link":   {[]member{{name: "b/"}, {name: "a", mode: link, text: "b"}, {name: "b/x"}, {name: "a/x"}}, false},
		"link last":      {[]member{{name: "a/b/c"}, {name: "a", mode: link, text: "b"}}, false},
		"below a file":   {[]member{{name: "a/b"}, {name: "a/b/c/d"}}, false},
		"similar names":  {[]member{{name: "a.b/c"}, {name: "a"}}, true},
		"after sibling":  {[]member{{name: "x"}, {name: "x/a"}, {name: "x/b"}}, false},
		"top after link": {[]member{{name: "l", mode: link, text: "x"}, {name: "y"}, {name: "l/a"}}, false},
	} {
		data := zipOf(t, c.members...)
		archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		u := &unpacker{}
		names, err := u.admit(archive.File)
		if err != nil {
			t.Fatal(err)
		}
		if got := independent(archive.File, names); got != c.want {
			t.Errorf("%s: independent = %v, want %v", name, got, c.want)
		}
	}
}

// Whatever the entries are and however they are spread over writers, a zip and a tar of the same entries unpack to the same,
// and that is what a slow model in the archive's order says.
func TestExtractAgreesWithItsModel(t *testing.T) {
	t.Parallel()
	work := t.TempDir()
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		members, want := modelled(r)
		for typ, data := range map[Type][]byte{Tgz: tgzOf(t, members...), Zip: zipOf(t, members...)} {
			dst := filepath.Join(work, fmt.Sprint(n, typ))
			path := dst + ".bundle"
			if err := os.WriteFile(path, data, 0o600); err != nil {
				r.Fatal(err)
			}
			if _, err := Extract(t.Context(), path, typ, dst, Options{Permissive: true}); err != nil {
				r.Fatalf("%s: %v", typ, err)
			}
			if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
				r.Fatalf("%s (-want +got):\n%s", typ, diff)
			}
			os.RemoveAll(dst)
			os.Remove(path)
		}
	})
}

// modelled draws the entries of an archive with what they unpack to. Folders and files have different names, so that no entry
// is refused.
func modelled(r *rapid.T) ([]member, map[string]string) {
	var members []member
	want := map[string]string{}
	for range rapid.IntRange(0, 25).Draw(r, "entries") {
		folder := strings.Repeat("d/", rapid.IntRange(0, 3).Draw(r, "depth"))
		for i := range strings.Count(folder, "/") {
			if above := folder[:2*i+1]; want[above] == "" {
				want[above] = "drwxr-xr-x"
			}
		}
		m := member{name: folder + rapid.SampledFrom([]string{"a", "b", "c", "e", "f"}).Draw(r, "name"), mode: 0o644}
		switch rapid.IntRange(0, 9).Draw(r, "kind") {
		case 0:
			m.mode, m.text = link, rapid.SampledFrom([]string{"a", "/etc/passwd", "../x"}).Draw(r, "target")
			want[m.name] = "-> " + m.text
		case 1:
			if folder == "" {
				continue
			}
			m = member{name: folder, mode: dir &^ 0o011}
			want[strings.TrimSuffix(folder, "/")] = (dir &^ 0o011).String()
		default:
			size := rapid.SampledFrom([]int{0, 1, 1, 5, 5, 500, smallFile, smallFile + 1, blockLength, blockLength + 1}).Draw(r, "size")
			m.text = strings.Repeat(rapid.SampledFrom([]string{"x", "y", "\x00"}).Draw(r, "letter"), size)
			want[m.name] = "-rw-r--r-- " + m.text
		}
		members = append(members, m)
	}
	return members, want
}
