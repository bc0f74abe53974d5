package join

import (
	"context"
	"os/exec"

	"grapnel/internal/agent"
	"grapnel/internal/agent/config"
)

// unit is the service of the package (docs/install.md).
const unit = "codedeploy-agent.service"

// begin has the agent poll as the host that this machine is now: through systemd where that runs it, else it says what to do.
func (h *host) begin(ctx context.Context) {
	if h.settingsFile == config.UsualPath() && restart(ctx) {
		h.say("The service %s starts with it, once a lifecycle event that is under way has ended. See: systemctl status %[1]s", unit)
		return
	}
	if pid, err := agent.Status(h.cfg); err == nil {
		h.say("The agent that runs as PID %d still has its old settings. End it and start it again: %s restart", pid, h.program())
		return
	}
	h.say("Next, start the agent: %s start", h.program())
}

// restart has systemd start the agent anew, and reports whether systemd runs it. It does not wait: an agent ends when its
// lifecycle event has.
func restart(ctx context.Context) bool {
	if exec.CommandContext(ctx, "systemctl", "cat", unit).Run() != nil {
		return false // no systemd, or the agent was not installed as a package
	}
	return exec.CommandContext(ctx, "systemctl", "--no-block", "restart", unit).Run() == nil
}

// program is how the agent is called with these settings.
func (h *host) program() string {
	if h.configFile == "" {
		return "codedeploy-agent"
	}
	return "codedeploy-agent --config-file " + h.configFile
}
