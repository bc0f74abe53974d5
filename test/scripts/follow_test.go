package scripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/test/harness"
)

// TestFollow: the lines of a hook are seen while it runs, and kept. agent.md 9.6; users.md row 2.
func TestFollow(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, t.TempDir())
	harness.Register(t, s, "web-1", map[string]string{"role": "web"}).Start(t)
	goOn := filepath.Join(t.TempDir(), "go-on")
	id := harness.Deploy(t, s, "role", map[string][]byte{
		"appspec.yml": []byte("version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: hook.sh\n      timeout: 120\n"),
		"hook.sh":     fmt.Appendf(nil, "#!/bin/sh\necho waiting for %[1]s\nuntil [ -e %[1]s ]; do sleep 0.02; done\necho 'no such database' >&2\nexit 3\n", goOn),
	})
	follow := harness.StartCommand(t, exec.Command(harness.Path("grapnel"), "follow", id), s.Environ()...)
	harness.Eventually(t, harness.Patience, "the first line while the script runs", func() bool {
		return strings.Contains(follow.Output.String(), "waiting for")
	})
	if follow.Exited() {
		t.Errorf("follow ended before the deployment:\n%s", follow.Output)
	}
	if err := os.WriteFile(goOn, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code := follow.ExitCode(t); code != 1 {
		t.Errorf("follow of a failed deployment ended with %d, want 1", code)
	}
	for _, want := range []string{"no such database", "AfterInstall", "exit code 3"} {
		if !strings.Contains(follow.Output.String(), want) {
			t.Errorf("follow does not say %q:\n%s", want, follow.Output)
		}
	}
	logs := exec.Command(harness.Path("grapnel"), "logs", id, "--host", "web-1", "--event", "AfterInstall")
	logs.Env = s.Environ()
	out, err := logs.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"waiting for", "no such database"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the log that was kept lacks %q:\n%s", want, out)
		}
	}
}
