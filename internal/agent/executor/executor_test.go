package executor

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func newExecutor(t *testing.T) *Executor {
	t.Helper()
	e, err := New(Options{Root: filepath.Join(t.TempDir(), "root"), Program: "codedeploy-agent", MaxRevisions: 5, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestUnsupportedCommand(t *testing.T) {
	t.Parallel()
	e := newExecutor(t)
	d := &Deployment{GroupID: "g", ID: "d"}
	if _, err := e.Run(t.Context(), "Dance", d, Watcher{}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("error = %v, want unsupported", err)
	}
	if _, err := os.Stat(filepath.Dir(e.Folder(d))); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a folder was made for an unsupported command")
	}
}
