package mount

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestHasRoom(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/not/there/yet"
	if err := HasRoom(path, 1, 1); err != nil {
		t.Fatal(err)
	}
	err := HasRoom(path, 1<<60, 1)
	var short *NoRoom
	if !errors.As(err, &short) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a whole exbibyte: error = %v, want NoRoom", err)
	}
	for _, want := range []string{"no space left on the device mounted at /", "this needs 1099511627776.0 MiB", "MiB are free", "max_revisions"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error = %v, want %q in it", err, want)
		}
	}
	m, err := At(path)
	if err != nil || !isAtOrBelow(path, m.Point) || !isAtOrBelow(path, m.Existing) {
		t.Errorf("At(%s) = %+v, %v", path, m, err)
	}
}

func TestNearestFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(dir+"/file", nil, 0o644), os.Symlink("nowhere", dir+"/broken")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: dir, dir + "/not/there": dir, dir + "/broken/below": dir, dir + "/file": "is no folder", dir + "/file/below": "is no folder",
	} {
		got, err := NearestFolder(path)
		if err == nil && got != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("NearestFolder(%s) = %s, %v; want %s", path, got, err, want)
		}
	}
}

func TestShortage(t *testing.T) {
	t.Parallel()
	full := Room{Mount: "/srv", Bytes: 10 << 20, Files: 1, FreeBytes: 9 << 20, FreeFiles: -1}
	for name, row := range map[string]struct {
		room Room
		want string
	}{
		"bytes":    {full, "no space left on the device mounted at /srv: it needs 10.0 MiB, 9.0 MiB are free"},
		"files":    {Room{Mount: "/srv", Files: 3, FreeFiles: 2}, "no inodes left on the device mounted at /srv: it needs 3 files, 2 can be made"},
		"enough":   {Room{Mount: "/srv", Bytes: 1, Files: 1, FreeBytes: 1, FreeFiles: 1}, ""},
		"no limit": {Room{Mount: "/srv", Bytes: 1, Files: 9, FreeBytes: 1, FreeFiles: -1}, ""},
		"frees":    {Room{Mount: "/srv", Bytes: -1, Files: -1}, ""},
	} {
		got := ""
		if short := row.room.Shortage("it"); short != nil {
			got = short.Reason
		}
		if got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", -1 << 20: "-1.0 MiB", 5 << 30: "5.0 GiB"} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %s, want %s", bytes, got, want)
		}
	}
}

func TestUnescapeMount(t *testing.T) {
	t.Parallel()
	if got := unescapeMount(`/a\040b\134c\x`); got != `/a b\c\x` {
		t.Errorf("got %q", got)
	}
}
