package executor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/agent/install"
	"grapnel/internal/agent/source"
	"grapnel/internal/appspec"
	"grapnel/internal/lifecycle"
	"grapnel/internal/mount"
)

// The space that a deployment needs below its root is told, and a preview leaves nothing there.
func TestPreview(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	revision := filepath.Join(dir, "app")
	if err := os.MkdirAll(revision, 0o755); err != nil {
		t.Fatal(err)
	}
	appSpec := "version: 0.0\nos: linux\nfiles: [{source: file, destination: " + filepath.Join(dir, "dest") + "}]\n" +
		"hooks: {AfterInstall: [{location: fil}], ValidateService: [{location: scripts/check.sh}]}\n"
	for name, content := range map[string]string{"appspec.yml": appSpec, "file": strings.Repeat("x", 100_000)} {
		if err := os.WriteFile(filepath.Join(revision, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	e := executorAt(t, filepath.Join(dir, "root"))
	d := &Deployment{ID: "d-1", GroupID: "group", AppSpecFilename: "appspec.yml", Revision: source.Revision{
		Local: &source.Local{Location: revision, Type: source.Directory},
	}}
	events := []string{string(lifecycle.ApplicationStop), string(lifecycle.DownloadBundle), string(lifecycle.Install), string(lifecycle.AfterInstall)}
	got, err := e.Preview(t.Context(), d, events, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Scripts) != 1 || !got.Scripts[0].Fails || !strings.Contains(got.Scripts[0].Problem, `"file"`) {
		t.Errorf("scripts = %+v, want the one of AfterInstall, which fails and was probably meant to be \"file\"", got.Scripts)
	}
	if len(got.Failures) != 1 || !strings.Contains(got.Failures[0], "scripts/check.sh") || !strings.Contains(got.Failures[0], "BUNDLE/scripts/check.sh") {
		t.Errorf("failures = %q, want the missing script of an event that is not asked for", got.Failures)
	}
	var bytes, files int64
	for _, room := range got.Room {
		bytes, files = bytes+room.Bytes, files+room.Files
	}
	if bytes < 200_000 || bytes > 300_000 || files < 6 {
		t.Errorf("room = %+v, want about 100,000 bytes in the archive and as many at the destination", got.Room)
	}
	for _, name := range []string{"root", "dest"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("the preview has made %s", name)
		}
	}
}

// Scripts outside the bundle are looked for from the folder that the deployment will have, however deep the temporary one is.
func TestPreviewOfScriptsOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "there.sh"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &preview{
		executor: executorAt(t, filepath.Join(dir, "root")), deployment: &Deployment{ID: "d-1", GroupID: "group"}, temp: "/deep/as/can/be",
		out: &Preview{Changes: []install.Change{{Action: install.Create, Path: filepath.Join(dir, "made.sh")}}},
	}
	for name, want := range map[string]string{"there.sh": "", "made.sh": "", "missing.sh": filepath.Join(dir, "missing.sh") + " is not there now"} {
		got, certain := p.problem(appspec.Script{Location: "../../../../" + name}, chosen{dir: p.temp}, nil)
		if certain || !strings.HasSuffix(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, certain %v; want %q, which is not certain", name, got, certain, want)
		}
	}
	p.executor.cfg.Hardening.RejectPathTraversal = true
	if got, certain := p.problem(appspec.Script{Location: "../../../../there.sh"}, chosen{dir: p.temp}, nil); !certain || !strings.Contains(got, "reject_path_traversal") {
		t.Errorf("with the flag: %q, certain %v", got, certain)
	}
}

// A shortage is told once, whoever has found it.
func TestPreviewOfAFullDisk(t *testing.T) {
	t.Parallel()
	full := mount.Room{Mount: "/srv", Bytes: 10, Files: 1, FreeBytes: 9, FreeFiles: -1}
	for name, row := range map[string]struct {
		refused []string
		want    string
	}{
		"found here":    {want: full.Shortage("the deployment").Error()},
		"known already": {refused: []string{"/srv"}},
	} {
		p := &preview{out: &Preview{}, refused: row.refused}
		p.refuseShortage(full)
		if got := strings.Join(p.out.Failures, "; "); got != row.want {
			t.Errorf("%s: failures = %q, want %q", name, got, row.want)
		}
	}
}
