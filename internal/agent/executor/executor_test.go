package executor

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
)

func newExecutor(t *testing.T) *Executor {
	t.Helper()
	e, err := New(config.Config{RootDir: filepath.Join(t.TempDir(), "root"), ProgramName: "codedeploy-agent", MaxRevisions: 5},
		identity.Identity{}, nil, slog.New(slog.DiscardHandler))
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
