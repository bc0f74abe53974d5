//go:build unix

package bundle

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// What the host's own zip packs: links, forced zip64, stored and bzip2 entries.
func TestAgainstSystemZip(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	writeTree(t, src)
	want := tree(t, src)
	for _, option := range []string{"-6", "-fz", "-0", "-Zbzip2", "-D"} {
		dst := filepath.Join(t.TempDir(), "dst")
		if _, err := Extract(t.Context(), systemZip(t, src, option), Zip, dst, Options{Permissive: true}); err != nil {
			t.Errorf("%s: %v", option, err)
			continue
		}
		got := tree(t, dst)
		if option == "-D" { // no entries for folders
			got["folder"] = want["folder"]
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", option, diff)
		}
	}
	dst := filepath.Join(t.TempDir(), "dst")
	_, err := Extract(t.Context(), systemZip(t, src, "-Psecret"), Zip, dst, Options{})
	if err == nil || !strings.Contains(err.Error(), "it is encrypted; pack without a password") {
		t.Errorf("with a password: error = %v", err)
	}
	gone(t, "with a password", dst)
}

// systemZip packs a folder with the host's zip, and returns the archive's path.
func systemZip(t *testing.T, src, option string) string {
	t.Helper()
	if _, err := exec.LookPath("zip"); err != nil {
		t.Skip("zip is not installed; apt-get install zip")
	}
	path := filepath.Join(t.TempDir(), "bundle.zip")
	cmd := exec.Command("zip", "-q", "-r", "-y", option, path, ".")
	cmd.Dir = src
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("zip %s: %v %s", option, err, out)
	}
	return path
}

// A method that nothing here decodes is named before anything is written.
func TestUnknownMethod(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.Create("fine")
	f, err := w.CreateRaw(&zip.FileHeader{Name: "odd", Method: 9, CompressedSize64: 3, UncompressedSize64: 3, CRC32: crc32.ChecksumIEEE([]byte("odd"))})
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "odd")
	w.Close()
	dst, _, err := extract(t, b.Bytes(), Zip, Options{})
	wantDefect(t, "deflate64", err, "odd", "compressed with method 9; pack with deflate")
	gone(t, "deflate64", dst)
}

// A header that declares another size or checksum than the content has.
func TestZipWithFalseHeaders(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("content ", 1000)
	for name, change := range map[string]func(central []byte){
		"longer than declared":  func(c []byte) { binary.LittleEndian.PutUint32(c[24:], 5) },
		"shorter than declared": func(c []byte) { binary.LittleEndian.PutUint32(c[24:], uint32(len(text)+1)) },
		"checksum":              func(c []byte) { c[16] ^= 1 },
		"offset":                func(c []byte) { binary.LittleEndian.PutUint32(c[42:], 7) },
	} {
		data := zipOf(t, member{name: "a", text: text}, member{name: "b", text: text})
		change(data[bytes.Index(data, []byte("PK\x01\x02")):])
		dst, _, err := extract(t, data, Zip, Options{})
		wantDefect(t, name, err, "a", "corrupt or cut off")
		gone(t, name, dst)
	}
}

// Names beyond the 100 bytes of the old header, in both forms there are.
func TestLongNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("directory/", 30) + strings.Repeat("n", 200)
	for _, format := range []tar.Format{tar.FormatGNU, tar.FormatPAX} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: long, Mode: 0o644, Format: format})
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: long, Mode: 0o777, Format: format})
		w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: long, Mode: 0o777, Format: format})
		w.Close()
		dst, _, err := extract(t, b.Bytes(), Tar, Options{})
		if err != nil {
			t.Errorf("%v: %v", format, err)
			continue
		}
		got := tree(t, dst)
		if got[long] != "-rw-r--r-- " || got["l"] != "-> "+long || got["h"] != "-rw-r--r-- " {
			t.Errorf("%v: %v", format, got)
		}
	}
}

// Extended attributes in PAX records are not restored, as by tar without --xattrs: a capability would be a right that the
// bundle gives itself.
func TestExtendedAttributesAreLeftOut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "tool", Mode: 0o755, Format: tar.FormatPAX, PAXRecords: map[string]string{
		"SCHILY.xattr.user.note":           "1",
		"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
	}})
	w.Close()
	dst, _, err := extract(t, b.Bytes(), Tar, Options{Owners: os.Geteuid() == 0})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"user.note", "security.capability"} {
		if n, err := unix.Lgetxattr(filepath.Join(dst, "tool"), name, nil); err == nil {
			t.Errorf("the file has %d bytes of %s", n, name)
		}
	}
}

// manyFiles returns entries of every size, so that all writers have work, and what they unpack to.
func manyFiles() ([]member, map[string]string) {
	var members []member
	want := map[string]string{}
	for i := range 100 {
		m := member{name: fmt.Sprintf("d%d/e%d/f%d", i/25, i%7, i), text: strings.Repeat(fmt.Sprint(i), i*i*i%50_000)}
		members = append(members, m)
		want[m.name] = "-rw-r--r-- " + m.text
		want[filepath.Dir(m.name)], want[filepath.Dir(filepath.Dir(m.name))] = "drwxr-xr-x", "drwxr-xr-x"
	}
	return members, want
}

func TestManyFiles(t *testing.T) {
	t.Parallel()
	members, want := manyFiles()
	for typ, data := range map[Type][]byte{Tar: tarOf(t, members...), Tgz: tgzOf(t, members...), Zip: zipOf(t, members...)} {
		dst, stats, err := extract(t, data, typ, Options{})
		if err != nil || stats.Entries != len(members) {
			t.Errorf("%s: %+v, %v", typ, stats, err)
			continue
		}
		if diff := cmp.Diff(want, tree(t, dst)); diff != "" {
			t.Errorf("%s (-want +got):\n%.2000s", typ, diff)
		}
	}
}

// Failing in the middle leaves no file open and no goroutine behind. It does not run beside other tests, which open files too.
func TestFailingLeavesNothingOpen(t *testing.T) {
	members, _ := manyFiles()
	bad := append(slices.Clone(members[:50]), member{name: "d0/e0", text: "evil"})
	bad = append(bad, members[50:]...)
	archives := map[Type][]byte{Tgz: tgzOf(t, bad...), Zip: zipOf(t, bad...)}
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	for range 5 {
		for typ, data := range archives {
			dst, _, err := extract(t, data, typ, Options{})
			wantDefect(t, string(typ), err, "d0/e0", "as a file and as a folder")
			gone(t, string(typ), dst)
		}
	}
	if now := openFiles(t); now > files {
		t.Errorf("%d files open, %d before", now, files)
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, %d before", now, goroutines)
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("the descriptors of a process are only listed on Linux: %v", err)
	}
	return len(entries)
}
