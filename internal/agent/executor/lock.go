package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"grapnel/internal/backoff"
	"grapnel/internal/filelock"
)

// ErrGroupBusy is the refusal of a deployment while another program deploys to the same deployment group.
var ErrGroupBusy = errors.New("another deployment to the same deployment group is under way on this host")

// groupLocks keep two programs, the agent and codedeploy-local say, from deploying to one group at a time: they would write
// the same cleanup file. The lock of a group is a file among its instructions.
type groupLocks struct {
	mu   sync.Mutex
	held map[string]bool // by Hold
}

// Hold claims a deployment group for all commands of a deployment, until it is released. It does not wait: the error is
// ErrGroupBusy when another program deploys to the group.
func (e *Executor) Hold(groupID string) (release func(), err error) {
	unlock, err := e.tryGroup(groupID)
	if errors.Is(err, filelock.ErrHeld) {
		err = fmt.Errorf("%w: try again when it has ended (the group's folder is %s)", ErrGroupBusy, e.layout.group(groupID))
	}
	if err != nil {
		return nil, err
	}
	e.groups.set(groupID, true)
	return func() {
		e.groups.set(groupID, false)
		unlock()
	}, nil
}

func (g *groupLocks) set(groupID string, held bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		g.held = map[string]bool{}
	}
	g.held[groupID] = held
}

func (g *groupLocks) has(groupID string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held[groupID]
}

// groupPause lies between two looks at a group that another program holds.
const groupPause = 100 * time.Millisecond

// claim locks a group for one command, once no other program holds it.
func (e *Executor) claim(ctx context.Context, groupID string) (release func(), err error) {
	if e.groups.has(groupID) {
		return func() {}, nil
	}
	for told := false; ; told = true {
		unlock, err := e.tryGroup(groupID)
		if !errors.Is(err, filelock.ErrHeld) {
			return unlock, err
		}
		if !told {
			e.log.Info("waiting for another program, most likely codedeploy-local, which deploys to the same deployment group")
		}
		if err := backoff.Sleep(ctx, groupPause); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrGroupBusy, err)
		}
	}
}

// tryGroup locks a group without waiting; the error is filelock.ErrHeld when another program holds it.
func (e *Executor) tryGroup(groupID string) (unlock func(), err error) {
	if err := makeDir(e.layout.instructionsDir(), e.modes.Private); err != nil {
		return nil, err
	}
	file, err := filelock.Acquire(e.layout.groupLock(groupID), e.modes.State)
	if err != nil {
		return nil, fmt.Errorf("cannot claim the deployment group: %w", err)
	}
	return func() { file.Close() }, nil
}
