package deploy

import "time"

// Decide returns what is wanted now, given everything stored about one deployment. It looks at the whole state and never
// at what woke it up, so nothing is replayed after a crash and nothing can be missed. Deciding again at the same moment,
// after the decision was committed, changes nothing more.
func Decide(s State, now time.Time) Decision {
	if s.Status.Terminal() {
		return Decision{Phase: s.Phase}
	}
	r := newRound(s, now)
	r.settleWork()
	if e, ok := r.interruption(); ok {
		r.windDown(e)
	} else {
		r.proceed()
	}
	return r.decision()
}

// proceed moves the deployment as far as it goes without anything new being observed.
func (r *round) proceed() {
	if why, ok := r.impossible(); ok {
		r.end(r.failure(why))
		return
	}
	for {
		r.status = InProgress
		if !r.passGate() {
			return
		}
		r.issueSteps()
		r.startTargets()
		count := r.tally()
		switch {
		case count.flying > 0:
			return
		case !r.current().Health.kept(count):
			r.end(r.failure(r.healthWhy()))
			return
		case r.phase == len(r.plan.Phases)-1:
			r.end(ending{status: Succeeded})
			return
		}
		r.enterPhase(r.phase + 1)
	}
}

// impossible reports why a deployment that has done nothing yet cannot succeed (service.md 5.2 item 2).
func (r *round) impossible() (Why, bool) {
	if r.status != Created {
		return Why{}, false
	}
	if r.plan.Excess != (Excess{}) {
		return Why{Code: CodeOverMaxInstances, Message: tooManyTargets(r.plan.Excess)}, true
	}
	if len(r.order) == 0 {
		return Why{Code: CodeNoInstances, Message: noTargets(r.plan.UpToDate)}, true
	}
	for _, p := range r.plan.Phases {
		if n := len(p.Targets); !p.Health.possible(n) {
			return Why{Code: CodeHealthConstraintsInvalid, Message: invalidHealth(p.Health.minimum(n), n)}, true
		}
	}
	return Why{}, false
}

// passGate reports whether the current phase may run. While it may not, it sets the status and the time to look again.
func (r *round) passGate() bool {
	gate := r.current().Gate
	if gate.Delay == 0 && !gate.Approval || r.facts.Approved > r.phase {
		return true
	}
	until := r.since.Add(gate.Delay)
	over := gate.Delay > 0 && !r.now.Before(until)
	switch {
	case over && !gate.Approval:
		return true
	case over:
		r.end(ending{status: Stopped, why: Why{Code: CodeTimeout, Message: notContinued(gate.Delay)}})
		return false
	case gate.Approval:
		r.status = Ready
	}
	if gate.Delay > 0 {
		r.wakeAt(until)
	}
	return false
}

// issueSteps hands out the next step of every target that is under way and has no open Work.
func (r *round) issueSteps() {
	for _, id := range r.current().Targets {
		t := r.targets[id]
		if _, open := r.open[id]; t.Status == TargetInProgress && !open {
			r.issue(t)
		}
	}
}

// startTargets begins with waiting targets, in the order of the plan, as long as the health budget allows.
func (r *round) startTargets() {
	health, count := r.current().Health, r.tally()
	for _, id := range r.current().Targets {
		if !health.mayStart(count) {
			return
		}
		t := r.targets[id]
		if !r.waiting(t) {
			continue
		}
		r.advance(t, 0)
		if t.Status == TargetInProgress {
			r.issue(t)
		}
		count.waiting--
		count.add(r.standing(t))
	}
}

// issue hands out the target's step as Work.
func (r *round) issue(t *Target) {
	step := r.current().Steps[t.Step]
	w := &Work{
		ID:       WorkID(r.id, r.phase, t.Step, t.ID),
		Target:   t.ID,
		Phase:    r.phase,
		Step:     t.Step,
		Event:    step.Event,
		By:       step.By,
		Status:   WorkPending,
		IssuedAt: r.now,
		Due:      r.now.Add(step.Acknowledge),
		Timeout:  step.Timeout,
	}
	r.open[t.ID] = w
	r.issued = append(r.issued, *w)
}

// advance moves a target to the step with this index of the current phase, or past the phase after the last one.
func (r *round) advance(t *Target, step int) {
	status := TargetInProgress
	if step == len(r.current().Steps) {
		status = TargetSucceeded
		if r.returns(t.ID) {
			status = TargetReady
		}
	}
	r.move(t, status, step, nil)
}
