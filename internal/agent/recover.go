package agent

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"grapnel/internal/script"
)

// recoverInterrupted reports every command that was on record when the agent last ended: one that had ended then as it
// ended, any other as failed (agent.md 6.4). Scripts that were left running are ended before the agent polls, because the
// next command could be of the same deployment group, and before the report, because the service may answer that with a
// rollback. Polling does not wait for the reports: a service that cannot be reached now would hold up other deployments,
// and it hands out no further command of these before it has heard of them.
func (a *Agent) recoverInterrupted(ctx context.Context) {
	left, err := a.tracker.pending()
	if err != nil {
		a.log.Error("commands that a crash interrupted cannot be found; the service will time them out", slog.Any("error", err))
	}
	var ending sync.WaitGroup
	for _, t := range left {
		log := a.log.With(slog.String("deployment", t.deployment), slog.String("id", t.commandID))
		if t.stale {
			ending.Go(func() { a.forgetStale(t, log) })
			continue
		}
		a.ledger.take(t.commandID)
		ending.Go(func() {
			if t.end == nil {
				log.Warn("a command was interrupted by the end of the agent")
				t.end = new(interrupted(endOrphan(t.hook, log)))
				if err := a.tracker.report(t.deployment, t.commandID, *t.end); err != nil {
					log.Warn("should the agent end before this is delivered, it is found anew", slog.Any("error", err))
				}
			}
			a.ledger.ended(t.commandID, *t.end)
			a.running.Go(func() { a.reportRecovered(ctx, t, log) })
		})
	}
	ending.Wait()
}

// forgetStale ends what is left of a command that nobody asks about any more, and removes its record.
func (a *Agent) forgetStale(t tracked, log *slog.Logger) {
	log.Warn("the record of a command is more than a day old and is removed", slog.String("script", endOrphan(t.hook, log)))
	if err := a.tracker.end(t.deployment, t.commandID); err != nil {
		log.Error("the record of the command stays", slog.Any("error", err))
	}
}

func (a *Agent) reportRecovered(ctx context.Context, t tracked, log *slog.Logger) {
	if !a.deliver(ctx, t.commandID, *t.end, log) {
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
