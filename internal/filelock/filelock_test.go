package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLocks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	wantHeld := func(when string, want bool) {
		t.Helper()
		if got, err := Held(path); got != want || err != nil {
			t.Errorf("%s: held = %v, %v; want %v", when, got, err, want)
		}
	}
	wantHeld("no file", false)
	if _, err := os.Stat(path); err == nil {
		t.Error("asking has made the file")
	}
	first, err := Acquire(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	wantHeld("acquired", true)
	if _, err := Acquire(path, 0o600); !errors.Is(err, ErrHeld) {
		t.Errorf("acquired twice: error = %v, want ErrHeld", err)
	}
	first.Close()
	wantHeld("closed", false)

	asking, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := lock(asking, false); err != nil {
		t.Fatal(err)
	}
	wantHeld("somebody else asks", false)
	if _, err := Acquire(path, 0o600); !errors.Is(err, ErrHeld) {
		t.Errorf("while somebody asks: error = %v, want ErrHeld", err)
	}
	asking.Close()
	again, err := Acquire(path, 0o600)
	if err != nil {
		t.Fatalf("after all: %v", err)
	}
	again.Close()
	if _, err := Acquire(filepath.Join(path, "below"), 0o600); err == nil || errors.Is(err, ErrHeld) {
		t.Errorf("no such folder: error = %v, want another than ErrHeld", err)
	}
}
