package filelock

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLocks(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	first, second := open(), open()
	for _, step := range []struct {
		what string
		try  func(*os.File) (bool, error)
		f    *os.File
		want bool
	}{
		{"one shares", TryShared, first, true},
		{"another shares", TryShared, second, true},
		{"one wants it alone while it is shared", TryExclusive, first, false},
	} {
		if got, err := step.try(step.f); got != step.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", step.what, got, err, step.want)
		}
	}
	second.Close()
	if got, err := TryExclusive(first); !got || err != nil {
		t.Errorf("after the other was closed: %v, %v; want the lock", got, err)
	}
	if got, err := TryShared(open()); got || err != nil {
		t.Errorf("sharing what somebody has alone: %v, %v; want no lock", got, err)
	}
}
