//go:build unix

package bundle

import (
	"archive/tar"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// seeds are the shapes of archives that the fuzzers begin with.
func seeds() [][]member {
	return [][]member{
		nil,
		sample,
		{{name: "out", mode: link, text: ".."}, {name: "out/x", text: "evil"}},
		{{name: "a", text: "1"}, {name: "a", text: "2"}, {name: "h", text: "a", hard: true}},
		{{name: "/abs", text: "1"}, {name: "../up", text: "2"}},
		{{name: "zeros", text: strings.Repeat("\x00", 3*blockLength)}, {name: "pipe", flag: tar.TypeFifo}},
		{{name: "a/b/c", text: "1"}, {name: "a/l", mode: link, text: "b"}, {name: "a/l/d", text: "2"}},
	}
}

// FuzzExtractTar and FuzzExtractZip check that no archive writes outside its folder, takes more than it may, or leaves
// anything when it is refused.
func FuzzExtractTar(f *testing.F) {
	for _, members := range seeds() {
		f.Add(false, tarOf(f, members...))
		f.Add(true, tgzOf(f, members...))
	}
	f.Fuzz(func(t *testing.T, permissive bool, data []byte) { checkExtract(t, data, Tar, permissive) })
}

func FuzzExtractZip(f *testing.F) {
	for _, members := range seeds() {
		f.Add(false, zipOf(f, members...))
		f.Add(true, zipOf(f, members...))
	}
	f.Fuzz(func(t *testing.T, permissive bool, data []byte) { checkExtract(t, data, Zip, permissive) })
}

func checkExtract(t *testing.T, data []byte, typ Type, permissive bool) {
	top := t.TempDir()
	dst, path := filepath.Join(top, "dst"), filepath.Join(top, "bundle")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	const maxSize, maxEntries = 1 << 20, 100
	stats, err := Extract(t.Context(), path, typ, dst, Options{MaxSize: maxSize, MaxEntries: maxEntries, Permissive: permissive})
	if err != nil {
		gone(t, "refused", dst)
		if defect := (*Error)(nil); errors.As(err, &defect) && defect.Message == "" {
			t.Fatalf("%#v does not say what is wrong", defect)
		}
	}
	if stats.Bytes > maxSize || stats.Entries > maxEntries {
		t.Fatalf("unpacked %+v", stats)
	}
	entries, readErr := os.ReadDir(top)
	if readErr != nil || len(entries) > 2 || len(entries) == 2 && entries[1].Name() != "dst" {
		t.Fatalf("%v, %v beside the folder", entries, readErr)
	}
	if err := removeAll(dst); err != nil {
		t.Fatal(err)
	}
}
