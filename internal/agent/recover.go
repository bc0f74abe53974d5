package agent

import (
	"context"
	"fmt"
	"log/slog"

	"grapnel/internal/script"
)

// recoverInterrupted reports every command that was under way when the agent last ended as failed (agent.md 6.4). Polling
// does not wait for it: a service that cannot be reached now would hold up other deployments, and it hands out no further
// command of these before it has heard of them.
func (a *Agent) recoverInterrupted(ctx context.Context) {
	interruptedCommands, err := a.tracker.pending()
	if err != nil {
		a.log.Error("commands that a crash interrupted cannot be found; the service will time them out", slog.Any("error", err))
	}
	for _, t := range interruptedCommands {
		a.ledger.take(t.commandID)
		a.running.Go(func() { a.reportInterrupted(ctx, t) })
	}
}

// reportInterrupted ends the script of an interrupted command before the report: once the service knows of the failure it
// may start a rollback, and then the two would work on the same files.
func (a *Agent) reportInterrupted(ctx context.Context, t tracked) {
	log := a.log.With(slog.String("deployment", t.deployment), slog.String("id", t.commandID))
	log.Warn("a command was interrupted by the end of the agent")
	end := interrupted(endOrphan(t.hook, log))
	a.ledger.ended(t.commandID, end)
	if !a.deliver(ctx, t.commandID, end, log) {
		return
	}
	if err := a.tracker.end(t.deployment, t.commandID); err != nil {
		log.Error("the record of the command stays", slog.Any("error", err))
	}
}

// endOrphan ends the script that an interrupted command left running, and says so for the report.
func endOrphan(hook *script.Group, log *slog.Logger) string {
	if hook == nil {
		return ""
	}
	ended, err := hook.Kill(script.DefaultGrace)
	switch {
	case err != nil:
		log.Error("the script of the interrupted command goes on", slog.Any("error", err))
		return fmt.Sprintf("its script goes on, because it could not be ended: %v", err)
	case ended:
		log.Info("ended the script of the interrupted command", slog.Int("process_group", hook.PGID))
		return "its script was still running and was ended"
	default:
		return ""
	}
}
