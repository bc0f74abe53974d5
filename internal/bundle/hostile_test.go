//go:build unix

package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The switch that restores what tar and unzip do, and where even that ends.
func TestPermissive(t *testing.T) {
	t.Parallel()
	members := []member{{name: "/etc/app.conf", text: "1"}, {name: "../up", text: "2"}, {name: "a/../../up", text: "3"}, {name: "///", mode: dir}, {name: "b", text: "4"}}
	want := map[string]string{"etc": "drwxr-xr-x", "etc/app.conf": "-rw-r--r-- 1", "b": "-rw-r--r-- 4"}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
		var notices []string
		dst, _, err := extract(t, data, typ, Options{Permissive: true, Notice: func(entry, what string) { notices = append(notices, entry+": "+what) }})
		if err != nil {
			t.Errorf("%s: %v", typ, err)
			continue
		}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", typ, diff)
		}
		if diff := cmp.Diff([]string{`../up: left out: its name holds ".."`, `a/../../up: left out: its name holds ".."`}, notices); diff != "" {
			t.Errorf("%s: notices (-want +got):\n%s", typ, diff)
		}
		if _, err := os.Lstat(filepath.Join(filepath.Dir(dst), "up")); err == nil {
			t.Errorf("%s: written outside", typ)
		}
		if _, _, err := extract(t, data, typ, Options{Permissive: true}); err != nil {
			t.Errorf("%s: without Notice: %v", typ, err)
		}
	}

	outside := t.TempDir()
	for name, members := range map[string][]member{
		"through a link":             {{name: "out", mode: link, text: outside}, {name: "out/x", text: "evil"}},
		"hard link":                  {{name: "x", text: "/etc/passwd", hard: true}},
		"hard link with ..":          {{name: "x", text: "../x", hard: true}},
		"hard link through a link":   {{name: "out", mode: link, text: "/etc"}, {name: "x", text: "out/passwd", hard: true}},
		"absolute, through the link": {{name: "out", mode: link, text: outside}, {name: "//out/x", text: "evil"}},
	} {
		dst, _, err := extract(t, tarOf(t, members...), Tar, Options{Permissive: true})
		wantDefect(t, name, err, members[len(members)-1].name, "")
		gone(t, name, dst)
	}
	if left := tree(t, outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

func TestPermissiveDevices(t *testing.T) {
	t.Parallel()
	dst, _, err := extract(t, tarOf(t, member{name: "d/pipe", flag: tar.TypeFifo}), Tar, Options{Permissive: true})
	if info, statErr := os.Lstat(filepath.Join(dst, "d/pipe")); err != nil || statErr != nil || info.Mode() != fs.ModeNamedPipe|0o644 {
		t.Errorf("pipe: %v, %v, %v", err, info, statErr)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o640, Devmajor: 1, Devminor: 3, Uid: 7, Gid: 8})
	w.Close()
	dst, _, err = extract(t, b.Bytes(), Tar, Options{Permissive: true, Owners: true})
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("cannot make devices; run the tests as root with CAP_MKNOD")
	}
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(filepath.Join(dst, "null"))
	if err != nil || info.Mode() != fs.ModeDevice|fs.ModeCharDevice|0o640 {
		t.Fatalf("device: %v, %v", info, err)
	}
	if stat := info.Sys().(*syscall.Stat_t); stat.Rdev != 1<<8|3 || stat.Uid != 7 || stat.Gid != 8 {
		t.Errorf("device has number %d and owner %d:%d", stat.Rdev, stat.Uid, stat.Gid)
	}
	// A part of a multi-volume archive is nothing that tar could make.
	dst, _, err = extract(t, tarOf(t, member{name: "special", flag: 'V'}), Tar, Options{Permissive: true})
	wantDefect(t, "volume", err, "special", "device, pipe or socket")
	gone(t, "volume", dst)
	dst, _, err = extract(t, zipOf(t, member{name: "special", mode: fs.ModeNamedPipe | 0o644}), Zip, Options{Permissive: true})
	wantDefect(t, "zip", err, "special", "device, pipe or socket")
	gone(t, "zip", dst)
}

// The flags of agent.md 15. Each is off by default and stronger than Permissive.
func TestRejectFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		members []member
		options Options
		text    string
		refused bool // by default as well
	}{
		{"symbolic link", []member{{name: "l", mode: link, text: "a"}}, Options{RejectLinks: true}, "reject_symlinks_in_bundle", false},
		{"hard link", []member{{name: "a", text: "1"}, {name: "l", text: "a", hard: true}}, Options{RejectLinks: true}, "reject_symlinks_in_bundle", false},
		{"link that leaves", []member{{name: "d/l", mode: link, text: "../../x"}}, Options{RejectTraversal: true}, "outside the archive", true},
		{"absolute link", []member{{name: "l", mode: link, text: "/x"}}, Options{RejectTraversal: true}, "outside the archive", true},
		{"absolute name", []member{{name: "/x", text: "1"}}, Options{RejectTraversal: true}, "is absolute", true},
		{"name that leaves", []member{{name: "../x", text: "1"}}, Options{RejectTraversal: true}, `holds ".."`, true},
		{"set user id", []member{{name: "x", mode: fs.ModeSetuid | 0o755}}, Options{RejectSetID: true}, "reject_unsafe_permissions_in_bundle", false},
		{"set group id", []member{{name: "x", mode: fs.ModeSetgid | 0o755}}, Options{RejectSetID: true}, "reject_unsafe_permissions_in_bundle", false},
	} {
		for typ, data := range map[Type][]byte{Tar: tarOf(t, c.members...), Zip: zipOf(t, c.members...)} {
			if typ == Zip && c.name == "hard link" {
				continue // the format has none
			}
			for _, permissive := range []bool{false, true} {
				o := c.options
				o.Permissive = permissive
				dst, _, err := extract(t, data, typ, o)
				wantDefect(t, fmt.Sprint(c.name, " in ", typ), err, c.members[len(c.members)-1].name, c.text)
				gone(t, c.name, dst)
			}
			if _, _, err := extract(t, data, typ, Options{}); (err != nil) != c.refused {
				t.Errorf("%s in %s, by default: error = %v", c.name, typ, err)
			}
		}
	}
	harmless := []member{{name: "d/x", text: "1"}, {name: "d/l", mode: link, text: "../d/x"}, {name: "d/", mode: fs.ModeSetgid | dir}, {name: "s", mode: fs.ModeSticky | 0o755}}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, harmless...), Zip: zipOf(t, harmless...)} {
		if _, _, err := extract(t, data, typ, Options{RejectTraversal: true, RejectSetID: true}); err != nil {
			t.Errorf("harmless %s: %v", typ, err)
		}
	}
}

// The room is asked for before anything is written, so that a bomb of any kind stops at what the host has.
func TestRoomIsAskedFirst(t *testing.T) {
	t.Parallel()
	full := errors.New("no room")
	members := []member{{name: "a", text: strings.Repeat("\x00", 3<<20)}, {name: "b", text: strings.Repeat("\x00", 3<<20)}}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Tgz: tgzOf(t, members...), Zip: zipOf(t, members...)} {
		var asked []int64
		dst, _, err := extract(t, data, typ, Options{Room: func(bytes int64, _ int) error {
			asked = append(asked, bytes)
			return full
		}})
		if !errors.Is(err, full) || len(asked) != 1 || asked[0] < 6<<20 || asked[0] > 6<<20+16<<10 {
			t.Errorf("%s: error = %v, asked for %v", typ, err, asked)
		}
		gone(t, string(typ), dst)
	}
	// A tgz of several streams says nothing of its length. Then every entry is asked for.
	joined := append(gzipped(t, tarOf(t, members...)[:1<<20]), gzipped(t, tarOf(t, members...)[1<<20:])...)
	joined = append(joined, gzipped(t, nil)...)
	dst, _, err := extract(t, joined, Tgz, Options{Room: func(bytes int64, entries int) error {
		if bytes > 4<<20 && entries == 2 {
			return full
		}
		return nil
	}})
	if !errors.Is(err, full) {
		t.Errorf("joined: error = %v", err)
	}
	gone(t, "joined", dst)
	if _, _, err := extract(t, joined, Tgz, Options{}); err != nil {
		t.Errorf("joined, with room: %v", err)
	}
}

// A sparse file of eight exabytes is 2 KB of tar.
func TestSparseBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "huge", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatPAX})
	w.Close()
	data := b.Bytes()
	copy(data, make([]byte, tarBlock))
	copy(data, sparseHeader(t, "huge", 1<<62))
	for i := range 2 {
		if i == 1 {
			data = append(sparseHeader(t, "more", 1<<62), data...)
			data = append(sparseHeader(t, "most", 1<<62), data...)
		}
		dst, _, err := extract(t, data, Tar, Options{MaxSize: 1 << 30})
		if defect := (*Error)(nil); !errors.As(err, &defect) || !strings.Contains(err.Error(), "unpacks to more than") {
			t.Errorf("error = %v", err)
		}
		gone(t, "sparse", dst)
	}
}

// sparseHeader makes the header of an old GNU sparse file that holds nothing.
func sparseHeader(t *testing.T, name string, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	header := b.Bytes()[:tarBlock]
	header[156] = tar.TypeGNUSparse
	base256 := func(field []byte, n int64) {
		for i := len(field) - 1; i > 0; i-- {
			field[i], n = byte(n), n>>8
		}
		field[0] = 0x80
	}
	base256(header[386:398], size) // the first hole ends, and data of no length begins, at the end
	base256(header[398:410], 0)
	base256(header[483:495], size)
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return bytes.Clone(header)
}

// agent.md 16: 167
func TestReplaceRemovesWhatWasThere(t *testing.T) {
	t.Parallel()
	dst := filepath.Join(t.TempDir(), "deployment-archive")
	writeTree(t, dst)
	outside := t.TempDir()
	writeTree(t, outside)
	before := tree(t, outside)
	if err := os.Symlink(outside, filepath.Join(dst, "linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), save(t, tarOf(t, member{name: "new", text: "1"})), Tar, dst, Options{Replace: true}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"new": "-rw-r--r-- 1"}, tree(t, dst)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
		t.Errorf("behind a link (-want +got):\n%s", diff)
	}
}

// What a name means on this host counts more than the number that it has elsewhere.
func TestOwnersGoByName(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away; run the tests as root")
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Name: "known", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1234, Gid: 2345, Uname: "root", Gname: "root"})
	w.WriteHeader(&tar.Header{Name: "unknown", Typeflag: tar.TypeReg, Mode: 0o755, Uid: 1234, Gid: 2345, Uname: "nobody-of-this-name", Gname: "no-group-of-this-name"})
	w.Close()
	dst, _, err := extract(t, b.Bytes(), Tar, Options{Owners: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]uint32{"known": {0, 0}, "unknown": {1234, 2345}} {
		info, err := os.Stat(filepath.Join(dst, name))
		if err != nil {
			t.Fatal(err)
		}
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != want[0] || stat.Gid != want[1] {
			t.Errorf("%s has owner %d:%d, want %v", name, stat.Uid, stat.Gid, want)
		}
	}
}
