package install

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// instructions returns what an Install would write down, one instruction on a line, with DIR for the host's folder.
func (h *host) instructions(o Options) string {
	h.Helper()
	p, err := New(h.Context(), o)
	must(h, err, p.writeInstructions())
	text := readFile(h, o.InstructionsFile)
	if !json.Valid([]byte(text)) || strings.Contains(text, "\n") {
		h.Errorf("not JSON on one line: %s", text)
	}
	return strings.ReplaceAll(strings.ReplaceAll(text, h.dir, "DIR"), "},{\"type", "},\n{\"type")
}

// A plan that has one of everything, as people find it on the host.
// agent.md 16: 146-149, 152-154
func TestInstructions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	must(t, os.MkdirAll(h.path("etc"), 0o755))
	got := h.instructions(h.revision(`
files:
  - {source: app, destination: DIR/opt/shop/}
  - {source: conf, destination: DIR/etc}
  - {source: app/lib, destination: DIR/opt/shop/more}
  - {source: conf, destination: DIR/opt/shop/more/}
permissions:
  - {object: DIR/opt/shop, pattern: "r*", mode: "750", owner: root, acls: ["daemon:rw"]}
  - {object: DIR/etc/conf, mode: "0600", group: root}
  - {object: DIR/opt/shop/lib/x.so}
  - {object: DIR/nowhere, mode: "000"}
`, files{"app/run": "", "app/lib/x.so": "", "app/more/y": "", "conf": ""}))
	want := `{"instructions":[{"type":"mkdir","directory":"DIR/opt"},
{"type":"mkdir","directory":"DIR/opt/shop"},
{"type":"mkdir","directory":"DIR/opt/shop/lib"},
{"type":"copy","source":"DIR/archive1/app/lib/x.so","destination":"DIR/opt/shop/lib/x.so"},
{"type":"mkdir","directory":"DIR/opt/shop/more"},
{"type":"copy","source":"DIR/archive1/app/more/y","destination":"DIR/opt/shop/more/y"},
{"type":"copy","source":"DIR/archive1/app/run","destination":"DIR/opt/shop/run"},
{"type":"copy","source":"DIR/archive1/conf","destination":"DIR/etc/conf"},
{"type":"copy","source":"DIR/archive1/app/lib/x.so","destination":"DIR/opt/shop/more/x.so"},
{"type":"copy","source":"DIR/archive1/conf","destination":"DIR/opt/shop/more/conf"},
{"type":"chmod","mode":"750","file":"DIR/opt/shop/run"},
{"type":"setfacl","acl":["user:daemon:rw-"],"file":"DIR/opt/shop/run"},
{"type":"chown","owner":"root","group":null,"file":"DIR/opt/shop/run"},
{"type":"chmod","mode":"0600","file":"DIR/etc/conf"},
{"type":"chown","owner":null,"group":"root","file":"DIR/etc/conf"}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("instructions (-want +got):\n%s", diff)
	}
}

// agent.md 16: 145
func TestNoFilesAreNoInstructions(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision("", nil)
	h.install(o)
	if got := readFile(t, o.InstructionsFile); got != `{"instructions":[]}` {
		t.Errorf("instructions = %s", got)
	}
	if got := readFile(t, o.CleanupFile); got != "" {
		t.Errorf("cleanup file = %q, want it empty", got)
	}
}

// The instructions are there before the first of them is executed: here the first one fails.
// agent.md 16: 144
func TestInstructionsAreWrittenFirst(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	o := h.revision(all, files{"f": "1"})
	p, err := New(t.Context(), o)
	must(t, err)
	writeFile(t, h.path("app"), "made after the plan")
	if err := p.Run(t.Context()); err == nil {
		t.Fatal("a folder was made over a file")
	}
	wantContains(t, readFile(t, o.InstructionsFile), `"type":"mkdir"`, `"type":"copy"`)
	if got := readFile(t, o.CleanupFile); got != "" {
		t.Errorf("cleanup file = %q, want nothing noted", got)
	}
}

// A destination that is no absolute path is taken below the agent's working folder.
// agent.md 16: 146
func TestRelativeDestination(t *testing.T) {
	h := newHost(t)
	t.Chdir(h.dir)
	got := h.instructions(h.revision("files:\n  - {source: f, destination: a/b/../c/}\n", files{"f": ""}))
	want := `{"instructions":[{"type":"mkdir","directory":"DIR/a"},
{"type":"mkdir","directory":"DIR/a/c"},
{"type":"copy","source":"DIR/archive1/f","destination":"DIR/a/c/f"}]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("instructions (-want +got):\n%s", diff)
	}
}
