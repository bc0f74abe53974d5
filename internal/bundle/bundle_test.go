//go:build unix

package bundle

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/mount"
)

var oldTime = time.Date(2019, 5, 4, 3, 2, 1, 0, time.UTC)

// member is an entry of an archive that a test makes.
type member struct {
	name string
	mode fs.FileMode // 0 = 0644
	text string      // content, or target of a link
	hard bool        // hard link to text
	flag byte        // tar only: type flag instead of the one that mode means
}

const (
	dir  = fs.ModeDir | 0o755
	link = fs.ModeSymlink | 0o777
)

// tarOf makes a tar archive.
func tarOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		if m.mode.Perm() == 0 && m.mode.Type() == 0 {
			m.mode = 0o644
		}
		h := &tar.Header{Name: m.name, ModTime: oldTime, Mode: unixMode(m.mode), Typeflag: tar.TypeReg, Size: int64(len(m.text))}
		switch {
		case m.flag != 0:
			h.Typeflag, h.Size = m.flag, 0
		case m.hard:
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, m.text, 0
		case m.mode.IsDir():
			h.Typeflag, h.Size = tar.TypeDir, 0
		case m.mode.Type() == fs.ModeSymlink:
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, m.text, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, m.text)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unixMode returns permissions and set-id bits as Unix numbers them.
func unixMode(mode fs.FileMode) int64 {
	n := int64(mode.Perm())
	for bit, value := range map[fs.FileMode]int64{fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000} {
		if mode&bit != 0 {
			n |= value
		}
	}
	return n
}

// tgzOf makes a gzipped tar archive.
func tgzOf(t testing.TB, members ...member) []byte {
	t.Helper()
	return gzipped(t, tarOf(t, members...))
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// zipOf makes a zip archive with Unix modes. It has no hard links; a member with one becomes a file.
func zipOf(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, m := range members {
		if m.mode.Perm() == 0 && m.mode.Type() == 0 {
			m.mode = 0o644
		}
		h := &zip.FileHeader{Name: m.name, Modified: oldTime, Method: zip.Deflate}
		h.SetMode(m.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !m.mode.IsDir() {
			io.WriteString(f, m.text)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// save writes an archive to a file.
func save(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// extract unpacks an archive into a new folder.
func extract(t testing.TB, data []byte, typ Type, o Options) (string, Stats, error) {
	t.Helper()
	dst := filepath.Join(t.TempDir(), "deployment-archive")
	stats, err := Extract(t.Context(), save(t, data), typ, dst, o)
	return dst, stats, err
}

// tree describes a folder's contents: mode, and content or target, by name.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		found[name], err = describe(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func describe(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		return info.Mode().String(), nil
	case fs.ModeSymlink:
		target, err := os.Readlink(path)
		return "-> " + target, err
	}
	data, err := os.ReadFile(path)
	return info.Mode().String() + " " + string(data), err
}

// gone fails unless nothing is left of a refused bundle.
func gone(t testing.TB, name, dst string) {
	t.Helper()
	if _, err := os.Lstat(dst); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: something was left in %s: %v, %v", name, dst, err, tree(t, dst))
	}
}

var sample = []member{
	{name: "./", mode: fs.ModeDir | 0o700},
	{name: "appspec.yml", text: "version: 0.0\n"},
	{name: "scripts/", mode: fs.ModeDir | 0o555},
	{name: "scripts/start.sh", mode: 0o755, text: "#!/bin/sh\n"},
	{name: "scripts/current", mode: link, text: "start.sh"},
	{name: "shared", mode: link, text: "deep/er/later"},
	{name: "deep/er/file", mode: 0o666, text: "deep"},
	{name: "empty/", mode: fs.ModeDir | 0o777},
}

// Symbolic links in a zip became files, modes and times were lost.
//
// users.md mistakes: 9
// agent.md 16: 170
func TestExtractKeepsModesLinksAndTimes(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"appspec.yml": "-rw-r--r-- version: 0.0\n", "scripts": "dr-xr-xr-x", "scripts/start.sh": "-rwxr-xr-x #!/bin/sh\n",
		"scripts/current": "-> start.sh", "shared": "-> deep/er/later",
		"deep": "drwxr-xr-x", "deep/er": "drwxr-xr-x", "deep/er/file": "-rw-rw-rw- deep", "empty": "drwxrwxrwx",
	}
	for name, c := range map[string]struct {
		data []byte
		typ  Type
	}{
		"tar": {tarOf(t, sample...), Tar}, "gzip called tar": {tgzOf(t, sample...), Tar}, "tgz": {tgzOf(t, sample...), Tgz}, "zip": {zipOf(t, sample...), Zip},
	} {
		dst, stats, err := extract(t, c.data, c.typ, Options{Permissive: true})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		wantStats := Stats{Entries: 8, Bytes: 27}
		if stats != wantStats {
			t.Errorf("%s: stats = %+v, want %+v", name, stats, wantStats)
		}
		for _, file := range []string{"appspec.yml", "scripts", "scripts/start.sh", "empty"} {
			info, err := os.Stat(filepath.Join(dst, file))
			if err != nil || !info.ModTime().Equal(oldTime) {
				t.Errorf("%s: %s has time %v, %v; want %v", name, file, info.ModTime(), err, oldTime)
			}
		}
		if info, err := os.Stat(dst); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: the folder itself has mode %v, %v", name, info.Mode(), err)
		}
		if runtime.GOOS == "linux" {
			os.Chmod(filepath.Join(dst, "scripts"), 0o755) // so that anyone can clean up
		}
	}
}

// A symbolic link followed by a file through it wrote outside the archive.
//
// users.md mistakes: 8
// agent.md 17: 9
func TestMistake8NothingIsWrittenThroughALinkThatLeaves(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	for name, members := range map[string][]member{
		"file through absolute link":  {{name: "out", mode: link, text: outside}, {name: "out/x", text: "evil"}},
		"file through relative link":  {{name: "a/out", mode: link, text: "../.."}, {name: "a/out/x", text: "evil"}},
		"folder through link":         {{name: "out", mode: link, text: outside}, {name: "out/x/", mode: dir}},
		"folder in place of link":     {{name: "out", mode: link, text: outside}, {name: "out/", mode: fs.ModeDir | 0o777}},
		"link through link":           {{name: "out", mode: link, text: outside}, {name: "out/x", mode: link, text: "y"}},
		"through a chain of links":    {{name: "b", mode: link, text: "a"}, {name: "a", mode: link, text: outside}, {name: "b/x", text: "evil"}},
		"deep below link":             {{name: "out", mode: link, text: outside}, {name: "out/a/b/c", text: "evil"}},
		"link made between two files": {{name: "d/1", text: "1"}, {name: "out", mode: link, text: outside}, {name: "out/2", text: "evil"}},
	} {
		for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
			dst, _, err := extract(t, data, typ, Options{Permissive: true})
			wantDefect(t, fmt.Sprintf("%s in %s", name, typ), err, members[len(members)-1].name, "")
			gone(t, name, dst)
		}
	}
	if left := tree(t, outside); len(left) > 0 {
		t.Errorf("written outside: %v", left)
	}
}

// A link within the archive may be used as a folder.
func TestLinkInsideIsFollowed(t *testing.T) {
	t.Parallel()
	members := []member{{name: "lib64/", mode: dir}, {name: "lib", mode: link, text: "lib64"}, {name: "lib/x", text: "x"}, {name: "lib/y/z", text: "z"}}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
		dst, _, err := extract(t, data, typ, Options{})
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		want := map[string]string{"lib64": "drwxr-xr-x", "lib": "-> lib64", "lib64/x": "-rw-r--r-- x", "lib64/y": "drwxr-xr-x", "lib64/y/z": "-rw-r--r-- z"}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", typ, diff)
		}
	}
}

// wantDefect fails unless err is an *Error about the entry, with the text.
func wantDefect(t *testing.T, name string, err error, entry, text string) {
	t.Helper()
	var defect *Error
	if !errors.As(err, &defect) || defect.Entry != entry || !strings.Contains(err.Error(), text) || !filepath.IsAbs(defect.Path) {
		t.Errorf("%s: error = %v, want an *Error about %q with %q", name, err, entry, text)
	}
}

func TestRefusedNames(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"../x":                           `holds ".."`,
		"a/../../x":                      `holds ".."`,
		"a/../b":                         `holds ".."`,
		"..":                             `holds ".."`,
		"/etc/cron.d/x":                  "is absolute",
		strings.Repeat("a/", 3000) + "x": "longer than 4096 bytes",
		"d/" + strings.Repeat("n", 300):  "too long for this file system",
		"file/below":                     "below something that is a file",
		"file/be/low":                    "below something that is a file",
		"file/":                          "as a file and as a folder",
		"folder":                         "as a file and as a folder",
	} {
		members := []member{{name: "file", text: "2"}, {name: "folder/", mode: dir}}
		bad := member{name: name, text: "evil"}
		if strings.HasSuffix(name, "/") {
			bad = member{name: name, mode: dir}
		}
		members = append(members, bad)
		for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
			dst, _, err := extract(t, data, typ, Options{})
			wantDefect(t, fmt.Sprintf("%.20s in %s", name, typ), err, name, text)
			gone(t, name, dst)
		}
	}
	dst, _, err := extract(t, zipOf(t, member{name: "a\x00b"}), Zip, Options{})
	wantDefect(t, "NUL", err, "a\x00b", "NUL")
	gone(t, "NUL", dst)
	dst, _, err = extract(t, zipOf(t, member{name: ""}), Zip, Options{})
	wantDefect(t, "empty", err, "", "its name is empty")
	gone(t, "empty", dst)
}

// Hard links were dropped. The rest of the mistake is TestExtractKeepsModesLinksAndTimes.
//
// users.md mistakes: 9
func TestMistake9HardLinks(t *testing.T) {
	t.Parallel()
	dst, stats, err := extract(t, tarOf(t, member{name: "a", mode: 0o600, text: "text"}, member{name: "d/b", text: "a", hard: true},
		member{name: "l", mode: link, text: "a"}, member{name: "m", text: "l", hard: true}), Tar, Options{Permissive: true})
	if err != nil {
		t.Fatal(err)
	}
	a, errA := os.Stat(filepath.Join(dst, "a"))
	b, errB := os.Stat(filepath.Join(dst, "d/b"))
	if errA != nil || errB != nil || !os.SameFile(a, b) {
		t.Errorf("a and d/b are not one file: %v, %v", errA, errB)
	}
	if got, err := describe(filepath.Join(dst, "m")); err != nil || got != "-> a" {
		t.Errorf("hard link to a symbolic link is %q, %v", got, err)
	}
	if want := (Stats{Entries: 4, Bytes: 4}); stats != want {
		t.Errorf("stats = %+v, want %+v", stats, want)
	}

	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		members []member
		text    string
	}{
		"absolute":       {[]member{{name: "x", text: outside, hard: true}}, "outside the archive"},
		"relative":       {[]member{{name: "x", text: "../secret", hard: true}}, "outside the archive"},
		"through a link": {[]member{{name: "out", mode: link, text: filepath.Dir(outside)}, {name: "x", text: "out/secret", hard: true}}, "no file earlier"},
		"missing":        {[]member{{name: "x", text: "y", hard: true}}, "no file earlier"},
		"folder":         {[]member{{name: "y/", mode: dir}, {name: "x", text: "y", hard: true}}, "no file earlier"},
		"below a link":   {[]member{{name: "a", text: "1"}, {name: "out", mode: link, text: filepath.Dir(outside)}, {name: "out/x", text: "a", hard: true}}, "outside the archive"},
		"onto a folder":  {[]member{{name: "a", text: "1"}, {name: "x/", mode: dir}, {name: "x", text: "a", hard: true}}, "as a file and as a folder"},
	} {
		dst, _, err := extract(t, tarOf(t, c.members...), Tar, Options{Permissive: true})
		wantDefect(t, name, err, c.members[len(c.members)-1].name, c.text)
		gone(t, name, dst)
	}
}

func TestSpecialFilesAreRefused(t *testing.T) {
	t.Parallel()
	for _, flag := range []byte{tar.TypeChar, tar.TypeBlock, tar.TypeFifo, 'V', 'D'} {
		dst, _, err := extract(t, tarOf(t, member{name: "special", flag: flag}), Tar, Options{})
		wantDefect(t, string(flag), err, "special", "device, pipe or socket")
		gone(t, string(flag), dst)
	}
	dst, _, err := extract(t, zipOf(t, member{name: "special", mode: fs.ModeNamedPipe | 0o644}), Zip, Options{})
	wantDefect(t, "zip", err, "special", "device, pipe or socket")
	gone(t, "zip", dst)
}

// Wherever an archive is cut off, and whichever byte of its data is changed, it is refused and nothing stays.
func TestDamagedArchivesAreRefused(t *testing.T) {
	t.Parallel()
	members := []member{{name: "a", text: strings.Repeat("first ", 400)}, {name: "b", text: strings.Repeat("second ", 300)}}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Tgz: tgzOf(t, members...), Zip: zipOf(t, members...)} {
		for cut := 0; cut < len(data); cut += 1 + len(data)/20 {
			if typ == Tar && cut > len(data)-2*tarBlock {
				continue // one of the two blocks at the end is enough
			}
			dst, _, err := extract(t, data[:cut], typ, Options{})
			if defect := (*Error)(nil); !errors.As(err, &defect) {
				t.Errorf("%s cut to %d of %d bytes: error = %v", typ, cut, len(data), err)
			}
			gone(t, string(typ), dst)
		}
	}
	for _, typ := range []Type{Tgz, Zip} {
		data := map[Type][]byte{Tgz: tgzOf(t, members...), Zip: zipOf(t, members...)}[typ]
		damaged := bytes.Clone(data)
		at := map[Type]int{Tgz: len(data) - 6, Zip: 30 + 1 + 20}[typ] // the checksum of the whole; the first entry's data
		damaged[at] ^= 0x55
		dst, _, err := extract(t, damaged, typ, Options{})
		if defect := (*Error)(nil); !errors.As(err, &defect) || !strings.Contains(err.Error(), "corrupt or cut off") {
			t.Errorf("%s with a changed byte: error = %v", typ, err)
		}
		gone(t, string(typ), dst)
	}
	// The entry that is damaged is named.
	data := zipOf(t, members...)
	data[bytes.Index(data, []byte("PK\x03\x04"))+30+1+20] ^= 0x55
	_, _, err := extract(t, data, Zip, Options{})
	wantDefect(t, "zip", err, "a", "corrupt or cut off")
}

// A few bytes of an archive can describe as many zeros as a disk has room for.
func TestZerosBecomeHoles(t *testing.T) {
	t.Parallel()
	text := "begin" + strings.Repeat("\x00", 8<<20) + "end" + strings.Repeat("\x00", 1<<20)
	dst, stats, err := extract(t, tgzOf(t, member{name: "sparse", text: text}), Tgz, Options{})
	if err != nil || stats.Bytes != int64(len(text)) {
		t.Fatalf("stats = %+v, error = %v", stats, err)
	}
	path := filepath.Join(dst, "sparse")
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("read back %d bytes, %v; want the same %d", len(got), err, len(text))
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if used := info.Sys().(*syscall.Stat_t).Blocks * 512; used > 1<<20 {
		t.Errorf("the file takes %d bytes of the disk", used)
	}
}

func TestWrongTypes(t *testing.T) {
	t.Parallel()
	file := member{name: "a", text: "text"}
	for name, c := range map[string]struct {
		data []byte
		typ  Type
		text string
	}{
		"tar called tgz": {tarOf(t, file), Tgz, "not compressed with gzip although its bundle type is tgz"},
		"zip called tar": {zipOf(t, file), Tar, "it is a zip archive; register the revision with bundle type zip (codedeploy-local: --type zip)"},
		"tar called zip": {tarOf(t, file), Zip, "not a zip archive"},
		"tgz called zip": {tgzOf(t, file), Zip, "register the revision with bundle type tgz"},
		"zip called tgz": {zipOf(t, file), Tgz, "register the revision with bundle type zip"},
		"xz":             {[]byte("\xfd7zXZ\x00 and more"), Tar, "compressed with xz; compress it with gzip"},
		"zstd":           {[]byte("\x28\xb5\x2f\xfd and more"), Tar, "compressed with zstd"},
		"bzip2":          {[]byte("BZh9 and nonsense"), Tar, "corrupt or cut off"},
		"empty tar":      {nil, Tar, "it is empty"},
		"empty tgz":      {nil, Tgz, "it is empty"},
		"empty zip":      {nil, Zip, "not a zip archive"},
		"text":           {[]byte("hello world"), Tar, "corrupt or cut off"},
		"unknown type":   {tarOf(t, file), "rar", `unknown bundle type "rar"; it must be tar, tgz or zip`},
		"encrypted":      {encrypted(zipOf(t, file)), Zip, "encrypted"},
		"long trailer":   {gzipped(t, append(tarOf(t, file), make([]byte, maxTrailer+1)...)), Tgz, "behind its end"},
	} {
		dst, _, err := extract(t, c.data, c.typ, Options{})
		if defect := (*Error)(nil); !errors.As(err, &defect) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error = %v, want an *Error with %q", name, err, c.text)
		}
		gone(t, name, dst)
	}
}

// encrypted sets the flag of an encrypted entry in the central directory.
func encrypted(data []byte) []byte {
	data[bytes.Index(data, []byte("PK\x01\x02"))+8] |= 1
	return data
}

func TestLimits(t *testing.T) {
	t.Parallel()
	members := []member{{name: "a", text: "12345"}, {name: "b", text: "12345"}, {name: "c", text: "1"}}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Zip: zipOf(t, members...)} {
		if _, _, err := extract(t, data, typ, Options{MaxSize: 11, MaxEntries: 3}); err != nil {
			t.Errorf("%s: exactly at the limits: %v", typ, err)
		}
		dst, _, err := extract(t, data, typ, Options{MaxSize: 10})
		wantDefect(t, "size", err, "c", "unpacks to more than 10 bytes, the limit on this host")
		gone(t, "size", dst)
		dst, _, err = extract(t, data, typ, Options{MaxEntries: 2})
		wantDefect(t, "entries", err, "c", "more than 2 entries")
		gone(t, "entries", dst)
	}
}

// A small archive that unpacks to very much is stopped at the limit, even if its headers lie about the size.
func TestBombs(t *testing.T) {
	t.Parallel()
	huge := zipOf(t, member{name: "bomb", text: strings.Repeat("0", 4<<20)})
	central := bytes.Index(huge, []byte("PK\x01\x02"))
	copy(huge[central+24:], []byte{5, 0, 0, 0}) // claims to be 5 bytes
	dst, _, err := extract(t, huge, Zip, Options{MaxSize: 1 << 20})
	if defect := (*Error)(nil); !errors.As(err, &defect) || defect.Entry != "bomb" {
		t.Errorf("error = %v", err)
	}
	gone(t, "bomb", dst)

	dst, _, err = extract(t, tgzOf(t, member{name: "bomb", text: strings.Repeat("0", 4<<20)}), Tgz, Options{MaxSize: 1 << 20})
	wantDefect(t, "tgz", err, "bomb", "more than 1048576 bytes")
	gone(t, "tgz", dst)
}

func TestSetIDBitsNeedOwners(t *testing.T) {
	t.Parallel()
	m := member{name: "tool", mode: fs.ModeSetuid | fs.ModeSetgid | 0o755, text: "x"}
	for typ, data := range map[Type][]byte{Tar: tarOf(t, m), Zip: zipOf(t, m)} {
		dst, _, err := extract(t, data, typ, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(filepath.Join(dst, "tool")); err != nil || info.Mode() != 0o755 {
			t.Errorf("%s: mode = %v, %v", typ, info.Mode(), err)
		}
	}
}

func TestOwners(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away; run the tests as root")
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{
		{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755, Uid: 1234, Gid: 2345},
		{Name: "d/f", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 1234, Gid: 2345},
		{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd", Uid: 1234, Gid: 2345},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	for _, c := range []struct {
		owners   bool
		uid, gid uint32
		mode     fs.FileMode
	}{{false, 0, 0, 0o755}, {true, 1234, 2345, fs.ModeSetuid | 0o755}} {
		dst, _, err := extract(t, b.Bytes(), Tar, Options{Owners: c.owners, Permissive: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"d", "d/f", "d/l"} {
			info, err := os.Lstat(filepath.Join(dst, name))
			if err != nil {
				t.Fatal(err)
			}
			stat := info.Sys().(*syscall.Stat_t)
			if stat.Uid != c.uid || stat.Gid != c.gid || info.Mode().IsRegular() && info.Mode() != c.mode {
				t.Errorf("owners %v: %s has %d:%d %v", c.owners, name, stat.Uid, stat.Gid, info.Mode())
			}
		}
	}
	if info, err := os.Stat("/etc/passwd"); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the owner of a link's target was changed: %v", err)
	}
}

// A host's full disk is not a bundle's defect, and nothing is left that would make the next deployment fail as well.
//
// agent.md 16: 169
// agent.md 17: 8
func TestFullDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "")
	members := []member{{name: "a/b", text: "fits"}, {name: "big", text: strings.Repeat("0123456789abcdef", 100_000)}}
	small := save(t, tarOf(t, sample...))
	asked := roomAt(t, disk)
	otherwise := func(int64, int) error { return nil } // others take the space while the bundle is unpacked
	for _, c := range []struct {
		typ  Type
		data []byte
		room func(int64, int) error
		text string
	}{
		{Tar, tarOf(t, members...), asked, "this needs 1.5 MiB, 1.0 MiB are free"},
		{Tgz, tgzOf(t, members...), asked, "this needs 1.5 MiB, 1.0 MiB are free"},
		{Zip, zipOf(t, members...), asked, "this needs 1.5 MiB, 1.0 MiB are free"},
		{Tar, tarOf(t, members...), otherwise, "disk full: unpacked it needs at least 1.5 MiB, and there was room for "},
		{Tgz, tgzOf(t, members...), otherwise, "disk full: unpacked it needs at least 1.5 MiB, and there was room for "},
		{Zip, zipOf(t, members...), otherwise, "disk full: unpacked it needs at least 1.5 MiB, and there was room for "},
	} {
		dst := filepath.Join(disk, "archive")
		_, err := Extract(t.Context(), save(t, c.data), c.typ, dst, Options{Room: c.room})
		var defect *Error
		if !errors.Is(err, syscall.ENOSPC) || errors.As(err, &defect) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), disk) {
			t.Errorf("%s: error = %v", c.typ, err)
		}
		gone(t, string(c.typ), dst)
		if _, err := Extract(t.Context(), small, Tar, dst, Options{}); err != nil {
			t.Errorf("%s: a small bundle afterwards: %v", c.typ, err)
		}
		if err := removeAll(dst); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNoInodes(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "nr_inodes=8")
	dst := filepath.Join(disk, "archive")
	_, err := Extract(t.Context(), save(t, zipOf(t, sample...)), Zip, dst, Options{Room: roomAt(t, disk)})
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "needs 8 files, 7 can be made") {
		t.Errorf("error = %v", err)
	}
	gone(t, "no inodes", dst)
}

// A few KB that unpack to more zeros than the disk has room for would fit, as holes, but are refused.
func TestZerosCountAgainstTheDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "")
	var members []member
	for i := range 30 {
		members = append(members, member{name: fmt.Sprint(i), text: strings.Repeat("\x00", 100_000)})
	}
	tarred := tarOf(t, members...)
	joined := append(gzipped(t, tarred[:1<<20]), gzipped(t, tarred[1<<20:])...)
	joined = append(joined, gzipped(t, nil)...) // so that the length is not told at the end
	for typ, data := range map[Type][]byte{Tgz: joined, Zip: zipOf(t, members...)} {
		dst := filepath.Join(disk, string(typ))
		if _, err := Extract(t.Context(), save(t, data), typ, dst, Options{Room: roomAt(t, disk)}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("%s: error = %v", typ, err)
		}
		gone(t, string(typ), dst)
		if _, err := Extract(t.Context(), save(t, data), typ, dst, Options{}); err != nil {
			t.Errorf("%s, nobody asked: %v", typ, err)
		}
	}
}

// roomAt compares with what is free on a disk now.
func roomAt(t *testing.T, disk string) func(bytes int64, entries int) error {
	t.Helper()
	m, err := mount.At(disk)
	if err != nil {
		t.Fatal(err)
	}
	return func(bytes int64, entries int) error { return m.HasRoom(bytes, int64(entries)) }
}

// smallDisk mounts a file system of 1 MB, with an option if that is not "".
func smallDisk(t *testing.T, option string) string {
	t.Helper()
	disk := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m,"+option, "grapnel-test", disk).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small file system; run the tests as root with CAP_SYS_ADMIN (%v %s)", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() { exec.Command("umount", disk).Run() })
	return disk
}

func TestContextEndsExtraction(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the agent stops")
	cancel(reason)
	for typ, data := range map[Type][]byte{Tar: tarOf(t, sample...), Tgz: tgzOf(t, sample...), Zip: zipOf(t, sample...)} {
		dst := filepath.Join(t.TempDir(), "dst")
		_, err := Extract(ctx, save(t, data), typ, dst, Options{})
		var defect *Error
		if !errors.Is(err, reason) || errors.As(err, &defect) {
			t.Errorf("%s: error = %v", typ, err)
		}
		gone(t, string(typ), dst)
	}
}

// A file that is still empty when the context ends is no success, also when the reader has reached the archive's end by then.
func TestEndedCrewIsNoSuccess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	c := new(unpacker).crew(ctx)
	c.files <- unfinished{f: f, entry: &entry{name: "file", size: 1}, content: append(<-c.free, 'x')}
	if err := c.wait(nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want that of the context", err)
	}
}

func TestDestinationMustBeEmpty(t *testing.T) {
	t.Parallel()
	path := save(t, tarOf(t, sample...))
	dst := t.TempDir()
	if _, err := Extract(t.Context(), path, Tar, dst, Options{}); err != nil {
		t.Errorf("an empty folder is refused: %v", err)
	}
	before := tree(t, dst)
	if _, err := Extract(t.Context(), path, Tar, dst, Options{}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("error = %v", err)
	}
	if diff := cmp.Diff(before, tree(t, dst)); diff != "" {
		t.Errorf("what was there has changed (-want +got):\n%s", diff)
	}
	if _, err := Extract(t.Context(), path+".missing", Tar, filepath.Join(t.TempDir(), "a/b"), Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing bundle: error = %v", err)
	}
	os.Chmod(filepath.Join(dst, "scripts"), 0o755)
}

// Real programs make what Go's writers do not: PAX headers, sparse files, backslashes, no modes.
func TestForeignArchives(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 100) + "/" + strings.Repeat("n", 120)
	var pax bytes.Buffer
	w := tar.NewWriter(&pax)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "0123456789"}, Format: tar.FormatPAX})
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: long, Mode: 0o644, ModTime: oldTime.Add(time.Millisecond), Format: tar.FormatPAX})
	w.Close()
	dst, _, err := extract(t, gzipped(t, pax.Bytes()), Tar, Options{})
	if err != nil || tree(t, dst)[long] == "" {
		t.Errorf("PAX: %v, %v", err, tree(t, dst))
	}

	var dos bytes.Buffer
	z := zip.NewWriter(&dos)
	for _, name := range []string{`scripts\start.sh`, "plain", "folder/"} {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name}) // no modes: made on DOS
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, map[string]string{"folder/": ""}[name])
	}
	z.Close()
	dst, _, err = extract(t, dos.Bytes(), Zip, Options{})
	want := map[string]string{"scripts": "drwxr-xr-x", "scripts/start.sh": "-rw-r--r-- ", "plain": "-rw-r--r-- ", "folder": "drwxr-xr-x"}
	if diff := cmp.Diff(want, tree(t, dst)); err != nil || diff != "" {
		t.Errorf("DOS: %v (-want +got):\n%s", err, diff)
	}
}

// What the host's own tar packs is unpacked again as it was: sparse files, every compression, odd names.
func TestAgainstSystemTar(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("tar"); err != nil {
		t.Skip("tar is not installed; apt-get install tar")
	}
	src := t.TempDir()
	writeTree(t, src)
	sparse, err := os.Create(filepath.Join(src, "sparse"))
	if err != nil {
		t.Fatal(err)
	}
	sparse.WriteAt([]byte("end"), 1<<20)
	sparse.Close()
	want := tree(t, src)
	for _, options := range [][]string{{"-c"}, {"-cz"}, {"-cj"}, {"-c", "--format=v7"}, {"-c", "--format=ustar"}, {"-c", "-S"}, {"-c", "-S", "--format=pax"}} {
		if options[0] == "-cj" {
			if _, err := exec.LookPath("bzip2"); err != nil {
				continue
			}
		}
		path := filepath.Join(t.TempDir(), "bundle")
		if out, err := exec.Command("tar", append(options, "-f", path, "-C", src, ".")...).CombinedOutput(); err != nil {
			t.Fatalf("tar %v: %v %s", options, err, out)
		}
		dst := filepath.Join(t.TempDir(), "dst")
		if _, err := Extract(t.Context(), path, Tar, dst, Options{}); err != nil {
			t.Errorf("%v: %v", options, err)
			continue
		}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", options, diff)
		}
	}
}

// writeTree fills a folder with files, folders and links.
func writeTree(t *testing.T, dir string) {
	t.Helper()
	for name, text := range map[string]string{"appspec.yml": "version: 0.0\n", "scripts/start.sh": "#!/bin/sh\n", "a b/ü": "odd", "empty": ""} {
		path := filepath.Join(dir, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "scripts/start.sh"), 0o755),
		os.Chmod(filepath.Join(dir, "empty"), 0o600),
		os.Mkdir(filepath.Join(dir, "folder"), 0o750),
		os.Symlink("scripts/start.sh", filepath.Join(dir, "link")),
		os.Symlink("no/where", filepath.Join(dir, "dangling")),
		os.Chtimes(filepath.Join(dir, "appspec.yml"), oldTime, oldTime),
		os.Chtimes(filepath.Join(dir, "folder"), oldTime, oldTime),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// agent.md 16: 172
func TestStripWrapper(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, files string
		stripped    bool
		want        string
	}{
		{"GitHub's form", "app-0123/appspec.yml app-0123/scripts/x", true, "appspec.yml scripts scripts/x"},
		{"other name", "top/my-AppSpec.json", true, "my-AppSpec.json"},
		{"one level only", "a/b/appspec.yml", false, "a a/b a/b/appspec.yml"},
		{"second level stays", "a/appspec/b/appspec.yml", true, "appspec appspec/b appspec/b/appspec.yml"},
		{"same name inside", "a/appspec.yml a/a/x", true, "a a/x appspec.yml"},
		{"no AppSpec", "a/x", false, "a a/x"},
		{"two entries", "a/appspec.yml b", false, "a a/appspec.yml b"},
		{"a file", "appspec.yml", false, "appspec.yml"},
		{"empty", "", false, ""},
	} {
		dir := filepath.Join(t.TempDir(), "deployment-archive")
		os.MkdirAll(dir+"-temp/left/over", 0o755)
		os.Mkdir(dir, 0o755)
		for _, file := range strings.Fields(c.files) {
			os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755)
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		stripped, err := StripWrapper(dir)
		if err != nil || stripped != c.stripped {
			t.Errorf("%s: StripWrapper = %v, %v", c.name, stripped, err)
		}
		var got []string
		filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
			if name, err := filepath.Rel(dir, path); err == nil && name != "." {
				got = append(got, name)
			}
			return nil
		})
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" && len(got)+len(c.want) > 0 {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if _, err := os.Lstat(dir + "-temp"); stripped && err == nil {
			t.Errorf("%s: the folder beside it is still there", c.name)
		}
	}
	if _, err := StripWrapper(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: error = %v", err)
	}
}

// A wrapping folder that may not be written, and a symbolic link in its place.
func TestStripWrapperOddities(t *testing.T) {
	t.Parallel()
	dst, _, err := extract(t, tarOf(t, member{name: "top/", mode: fs.ModeDir | 0o555}, member{name: "top/appspec.yml"}), Tar, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stripped, err := StripWrapper(dst)
	if info, statErr := os.Stat(dst); err != nil || !stripped || statErr != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("StripWrapper = %v, %v; folder %v, %v", stripped, err, info.Mode(), statErr)
	}
	elsewhere := t.TempDir()
	writeTree(t, elsewhere)
	dst, _, err = extract(t, tarOf(t, member{name: "top", mode: link, text: elsewhere}), Tar, Options{Permissive: true})
	if err != nil {
		t.Fatal(err)
	}
	if stripped, err := StripWrapper(dst); stripped || err != nil {
		t.Errorf("a symbolic link was stripped: %v, %v", stripped, err)
	}
}

// What Pack packs, Extract unpacks as it was; and packing again gives the same bytes.
func TestPack(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	writeTree(t, src)
	var first, second bytes.Buffer
	stats, err := Pack(t.Context(), &first, src)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Stats{Entries: 9, Bytes: 26}); stats != want {
		t.Errorf("stats = %+v, want %+v", stats, want)
	}
	if _, err := Pack(t.Context(), &second, src+"/."); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Errorf("packed again it differs: %v", err)
	}
	dst, _, err := extract(t, first.Bytes(), Zip, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, src), tree(t, dst)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, name := range []string{"appspec.yml", "folder"} {
		if info, err := os.Stat(filepath.Join(dst, name)); err != nil || !info.ModTime().Equal(oldTime) {
			t.Errorf("%s has time %v, %v", name, info.ModTime(), err)
		}
	}
}

func TestPackRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Pack(t.Context(), io.Discard, filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: error = %v", err)
	}
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Pack(t.Context(), io.Discard, dir); err == nil || !strings.Contains(err.Error(), "fifo is a device, pipe or socket") {
		t.Errorf("pipe: error = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Pack(ctx, io.Discard, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("ended context: error = %v", err)
	}
}

// A link out of the archive is an invitation to write or read there; who needs one says so. Links within are as they were.
func TestLinksOutOfTheArchive(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, target string
		leaves       bool
	}{
		{"link", "/etc/passwd", true}, {"link", "../up", true}, {"a/link", "../../up", true}, {"a/link", "../b/../../up", true},
		{"a/link", "../b", false}, {"link", "a/../b", false}, {"link", "dangling", false},
	} {
		members := []member{{name: test.name, mode: link, text: test.target}}
		for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Tgz: tgzOf(t, members...), Zip: zipOf(t, members...)} {
			_, _, err := extract(t, data, typ, Options{})
			if defect := (*Error)(nil); errors.As(err, &defect) != test.leaves || (err != nil) != test.leaves {
				t.Errorf("%s: %s -> %s: %v, want it refused: %v", typ, test.name, test.target, err, test.leaves)
			}
			if _, _, err := extract(t, data, typ, Options{Permissive: true}); err != nil {
				t.Errorf("%s: %s -> %s with Permissive: %v", typ, test.name, test.target, err)
			}
		}
	}
}
