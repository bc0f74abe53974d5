package deploy

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// errConflict is what the world's commit answers when a decision was based on something that has changed.
var errConflict = errors.New("changed in between")

// world keeps one deployment as a store does: it takes facts, applies decisions under the guard, and remembers all Work.
type world struct {
	state   State
	now     time.Time
	work    map[string]*Work // all Work ever issued, by id
	order   []string         // their ids in the order of issue
	settled map[string]bool  // Work whose consequences are drawn
	ended   map[string]time.Time
	why     Why
	wake    time.Time
	// rollbacks counts the new deployments that decisions asked for.
	rollbacks       int
	rollbackMessage string
}

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld(p Plan, f Facts) *world {
	w := &world{
		state: State{ID: "d-1", Plan: p, Status: Created, PhaseSince: epoch, CreatedAt: epoch, Facts: f},
		now:   epoch, work: map[string]*Work{}, settled: map[string]bool{}, ended: map[string]time.Time{},
	}
	for _, phase := range p.Phases {
		for _, id := range phase.Targets {
			if w.target(id) == nil {
				w.state.Targets = append(w.state.Targets, Target{ID: id, Status: TargetPending})
			}
		}
	}
	return w
}

func (w *world) target(id string) *Target {
	i := slices.IndexFunc(w.state.Targets, func(t Target) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &w.state.Targets[i]
}

// load returns a copy of the state that shares nothing with the world.
func (w *world) load() State {
	s := w.state
	s.Targets = slices.Clone(s.Targets)
	s.Facts.Alarms = slices.Clone(s.Facts.Alarms)
	s.Work = nil
	for _, id := range w.order {
		if !w.settled[id] {
			s.Work = append(s.Work, *w.work[id])
		}
	}
	return s
}

// commit applies a decision that was made of s, or nothing at all.
func (w *world) commit(s State, d Decision) error {
	if s.Version != w.state.Version {
		return errConflict
	}
	for _, c := range d.Settle {
		if w.work[c.ID].Status != c.Saw {
			return errConflict
		}
	}
	for _, work := range d.Issue {
		if w.work[work.ID] != nil {
			return fmt.Errorf("law 4: Work %s is issued twice", work.ID)
		}
	}
	w.wake = d.Wake
	if d.Empty(s) {
		return nil
	}
	w.apply(d)
	return nil
}

func (w *world) apply(d Decision) {
	w.state.Version++
	if d.Status != "" {
		w.state.Status = d.Status
	}
	if d.Phase != w.state.Phase {
		w.state.Phase, w.state.PhaseSince = d.Phase, w.now
	}
	for _, c := range d.Targets {
		t := w.target(c.ID)
		t.Status, t.Step, t.Failure = c.Status, c.Step, c.Failure
		if c.Status.Terminal() {
			w.ended[c.ID] = w.now
		}
	}
	for _, c := range d.Settle {
		work := w.work[c.ID]
		if work.Status.Open() {
			work.Status, work.Diagnostics, work.EndedAt = c.Status, c.Diagnostics, w.now
		}
		w.settled[c.ID] = true
	}
	for _, work := range d.Issue {
		w.work[work.ID] = &work
		w.order = append(w.order, work.ID)
	}
	if d.Rollback {
		w.rollbacks++
	}
	if d.RollbackMessage != "" {
		w.rollbackMessage = d.RollbackMessage
	}
	if d.Why != (Why{}) {
		w.why = d.Why
	}
}

// open returns the Work of a target that has not ended, nil if there is none.
func (w *world) open(target string) *Work {
	for _, id := range w.order {
		if work := w.work[id]; work.Target == target && work.Status.Open() {
			return work
		}
	}
	return nil
}

// history returns all Work of a target in the order of issue.
func (w *world) history(target string) []Work {
	var all []Work
	for _, id := range w.order {
		if w.work[id].Target == target {
			all = append(all, *w.work[id])
		}
	}
	return all
}

// openWork returns all Work that has not ended, in the order of issue.
func (w *world) openWork() []*Work {
	var all []*Work
	for _, id := range w.order {
		if w.work[id].Status.Open() {
			all = append(all, w.work[id])
		}
	}
	return all
}

// acknowledge does what an agent's acknowledgement does to a Work that is Pending and in time.
func (w *world) acknowledge(work *Work, noop bool) {
	if work.Status != WorkPending || !w.now.Before(work.Due) {
		return
	}
	work.AckedAt = w.now
	if noop {
		work.Status, work.EndedAt = WorkSucceeded, w.now
		return
	}
	work.Status, work.Due = WorkRunning, w.now.Add(work.Timeout)
}

// complete ends a Work that has not ended.
func (w *world) complete(work *Work, status WorkStatus, d Diagnostics) {
	if work.Status.Open() {
		work.Status, work.EndedAt, work.Diagnostics = status, w.now, d
	}
}

// fact changes the facts, as an operator or an alarm does: the version moves.
func (w *world) fact(change func(*Facts)) {
	change(&w.state.Facts)
	w.state.Version++
}
