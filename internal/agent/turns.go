package agent

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// turns lets one command at a time run for each deployment group: two would write the same files and the same cleanup
// file. A service sends a second one only when it has given the first up, so the second ends the first.
type turns struct {
	mu     sync.Mutex
	latest map[string]*turn // by group
}

// turn is one command's time.
type turn struct {
	end  context.CancelCauseFunc
	over chan struct{} // closed when neither this command nor one before it runs
}

// errOvertaken ends a command that the service has given up.
var errOvertaken = errors.New("a later command of the same deployment group has come")

// take ends the group's command under way and returns when it has ended. The function gives the turn
// back.
func (t *turns) take(ctx context.Context, group string) (context.Context, func(), error) {
	ctx, end := context.WithCancelCause(ctx)
	mine := &turn{end: end, over: make(chan struct{})}
	t.mu.Lock()
	if t.latest == nil {
		t.latest = map[string]*turn{}
	}
	earlier := t.latest[group]
	t.latest[group] = mine
	t.mu.Unlock()
	done := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.latest[group] == mine {
			delete(t.latest, group)
		}
		end(nil)
		close(mine.over)
	}
	if earlier == nil {
		return ctx, done, nil
	}
	earlier.end(errOvertaken)
	select {
	case <-earlier.over:
		return ctx, done, nil
	case <-ctx.Done():
		go func() { // whoever comes next still waits for the earlier one
			<-earlier.over
			done()
		}()
		return nil, nil, fmt.Errorf("the earlier command of this deployment group has not ended: %w", context.Cause(ctx))
	}
}
