package executor

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
)

// Two programs with one deployment root, here two executors, take turns.
func TestOneProgramPerGroup(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		person, agent := executorAt(t, root), executorAt(t, root)
		d := &Deployment{ID: "d-1", GroupID: "group"}
		release, err := person.Hold(d.GroupID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := agent.Hold(d.GroupID); !errors.Is(err, ErrGroupBusy) {
			t.Errorf("a second claim: error = %v, want ErrGroupBusy", err)
		}
		if _, err := person.Run(t.Context(), "ApplicationStop", d, Watcher{}); err != nil {
			t.Errorf("the one who holds the group: %v", err)
		}
		if _, err := agent.Run(t.Context(), "ApplicationStop", &Deployment{ID: "d-2", GroupID: "another"}, Watcher{}); err != nil {
			t.Errorf("another group: %v", err)
		}
		go func() {
			time.Sleep(time.Minute)
			release()
		}()
		start := time.Now()
		if _, err := agent.Run(t.Context(), "ApplicationStop", d, Watcher{}); err != nil {
			t.Errorf("after the release: %v", err)
		}
		if waited := time.Since(start); waited < time.Minute {
			t.Errorf("the other ran after %v, while the group was held", waited)
		}
	})
}

func executorAt(t *testing.T, root string) *Executor {
	t.Helper()
	e, err := New(config.Config{RootDir: root, ProgramName: "codedeploy-agent", MaxRevisions: 5}, identity.Identity{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e
}
