package deploy

import (
	"fmt"
	"slices"
)

// Codes of Why (service.md 3.5).
const (
	CodeAgentIssue               = "AGENT_ISSUE"
	CodeAlarmActive              = "ALARM_ACTIVE"
	CodeHealthConstraints        = "HEALTH_CONSTRAINTS"
	CodeHealthConstraintsInvalid = "HEALTH_CONSTRAINTS_INVALID"
	CodeManualStop               = "MANUAL_STOP"
	CodeNoInstances              = "NO_INSTANCES"
	CodeOverMaxInstances         = "OVER_MAX_INSTANCES"
	CodeTimeout                  = "TIMEOUT"
)

// ending is how a deployment ends.
type ending struct {
	status   Status
	why      Why
	rollback bool // the plan, or the operator, asks for one
	cut      bool // Work that is running is not waited for
}

// interruption reports whether a fact or the limit ends the deployment before its plan does. An operator's stop comes
// first: whatever else happens while it winds down, the deployment ends as they were told it would.
func (r *round) interruption() (ending, bool) {
	limit, limited := r.limit()
	over := limited && !r.now.Before(limit)
	switch {
	case r.facts.Stop != nil:
		return ending{status: Stopped, why: Why{CodeManualStop, manualStop}, rollback: r.rollbackOnStop(), cut: over}, true
	case len(r.facts.Alarms) > 0:
		why := Why{CodeAlarmActive, activeAlarms(r.facts.Alarms)}
		return ending{status: Stopped, why: why, rollback: r.plan.Rollback.OnAlarm, cut: over}, true
	case over:
		e := r.failure(Why{CodeTimeout, overLimit(r.plan.Limit)})
		e.cut = true
		return e, true
	}
	return ending{}, false
}

func (r *round) rollbackOnStop() bool {
	if wish := r.facts.Stop.Rollback; wish != nil {
		return *wish
	}
	return r.plan.Rollback.OnStop
}

func (r *round) failure(why Why) ending {
	return ending{status: Failed, why: why, rollback: r.plan.Rollback.OnFailure}
}

// windDown skips what has not begun, takes back Work that nobody has taken, and ends the deployment when the last
// running Work has ended.
func (r *round) windDown(e ending) {
	r.skipWaiting()
	running := false
	for _, id := range r.current().Targets {
		t := r.targets[id]
		if t.Status != TargetInProgress {
			continue
		}
		if w, ok := r.open[id]; ok && w.Status == WorkRunning && !e.cut {
			running = true
			continue
		}
		r.cutOff(t, e.why)
	}
	if !running {
		r.end(e)
	}
}

// cutOff ends a target in the middle of its steps. One whose first Work nobody took is Skipped: nothing happened on it.
func (r *round) cutOff(t *Target, why Why) {
	d := Diagnostics{ErrorCode: unknownError, Message: why.Message}
	w, open := r.open[t.ID]
	untaken := open && w.Status == WorkPending
	switch {
	case untaken:
		r.settle(w, WorkSkipped, Diagnostics{Message: why.Message})
	case open:
		r.settle(w, WorkFailed, d)
	}
	if untaken && t.Step == 0 {
		r.move(t, TargetSkipped, 0, nil)
		return
	}
	event := r.current().Steps[t.Step].Event
	r.move(t, TargetFailed, t.Step, &Failure{Event: event, Diagnostics: d, At: r.now})
}

// skipWaiting gives up every target, in all phases, that waits to be attempted.
func (r *round) skipWaiting() {
	for _, id := range r.order {
		if t := r.targets[id]; t.Status == TargetPending || t.Status == TargetReady {
			r.move(t, TargetSkipped, t.Step, nil)
		}
	}
}

// end makes the deployment terminal. Nothing is in flight then.
func (r *round) end(e ending) {
	r.skipWaiting()
	r.status, r.why = e.status, e.why
	if e.rollback {
		r.rollback, r.rollbackMessage = r.rollBack(e)
	}
}

// rollBack tells whether an automatic rollback follows, and why or why not (service.md 6.1).
func (r *round) rollBack(e ending) (bool, string) {
	switch {
	case r.facts.RollbackOf != "":
		return false, fmt.Sprintf("No automatic rollback: this deployment is itself the rollback of %s.", r.facts.RollbackOf)
	case r.facts.LastGood == "":
		return false, "No automatic rollback: no deployment to this group has succeeded yet, so there is no revision to return to."
	case !slices.ContainsFunc(r.order, r.attempted):
		return false, "No automatic rollback: no target was changed."
	}
	return true, fmt.Sprintf("Deployment %s ended as %s (%s); the revision of deployment %s is deployed again.",
		r.id, e.status, e.why.Code, r.facts.LastGood)
}

func (r *round) attempted(id string) bool { return r.targets[id].Status != TargetSkipped }
