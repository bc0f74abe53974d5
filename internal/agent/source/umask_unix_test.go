//go:build unix

package source

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain sets a strict umask, as a hardened host has it: what is copied for the agent obeys it, all else does not.
func TestMain(m *testing.M) {
	syscall.Umask(0o027)
	os.Exit(m.Run())
}

// A pipe or socket that a program left in the folder is nothing to deploy, and reading it would wait for ever.
func TestLocalFolderWithAPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "app"), filepath.Join(dir, "archive")
	write(t, filepath.Join(from, "below", "a"), "a", 0o644)
	if err := syscall.Mkfifo(filepath.Join(from, "below", "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	log := &logText{}
	if _, err := New(Options{Log: log.logger()}).Fetch(t.Context(), local(from, Directory), "", to); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{".": "drwxr-xr-x", "below": "drwxr-xr-x", "below/a": "-rw-r----- a"}, tree(t, to)); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), filepath.Join(from, "below", "pipe")) {
		t.Errorf("the log does not name the pipe:\n%s", log)
	}
}
