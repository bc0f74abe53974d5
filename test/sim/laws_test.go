package sim

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// laws stands between the server and a world's store, and checks every commit against the laws of the architecture
// (section 5). It also knows what has ended.
type laws struct {
	backend
	world *world

	mu        sync.Mutex
	issued    map[string]bool   // ids of Work
	ended     map[string]bool   // ids of deployments
	rollbacks map[string]string // what rolls back a deployment
	waiting   map[string]chan struct{}
}

func newLaws(b backend, w *world) *laws {
	return &laws{
		backend: b, world: w,
		issued: map[string]bool{}, ended: map[string]bool{}, rollbacks: map[string]string{}, waiting: map[string]chan struct{}{},
	}
}

// Commit commits and checks.
func (l *laws) Commit(ctx context.Context, r store.Round) error {
	if err := l.backend.Commit(ctx, r); err != nil {
		return err
	}
	if err := l.check(r); err != nil {
		l.world.fail(fmt.Errorf("deployment %s, version %d, at %s: %w", r.State.ID, r.State.Version, r.At.Format(time.TimeOnly), err))
	}
	if r.Decision.Status.Terminal() {
		l.end(r.State.ID)
	}
	return nil
}

func (l *laws) check(r store.Round) error {
	after := apply(r)
	for _, law := range []func(store.Round, deploy.State) error{
		l.orderDoesNotMatter, settles, l.terminalIsFinal, l.oneOpenWork, keepsHealth, progresses, wakesInTime, l.oneRollback, brokenFirst,
	} {
		if err := law(r, after); err != nil {
			return err
		}
	}
	return nil
}

// apply returns the state that a round leaves, if nothing else happens.
func apply(r store.Round) deploy.State {
	s := r.State
	if r.Decision.Status != "" {
		s.Status = r.Decision.Status
	}
	if s.Phase != r.Decision.Phase {
		s.Phase, s.PhaseSince = r.Decision.Phase, r.At
	}
	s.Targets = slices.Clone(s.Targets)
	for _, c := range r.Decision.Targets {
		i := slices.IndexFunc(s.Targets, func(t deploy.Target) bool { return t.ID == c.ID })
		s.Targets[i].Status, s.Targets[i].Step, s.Targets[i].Failure = c.Status, c.Step, c.Failure
	}
	settled := func(w deploy.Work) bool {
		return slices.ContainsFunc(r.Decision.Settle, func(s deploy.Settle) bool { return s.ID == w.ID })
	}
	s.Work = append(slices.DeleteFunc(slices.Clone(s.Work), settled), r.Decision.Issue...)
	return s
}

// orderDoesNotMatter is law 1, looked at now and then because it takes long. The engine may have added the id of the
// rollback to the message.
func (l *laws) orderDoesNotMatter(r store.Round, _ deploy.State) error {
	if r.State.Version%4 != 1 {
		return nil
	}
	s := r.State
	s.Targets, s.Work = slices.Clone(s.Targets), slices.Clone(s.Work)
	l.world.shuffle(len(s.Targets), func(i, j int) { s.Targets[i], s.Targets[j] = s.Targets[j], s.Targets[i] })
	l.world.shuffle(len(s.Work), func(i, j int) { s.Work[i], s.Work[j] = s.Work[j], s.Work[i] })
	got, want := deploy.Decide(s, r.At), r.Decision
	got.RollbackMessage, want.RollbackMessage = "", ""
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("law 1: in another order of targets it is decided otherwise:\n%+v\n%+v", got, want)
	}
	return nil
}

// settles is law 2.
func settles(r store.Round, after deploy.State) error {
	if again := deploy.Decide(after, r.At); !again.Empty(after) {
		return fmt.Errorf("law 2: deciding again at the same moment wants more: %+v", again)
	}
	return nil
}

// terminalIsFinal is law 3.
func (l *laws) terminalIsFinal(r store.Round, after deploy.State) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended[r.State.ID] || r.State.Status.Terminal() {
		return fmt.Errorf("law 3: a round was committed after the end: %+v", r.Decision)
	}
	if !after.Status.Terminal() {
		return nil
	}
	if len(r.Decision.Issue) > 0 || len(after.Work) > 0 {
		return fmt.Errorf("law 3: it ended as %s with open Work: %+v", after.Status, after.Work)
	}
	for _, t := range after.Targets {
		if t.Status != deploy.TargetSucceeded && t.Status != deploy.TargetFailed && t.Status != deploy.TargetSkipped {
			return fmt.Errorf("law 3: it ended as %s while target %s is %s", after.Status, t.ID, t.Status)
		}
	}
	return nil
}

// oneOpenWork is law 4.
func (l *laws) oneOpenWork(r store.Round, after deploy.State) error {
	open := map[string]string{}
	for _, w := range after.Work {
		if other, ok := open[w.Target]; ok {
			return fmt.Errorf("law 4: target %s has two open Works, %s and %s", w.Target, other, w.ID)
		}
		open[w.Target] = w.ID
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range r.Decision.Issue {
		if l.issued[w.ID] {
			return fmt.Errorf("law 4: Work %s was issued twice", w.ID)
		}
		l.issued[w.ID] = true
	}
	return nil
}

// keepsHealth is law 5, and the outcome that service.md 5.2 gives to a deployment that nobody stopped.
func keepsHealth(_ store.Round, after deploy.State) error {
	phase := after.Plan.Phases[0]
	n, minimum := len(phase.Targets), minimum(phase.Health, len(phase.Targets))
	count := map[deploy.TargetStatus]int{}
	for _, t := range after.Targets {
		count[t.Status]++
	}
	out := count[deploy.TargetInProgress] + count[deploy.TargetFailed]
	if budget := max(n-minimum, 0); out > budget && !(phase.Health.Type == deploy.OneAtATime && out <= 1) {
		return fmt.Errorf("law 5: %d of %d targets are out of service, the budget is %d: %v", out, n, budget, count)
	}
	if after.Facts.Stop != nil || !after.Status.Terminal() || n == 0 {
		return nil
	}
	kept := count[deploy.TargetSucceeded] >= max(minimum, 1)
	overLimit := after.Status == deploy.Failed && count[deploy.TargetSkipped] > 0
	if kept != (after.Status == deploy.Succeeded) && !overLimit {
		return fmt.Errorf("health: it ended as %s with %v and a minimum of %d", after.Status, count, minimum)
	}
	return nil
}

// minimum is M of service.md 5.2, written down a second time.
func minimum(h deploy.Health, n int) int {
	switch h.Type {
	case deploy.FleetPercent:
		return (n*h.Value + 99) / 100
	case deploy.OneAtATime:
		return n - 1
	}
	return h.Value
}

// progresses is law 6: no plan here has gates, so what has not ended waits for some Work.
func progresses(_ store.Round, after deploy.State) error {
	if !after.Status.Terminal() && len(after.Work) == 0 {
		return fmt.Errorf("law 6: it is %s and waits for nothing: %+v", after.Status, after.Targets)
	}
	return nil
}

// wakesInTime is law 7.
func wakesInTime(r store.Round, after deploy.State) error {
	if after.Status.Terminal() {
		return nil
	}
	for _, w := range after.Work {
		if r.Decision.Wake.IsZero() || r.Decision.Wake.After(w.Due) {
			return fmt.Errorf("law 7: Wake is %v, Work %s is due at %v", r.Decision.Wake, w.ID, w.Due)
		}
	}
	return nil
}

// oneRollback is law 8.
func (l *laws) oneRollback(r store.Round, _ deploy.State) error {
	if r.Decision.Rollback != (r.Rollback != nil) {
		return fmt.Errorf("law 8: a rollback is asked for: %v, made: %v", r.Decision.Rollback, r.Rollback != nil)
	}
	if r.Rollback == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if other, ok := l.rollbacks[r.State.ID]; ok {
		return fmt.Errorf("law 8: it is rolled back twice, also by %s", other)
	}
	if r.State.Facts.RollbackOf != "" {
		return fmt.Errorf("law 8: the rollback of %s is rolled back", r.State.Facts.RollbackOf)
	}
	if r.Rollback.Facts.RollbackOf != r.State.ID {
		return fmt.Errorf("law 8: its rollback says that it rolls back %q", r.Rollback.Facts.RollbackOf)
	}
	l.rollbacks[r.State.ID] = *r.Rollback.Info.DeploymentId
	return nil
}

// brokenFirst is law 5 across a rollback: it takes the targets that have just failed before those that have just succeeded,
// else more than the budget would be out of service.
func brokenFirst(r store.Round, after deploy.State) error {
	if r.Rollback == nil {
		return nil
	}
	healthy := ""
	order := r.Rollback.Plan.Phases[0].Targets
	for _, id := range order {
		i := slices.IndexFunc(after.Targets, func(t deploy.Target) bool { return t.ID == id })
		switch {
		case i < 0:
		case after.Targets[i].Status == deploy.TargetSucceeded:
			healthy = id
		case after.Targets[i].Status == deploy.TargetFailed && healthy != "":
			return fmt.Errorf("law 5: the rollback takes %v, the healthy %s before the broken %s", order, healthy, id)
		}
	}
	return nil
}

// end tells who waits for a deployment that it has ended.
func (l *laws) end(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended[id] = true
	if c := l.waiting[id]; c != nil {
		close(c)
	}
}

// await returns what is closed when a deployment has ended.
func (l *laws) await(id string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting[id] == nil {
		l.waiting[id] = make(chan struct{})
		if l.ended[id] {
			close(l.waiting[id])
		}
	}
	return l.waiting[id]
}

// rolledBackBy returns the rollback of a deployment that has ended, "" for none.
func (l *laws) rolledBackBy(id string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rollbacks[id]
}
