package deploy

import (
	"slices"
	"time"
)

// round is the working copy on which one decision is made.
type round struct {
	id    string
	plan  Plan
	facts Facts
	now   time.Time
	born  time.Time // when the deployment was created
	was   Status    // the status before this decision

	status  Status
	phase   int
	since   time.Time          // when the phase before this one ended
	order   []string           // every target of the plan once, in its order
	targets map[string]*Target // by id
	open    map[string]*Work   // Work whose consequences are not drawn yet, by target; never written to
	moved   map[string]bool    // targets that this decision moves
	issued  []Work
	settled []Settle
	why     Why
	wake    time.Time // the earliest gate so far

	rollback        bool
	rollbackMessage string
}

func newRound(s State, now time.Time) *round {
	r := &round{
		id:      s.ID,
		plan:    s.Plan,
		facts:   s.Facts,
		now:     now,
		born:    s.CreatedAt,
		was:     s.Status,
		status:  s.Status,
		phase:   s.Phase,
		since:   s.PhaseSince,
		targets: make(map[string]*Target, len(s.Targets)),
		open:    make(map[string]*Work, len(s.Work)),
		moved:   make(map[string]bool),
	}
	if len(r.plan.Phases) == 0 {
		r.plan.Phases = []Phase{{}} // a plan of nothing is one without targets
	}
	targets := slices.Clone(s.Targets)
	for i := range targets {
		r.targets[targets[i].ID] = &targets[i]
	}
	for i := range s.Work {
		r.open[s.Work[i].Target] = &s.Work[i]
	}
	r.order = r.plan.TargetIDs()
	for _, id := range r.order {
		if r.targets[id] == nil {
			r.targets[id] = &Target{ID: id, Status: TargetPending} // not stored yet
		}
	}
	return r
}

// TargetIDs returns every target of the plan once, in its order. The slice is the caller's.
func (p Plan) TargetIDs() []string {
	if len(p.Phases) == 1 {
		return slices.Clone(p.Phases[0].Targets)
	}
	var order []string
	listed := map[string]bool{}
	for _, phase := range p.Phases {
		for _, id := range phase.Targets {
			if !listed[id] {
				listed[id] = true
				order = append(order, id)
			}
		}
	}
	return order
}

func (r *round) current() *Phase { return &r.plan.Phases[r.phase] }

// enterPhase makes a phase the current one. Targets that come back from an earlier phase begin with its first step.
func (r *round) enterPhase(phase int) {
	r.phase, r.since = phase, r.now
	for _, id := range r.current().Targets {
		if t := r.targets[id]; t.Status == TargetReady {
			r.move(t, TargetReady, 0, nil)
		}
	}
}

// returns reports whether a target takes part in a later phase.
func (r *round) returns(target string) bool {
	for _, p := range r.plan.Phases[r.phase+1:] {
		if slices.Contains(p.Targets, target) {
			return true
		}
	}
	return false
}

// move changes a target and notes that it was changed.
func (r *round) move(t *Target, status TargetStatus, step int, failure *Failure) {
	t.Status, t.Step, t.Failure = status, step, failure
	r.moved[t.ID] = true
}

// wakeAt asks to look again at a moment, at the latest.
func (r *round) wakeAt(t time.Time) {
	if r.wake.IsZero() || t.Before(r.wake) {
		r.wake = t
	}
}

// limit returns the end of the time that the whole deployment may take, and false when it has all the time there is.
func (r *round) limit() (time.Time, bool) { return r.born.Add(r.plan.Limit), r.plan.Limit > 0 }

// decision is what the round came to, as data.
func (r *round) decision() Decision {
	d := Decision{
		Why:             r.why,
		Phase:           r.phase,
		Targets:         r.changes(),
		Issue:           r.issued,
		Settle:          r.settled,
		Rollback:        r.rollback,
		RollbackMessage: r.rollbackMessage,
	}
	if r.status != r.was {
		d.Status = r.status
	}
	if !r.status.Terminal() {
		d.Wake = r.deadline()
	}
	return d
}

func (r *round) changes() []TargetChange {
	var changes []TargetChange
	for _, id := range r.order {
		if t := r.targets[id]; r.moved[id] {
			changes = append(changes, TargetChange{ID: id, Status: t.Status, Step: t.Step, Failure: t.Failure})
		}
	}
	return changes
}

// deadline returns the earliest of all deadlines: of open Work, of a gate, of the deployment.
func (r *round) deadline() time.Time {
	for _, id := range r.current().Targets {
		if w, ok := r.open[id]; ok {
			r.wakeAt(w.Due)
		}
	}
	if t, ok := r.limit(); ok {
		r.wakeAt(t)
	}
	return r.wake
}
