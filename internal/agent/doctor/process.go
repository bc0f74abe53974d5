package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"grapnel/internal/agent"
)

// checkAgent tells whether the agent runs, and with the configuration that is there now.
func checkAgent(_ context.Context, s setup, r *Result) {
	pid, err := agent.Status(s.Config)
	switch {
	case errors.Is(err, agent.ErrNotRunning):
		r.warn("it does not run, so that this host takes no part in deployments", "start it: systemctl start codedeploy-agent, or codedeploy-agent start")
		return
	case err != nil:
		r.cannot("tell whether it runs", err)
		return
	}
	r.saw("it runs as PID %d", pid)
	started, err := os.Stat(filepath.Join(s.PIDDir, s.ProgramName+".pid"))
	if err != nil || s.path == "" {
		return
	}
	if file, err := os.Stat(s.path); err == nil && file.ModTime().After(started.ModTime()) {
		r.warn(s.path+" was changed after it had started", "restart it, so that it reads its configuration: systemctl restart codedeploy-agent")
	}
}

// process is a process of this host.
type process struct {
	pid   int
	title string // its arguments, or what it made of them
}

// processes lists those whose arguments can be seen.
func processes() []process {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil
	}
	var found []process
	for _, file := range files {
		line, err := os.ReadFile(file)
		pid, notNumber := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err == nil && notNumber == nil && len(line) > 0 {
			found = append(found, process{pid, string(bytes.TrimRight(bytes.ReplaceAll(line, []byte{0}, []byte{' '}), " "))})
		}
	}
	return found
}

// isStock reports whether a process is one of a stock agent: version 1 writes a title of its own, version 2 has a worker
// process (agent.md 12).
func (p process) isStock() bool {
	if strings.HasPrefix(p.title, "codedeploy-agent: ") {
		return true
	}
	words := strings.Fields(p.title)
	return len(words) > 1 && filepath.Base(words[0]) == "codedeploy-agent" && slices.Contains(words[1:], "_worker")
}

// checkOthers looks for stock agents: two agents with one identity take each other's commands away.
func checkOthers(_ context.Context, r *Result) {
	all := processes()
	if len(all) == 0 {
		r.skip("processes cannot be listed here")
		return
	}
	for _, p := range all {
		if p.isStock() {
			r.fail(fmt.Sprintf("a stock agent runs as PID %d (%s)", p.pid, p.title),
				"two agents take each other's commands: stop that one and uninstall its package, once no lifecycle event is under way")
		}
	}
	if r.State == OK {
		r.saw("no stock agent among %d processes", len(all))
	}
}

// unit is the service of our packages and of the stock ones.
const unit = "codedeploy-agent.service"

// checkUnit asks systemd whether the agent comes back after a boot.
func checkUnit(ctx context.Context, r *Result) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		r.skip("this host was not booted with systemd")
		return
	}
	if _, err := exec.LookPath("systemctl"); err != nil {
		r.skip("there is no systemctl")
		return
	}
	enabled, active := systemctl(ctx, "is-enabled"), systemctl(ctx, "is-active")
	seen := fmt.Sprintf("%s is %s and %s", unit, enabled, active)
	switch {
	case enabled == "not-found":
		r.warn(unit+" is not installed", "install the agent's package, or see that something else starts the agent after a boot")
	case active == "failed":
		r.fail(seen, "see why: journalctl -u codedeploy-agent")
	case enabled != "enabled":
		r.warn(seen, "let it start with the host: systemctl enable codedeploy-agent")
	default:
		r.saw("%s", seen)
	}
}

// systemctl returns the one word of an answer; its exit code says the same.
func systemctl(ctx context.Context, question string) string {
	out, err := exec.CommandContext(ctx, "systemctl", question, unit).Output()
	word := strings.TrimSpace(string(out))
	if word == "" && err != nil {
		return "not-found"
	}
	return word
}
