package packages

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"grapnel/test/harness"
)

// agentStub says how it was started.
const agentStub = `#!/bin/sh
echo "agent $1, profile ${FROM_PROFILE-unset}, flags $-"
`

// TestStartWithProfile runs the program of the unit with different files in /etc/profile. Whatever the profile does, the host
// gets its agent.
func TestStartWithProfile(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	c.install(t)
	for _, row := range []struct{ name, profile, want string }{
		{"exports", "export FROM_PROFILE=yes\n", "profile yes"},
		{"does not export", "FROM_PROFILE=yes\n", "profile yes"},
		{"ends the shell", "FROM_PROFILE=yes\nexit 3\nFROM_PROFILE=no\n", "profile yes"},
		{"fails under set -e", "FROM_PROFILE=yes\nset -e\nfalse\n", "profile yes"},
		{"reads a variable that is not set under set -u", "FROM_PROFILE=yes\nset -u\n: $nothing\n", "profile yes"},
		{"is no shell script", "FROM_PROFILE=yes\nif then (\n", "profile yes"},
		{"asks something", "FROM_PROFILE=yes\nread -r answer\n", "profile yes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c.write(t, "etc/profile", row.profile, 0o644)
			c.expect(t, 0, agentProgram+"-service </dev/null", "agent start, "+row.want)
		})
	}
	t.Run("is missing", func(t *testing.T) {
		c.expect(t, 0, "rm /etc/profile; "+agentProgram+"-service", "agent start, profile unset")
	})
}

// A stop that comes while the profile still runs must not be answered with a start.
func TestStopDuringProfile(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	c.install(t)
	c.write(t, "etc/profile", "mkfifo /root/never\ntouch /root/begun\nread -r x </root/never\n", 0o644)
	p := harness.StartCommand(t, c.command("exec "+agentProgram+"-service"))
	harness.Eventually(t, harness.Patience, "the profile to run", func() bool { return c.exists("root/begun") })
	p.Process.Signal(syscall.SIGTERM)
	p.ExitCode(t)
	if out := p.Output.String(); strings.Contains(out, "agent start") {
		t.Errorf("the agent was started: %s", out)
	}
}

// install puts the program of the unit into place, and the stub of the agent beside it.
func (c *chroot) install(t *testing.T) {
	t.Helper()
	c.write(t, "opt/codedeploy-agent/bin/codedeploy-agent-service", read(t, "../../packaging/codedeploy-agent-service"), 0o755)
	c.write(t, "opt/codedeploy-agent/bin/codedeploy-agent", agentStub, 0o755)
}

func TestUnitIsValid(t *testing.T) {
	t.Parallel()
	analyze := harness.Need(t, "systemd-analyze", "apt install systemd")
	root := t.TempDir()
	output(t, "dpkg-deb", "--extract", find(t, "codedeploy-agent_*_amd64.deb"), root)
	cmd := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=no", "--root="+root, "codedeploy-agent.service")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// What the unit promises depends on a few lines; each is there for a reason that its comment gives.
func TestUnitSettings(t *testing.T) {
	t.Parallel()
	unit := read(t, filepath.Join("../../packaging", "codedeploy-agent.service"))
	for setting, why := range map[string]string{
		"Type=notify":          "units that wait for the agent would go on before it is ready",
		"KillMode=process":     "an update of the agent would kill the applications that hooks started",
		"OOMPolicy=continue":   "an application without memory would end the agent",
		"Restart=on-failure":   "a crashed agent would stay away",
		"TimeoutStopSec=7260":  "a stop would kill a hook that may run for 7,200 s",
		"After=network-online": "a booting host would poll before it has a network",
	} {
		if !strings.Contains(unit, "\n"+setting) {
			t.Errorf("the unit lacks %s: %s", setting, why)
		}
	}
}
