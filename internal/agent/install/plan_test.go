package install

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"grapnel/internal/appspec"
)

func mustPlan(t *testing.T, archive, spec, behavior string) *installPlan {
	t.Helper()
	parsed, err := appspec.Parse("appspec.yml", []byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := planInstall(archive, parsed, cmp.Or(behavior, disallow), nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// The instructions of a plan that has one of everything, as people find them on the host.
func TestInstructions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	archive := filepath.Join(dir, "archive")
	files{"app/run": "", "app/lib/x.so": "", "conf": ""}.write(t, archive)
	plan := mustPlan(t, archive, strings.ReplaceAll(`
version: 0.0
os: linux
files:
  - {source: app, destination: DIR/opt/shop/}
  - {source: conf, destination: DIR/etc}
  - {source: app/lib, destination: DIR/opt/shop/more}
permissions:
  - {object: DIR/opt/shop, mode: "750", owner: root, pattern: "r*"}
  - {object: DIR/etc/conf, mode: "0600", group: root}
  - {object: DIR/nowhere, mode: "000"}
`, "DIR", dir), "")
	path := filepath.Join(dir, "install.json")
	if err := writeInstructions(path, plan.steps); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(strings.ReplaceAll(`{"instructions":[
{"type":"mkdir","directory":"DIR/opt"},
{"type":"mkdir","directory":"DIR/opt/shop"},
{"type":"mkdir","directory":"DIR/opt/shop/lib"},
{"type":"copy","source":"DIR/archive/app/lib/x.so","destination":"DIR/opt/shop/lib/x.so"},
{"type":"copy","source":"DIR/archive/app/run","destination":"DIR/opt/shop/run"},
{"type":"mkdir","directory":"DIR/etc"},
{"type":"copy","source":"DIR/archive/conf","destination":"DIR/etc/conf"},
{"type":"mkdir","directory":"DIR/opt/shop/more"},
{"type":"copy","source":"DIR/archive/app/lib/x.so","destination":"DIR/opt/shop/more/x.so"},
{"type":"chmod","mode":"750","file":"DIR/opt/shop/run"},
{"type":"chown","owner":"root","group":null,"file":"DIR/opt/shop/run"},
{"type":"chmod","mode":"0600","file":"DIR/etc/conf"},
{"type":"chown","owner":null,"group":"root","file":"DIR/etc/conf"}]}`, "DIR", dir), "\n", "")
	if diff := gocmp.Diff(want, readFile(t, path)); diff != "" {
		t.Errorf("instructions (-want +got):\n%s", diff)
	}
}

func TestNoFilesAreNoInstructions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "install.json")
	if err := writeInstructions(path, nil); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); got != `{"instructions":[]}` || !json.Valid([]byte(got)) {
		t.Errorf("got %s", got)
	}
}

func TestLinkBackUpIsRefused(t *testing.T) {
	t.Parallel()
	archive := t.TempDir()
	files{"a/b/c": ""}.write(t, archive)
	if err := os.Symlink("..", filepath.Join(archive, "a/b/up")); err != nil {
		t.Fatal(err)
	}
	_, err := planInstall(archive, &appspec.AppSpec{Files: []appspec.File{{Source: "/", Destination: "/nowhere/app"}}}, disallow, nil)
	if err == nil || !strings.Contains(err.Error(), "a/b/up leads back to a folder above it") {
		t.Errorf("error = %v, want the link named", err)
	}
}

func TestMatchStars(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true}, {"*", "abc", true}, {"a*c", "abc", true}, {"a*c", "ac", true}, {"a*c", "acb", false}, {"*.sh", "a.sh.sh", true},
		{"***", "x", true}, {"a?c", "abc", false}, {"a?c", "a?c", true}, {"[ab]", "a", false}, {"", "", true}, {"", "a", false},
		{"*a*b*", "xxaxxbxx", true}, {"*a*b*", "xxbxxaxx", false},
	} {
		if got := matchStars(test.pattern, test.name); got != test.want {
			t.Errorf("matchStars(%q, %q) = %v, want %v", test.pattern, test.name, got, test.want)
		}
	}
}

// Mistake 11 of users.md: a matcher that takes exponential time. This one would take longer than the universe has.
func TestMatchStarsIsQuick(t *testing.T) {
	t.Parallel()
	done := make(chan bool, 1)
	go func() { done <- matchStars(strings.Repeat("*a", 60)+"b", strings.Repeat("a", 4000)) }()
	select {
	case matched := <-done:
		if matched {
			t.Error("matched")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("still matching after 30 s")
	}
}

func TestMatchesPermission(t *testing.T) {
	t.Parallel()
	entry := func(pattern string, except ...string) appspec.Permission {
		return appspec.Permission{Pattern: pattern, Except: except}
	}
	for _, test := range []struct {
		entry appspec.Permission
		path  string
		want  bool
	}{
		{entry("**"), "/app", false}, {entry("**"), "/app/a", true}, {entry("**"), "/app/a/b", true}, {entry("**"), "/apple", false},
		{entry("*"), "/app/a", true}, {entry("*"), "/app/a/b", false}, {entry("***"), "/app/a/b", false},
		{entry("**", "a"), "/app/a", false}, {entry("**", "b"), "/app/a/b", true}, {entry("**", "a/b"), "/app/a/b", true},
	} {
		if got := matchesPermission("/app", test.entry, test.path); got != test.want {
			t.Errorf("pattern %q except %q: %s = %v, want %v", test.entry.Pattern, test.entry.Except, test.path, got, test.want)
		}
	}
}

// files is a tree by path.
type files map[string]string

func (f files) write(t *testing.T, dir string) {
	t.Helper()
	for name, content := range f {
		writeFile(t, filepath.Join(dir, name), content)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
