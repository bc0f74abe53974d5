//go:build unix

package packages_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"grapnel/internal/packages"
)

// A pipe that nobody writes to would hold everyone who asks for it.
func TestAPipeIsNotServed(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, body, err := ask(t, packages.Options{Dir: dir}, "pipe", nil); !errors.Is(err, fs.ErrNotExist) || body != "" {
		t.Errorf("%q, %v", body, err)
	}
}
