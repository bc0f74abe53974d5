//go:build unix

package join

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// systemd starts the agent anew, without being waited for; where it does not run the agent, it is left alone.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if restart(t.Context()) {
		t.Error("there is no systemctl, and it has restarted the agent")
	}
	for _, test := range []struct {
		fails string // the command that does not succeed
		want  bool
		calls string
	}{
		{"none", true, "cat codedeploy-agent.service\n--no-block restart codedeploy-agent.service\n"},
		{"cat", false, "cat codedeploy-agent.service\n"}, // no such unit
		{"--no-block", false, "cat codedeploy-agent.service\n--no-block restart codedeploy-agent.service\n"},
	} {
		calls := filepath.Join(dir, "calls-"+test.fails)
		program := "#!/bin/sh\necho \"$@\" >>" + calls + "\n[ \"$1\" != " + test.fails + " ]\n"
		if err := os.WriteFile(filepath.Join(dir, "systemctl"), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		got := restart(t.Context())
		said, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		if got != test.want || string(said) != test.calls {
			t.Errorf("when %s fails: %t after %q, want %t after %q", test.fails, got, strings.TrimSpace(string(said)), test.want, test.calls)
		}
	}
}
