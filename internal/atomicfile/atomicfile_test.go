package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestWriteFileReplacesContentAndMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.json")
	for _, want := range []struct {
		data string
		mode fs.FileMode
	}{{"first, and longer", 0o644}, {"second", 0o600}, {"", 0o666}} {
		if err := WriteFile(path, []byte(want.data), want.mode); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want.data {
			t.Errorf("content = %q, %v; want %q", got, err, want.data)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want.mode {
			t.Errorf("mode = %v, %v; want %v", info.Mode(), err, want.mode)
		}
	}
}

// Whoever can put a symlink into a folder must not be able to choose which file the agent overwrites.
func TestWriteFileReplacesASymlink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "path")
	if err := os.WriteFile(target, []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Skipf("no symlinks here: %v", err)
	}
	if err := WriteFile(path, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(target); err != nil || string(got) != "untouched" {
		t.Errorf("target = %q, %v", got, err)
	}
	if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("path is %v, %v; want a regular file", info, err)
	}
}

func TestWriteFileLeavesNothingBehindWhenItFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	occupied := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(occupied, "child"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(occupied, []byte("x"), 0o644)
	if err == nil || !strings.Contains(err.Error(), occupied) {
		t.Errorf("error = %v, want one that names %s", err, occupied)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("folder holds %v, %v; want only the sub-folder", entries, err)
	}
}

func TestWriteFileInMissingFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "file")
	if err := WriteFile(path, nil, 0o644); err == nil {
		t.Error("no error for a folder that does not exist")
	}
}

// A reader must never see a part of a write, however many writers there are.
func TestReadersSeeWholeContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteFile(path, []byte(strings.Repeat("0", 5000)), 0o644); err != nil {
		t.Fatal(err)
	}
	var writers sync.WaitGroup
	for _, letter := range []string{"a", "b"} {
		writers.Go(func() {
			for range 20 {
				if err := WriteFile(path, []byte(strings.Repeat(letter, 5000)), 0o644); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		got, err := os.ReadFile(path)
		if err != nil || len(got) != 5000 || strings.Trim(string(got), string(got[:1])) != "" {
			t.Fatalf("read a mixture of %d bytes, %v", len(got), err)
		}
	}
	writers.Wait()
}
