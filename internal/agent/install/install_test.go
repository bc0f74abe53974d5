package install

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/appspec"
)

// files is a tree by path.
type files map[string]string

func (f files) write(t testing.TB, dir string) {
	t.Helper()
	for name, content := range f {
		writeFile(t, filepath.Join(dir, name), content)
	}
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// host is a folder in which one deployment group installs.
type host struct {
	testing.TB
	dir   string
	log   bytes.Buffer
	count int
}

func newHost(t testing.TB) *host { return &host{TB: t, dir: t.TempDir()} }

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) app(name string) string { return filepath.Join(h.dir, "app", name) }

// revision is an archive and the AppSpec's text, in which DIR stands for the host's folder.
func (h *host) revision(spec string, content files) Options {
	h.Helper()
	h.count++
	archive := h.path(fmt.Sprintf("archive%d", h.count))
	must(h, os.MkdirAll(archive, 0o755))
	content.write(h, archive)
	return h.options(archive, spec)
}

func (h *host) options(archive, spec string) Options {
	h.Helper()
	text := "version: 0.0\nos: linux\n" + strings.ReplaceAll(spec, "DIR", h.dir)
	parsed, err := appspec.Parse("appspec.yml", []byte(text))
	must(h, err, os.MkdirAll(h.path("records"), 0o755))
	return Options{
		Archive: archive, AppSpec: parsed, AppSpecPath: "appspec.yml",
		CleanupFile: h.path("records/g-cleanup"), InstructionsFile: h.path("records/g-install.json"),
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	}
}

// all copies everything to the folder app.
const all = "files:\n  - {source: /, destination: DIR/app}\n"

func (h *host) install(o Options) {
	h.Helper()
	p, err := New(h.Context(), o)
	if err == nil {
		err = p.Run(h.Context())
	}
	must(h, err)
}

// refused returns the error of an Install that must change nothing, and checks that.
func (h *host) refused(o Options) string {
	h.Helper()
	before := tree(h, h.dir)
	p, err := New(h.Context(), o)
	if err == nil || p != nil {
		h.Fatalf("New = %v, %v; want an error", p, err)
	}
	preview, previewErr := Preview(h.Context(), o)
	if previewErr == nil {
		if err := preview.Run(h.Context()); err == nil {
			h.Error("a plan with conflicts ran")
		}
	}
	if diff := cmp.Diff(before, tree(h, h.dir)); diff != "" {
		h.Errorf("the refused Install changed the host (-before +after):\n%s", diff)
	}
	if !strings.Contains(err.Error(), "Nothing was changed on this host") {
		h.Errorf("the error does not say that nothing was changed: %v", err)
	}
	return err.Error()
}

// tree returns mode, times, owner, serial number and content of everything below dir.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		m, err := lstat(path)
		if err != nil {
			return err
		}
		found[path] = fmt.Sprint(m.mode, m.mtime, m.uid, m.gid, m.serial)
		switch {
		case entry.Type().IsRegular():
			found[path] += " " + readFile(t, path)
		case entry.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			found[path] += " " + target
		}
		return nil
	}))
	return found
}

func wantContains(t testing.TB, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("got %q, want %q in it", got, part)
		}
	}
}
