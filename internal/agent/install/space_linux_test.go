package install

import (
	"math"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/mount"
)

// measured plans an Install on mounts of the given size: the folder "disk" is one, the rest of the host another.
func (h *host) measured(o Options, free mount.Mount) *Plan {
	h.Helper()
	p, err := Preview(h.Context(), o)
	must(h, err)
	p.conflicts = nil
	for _, m := range p.old.found {
		free.Device = m.device // what is released counts where it is
	}
	p.demands = demands{byFolder: map[string]*demand{}, byDevice: map[uint64]*demand{}, mountOf: func(path string) (mount.Mount, error) {
		if strings.HasPrefix(path, h.path("disk")) {
			return mount.Mount{Point: "/disk", Existing: path, Device: math.MaxUint64, Block: 1, FreeBytes: math.MaxInt64, FreeFiles: -1}, nil
		}
		return free, nil
	}}
	must(h, p.addDemands(h.Context()))
	p.refuseShortages()
	return p
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.Mkdir(h.path("disk"), 0o755))
	spec := "files:\n  - {source: /, destination: DIR/app}\n  - {source: a, destination: DIR/disk}\n"
	o := h.revision(spec, files{"a": string(make([]byte, 3000)), "sub/b": "1"})
	for _, test := range []struct {
		free mount.Mount
		want string
	}{
		{mount.Mount{Point: "/small", Block: 1000, FreeBytes: 6000, FreeFiles: 4}, ""}, // two folders and two files
		{mount.Mount{Point: "/small", Block: 1000, FreeBytes: 5999, FreeFiles: 4}, "no space left on the device mounted at /small: installing this revision needs 0.0 MiB, 0.0 MiB are free"},
		{mount.Mount{Point: "/small", Block: 1000, FreeBytes: 6000, FreeFiles: 3}, "no inodes left on the device mounted at /small: installing this revision needs 4 files, 3 can be made"},
		{mount.Mount{Point: "/small", Block: 1000, FreeBytes: 6000, FreeFiles: -1}, ""},
	} {
		p := h.measured(o, test.free)
		err := p.refusal()
		if test.want == "" && err != nil {
			t.Errorf("%+v: %v", test.free, err)
		} else if test.want != "" && err == nil {
			t.Errorf("%+v: no error, want %q", test.free, test.want)
		} else if test.want != "" {
			wantContains(t, err.Error(), test.want, "max_revisions")
		}
	}
	want := []mount.Room{
		{Mount: "/disk", Bytes: 3000, Files: 1, FreeBytes: math.MaxInt64, FreeFiles: -1},
		{Mount: "/small", Bytes: 6000, Files: 4, FreeBytes: 6000, FreeFiles: 4},
	}
	if diff := cmp.Diff(want, h.measured(o, mount.Mount{Point: "/small", Block: 1000, FreeBytes: 6000, FreeFiles: 4}).Room()); diff != "" {
		t.Errorf("room (-want +got):\n%s", diff)
	}
}

// What the cleanup frees counts: the same revision again always fits.
func TestRoomOfThePreviousRevision(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"a": string(make([]byte, 100_000)), "sub/b": "1"})
	h.install(o)
	if err := h.measured(o, mount.Mount{Point: "/full", Block: 1, FreeFiles: 0}).refusal(); err != nil {
		t.Error(err)
	}
	// A file that is replaced stays until its successor is complete.
	must(t, os.Remove(o.CleanupFile))
	o.Behavior = "OVERWRITE"
	p := h.measured(o, mount.Mount{Point: "/full", Block: 1, FreeFiles: 0})
	if err := p.refusal(); err == nil {
		t.Error("two copies of the largest file fit into no space")
	}
}
