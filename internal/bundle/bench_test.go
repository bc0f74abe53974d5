//go:build unix

package bundle

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// benchDir returns a folder on a RAM disk where there is one, so that the disk does not hide what the code costs.
func benchDir(b *testing.B) string {
	b.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "grapnel-bundle")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// noise returns bytes that cannot be compressed.
func noise(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// smallFiles returns 3,500 files of source text in 70 folders, as a web application has them.
func smallFiles() map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	files := map[string][]byte{}
	for i := range 3500 {
		var text bytes.Buffer
		for size := 500 + random.IntN(8000); text.Len() < size; {
			fmt.Fprintf(&text, "function f%d(a, b) { return a.g%d(b) + %d }\n", random.IntN(1000), random.IntN(50), random.IntN(1_000_000))
		}
		files[fmt.Sprintf("lib/module%02d/file%04d.js", i%70, i)] = text.Bytes()
	}
	return files
}

// zipFile and tgzFile write a bundle with folders listed before their files, as zip and tar do.
func zipFile(b *testing.B, path string, files map[string][]byte) {
	b.Helper()
	var packed bytes.Buffer
	src := filepath.Join(filepath.Dir(path), "src")
	for name, data := range files {
		os.MkdirAll(filepath.Dir(filepath.Join(src, name)), 0o755)
		if err := os.WriteFile(filepath.Join(src, name), data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := Pack(context.Background(), &packed, src); err != nil {
		b.Fatal(err)
	}
	os.RemoveAll(src)
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
}

func tgzFile(b *testing.B, path, zipped string) {
	b.Helper()
	source, err := zip.OpenReader(zipped)
	if err != nil {
		b.Fatal(err)
	}
	defer source.Close()
	var packed bytes.Buffer
	compressed := gzip.NewWriter(&packed)
	archive := tar.NewWriter(compressed)
	for _, f := range source.File {
		header, err := tar.FileInfoHeader(f.FileInfo(), "")
		if err != nil {
			b.Fatal(err)
		}
		header.Name = f.Name
		archive.WriteHeader(header)
		content, err := f.Open()
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(archive, content)
	}
	archive.Close()
	compressed.Close()
	if err := os.WriteFile(path, packed.Bytes(), 0o644); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkExtract unpacks what issue 3 names, next to the host's own tools: a jar in a zip, many small files in a zip and in a
// tgz.
func BenchmarkExtract(b *testing.B) {
	dir := benchDir(b)
	jar, small, tgz := filepath.Join(dir, "jar.zip"), filepath.Join(dir, "small.zip"), filepath.Join(dir, "small.tgz")
	zipFile(b, jar, map[string][]byte{"appspec.yml": nil, "app.jar": noise(60 << 20)})
	zipFile(b, small, smallFiles())
	tgzFile(b, tgz, small)
	for _, c := range []struct {
		name, path string
		typ        Type
		tool       []string
	}{
		{"jar in zip", jar, Zip, []string{"unzip", "-q", "-o", jar, "-d"}},
		{"small files in zip", small, Zip, []string{"unzip", "-q", "-o", small, "-d"}},
		{"small files in tgz", tgz, Tgz, []string{"tar", "-xzpf", tgz, "-C"}},
	} {
		dst := filepath.Join(dir, "dst")
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Extract(context.Background(), c.path, c.typ, dst, Options{Owners: os.Geteuid() == 0}); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				os.RemoveAll(dst)
				b.StartTimer()
			}
		})
		b.Run(c.name+" by "+c.tool[0], func(b *testing.B) {
			if _, err := exec.LookPath(c.tool[0]); err != nil {
				b.Skipf("%s is not installed; apt-get install %s", c.tool[0], c.tool[0])
			}
			for b.Loop() {
				os.Mkdir(dst, 0o755)
				if out, err := exec.Command(c.tool[0], append(c.tool[1:], dst)...).CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
				b.StopTimer()
				os.RemoveAll(dst)
				b.StartTimer()
			}
		})
	}
}
