package deploy

import (
	"fmt"
	"strings"
	"time"

	"grapnel/internal/lifecycle"
)

// Diagnostics codes (service.md 3.4).
const (
	success      = "Success"
	unknownError = "UnknownError" // a failure that no script reported
)

// settleWork draws the consequences of Work that has ended, or that is past its deadline.
func (r *round) settleWork() {
	for _, id := range r.current().Targets {
		w, ok := r.open[id]
		switch {
		case !ok:
		case !w.Status.Open():
			r.settle(w, w.Status, w.Diagnostics)
			r.draw(w, w.Status == WorkSucceeded, Failure{Event: w.Event, Diagnostics: w.Diagnostics, At: w.EndedAt})
		case !r.now.Before(w.Due):
			f := r.overdue(w)
			r.settle(w, WorkFailed, f.Diagnostics)
			r.draw(w, false, f)
		}
	}
}

// settle ends a Work and takes it off the round's hands.
func (r *round) settle(w *Work, status WorkStatus, d Diagnostics) {
	s := Settle{ID: w.ID, Saw: w.Status, Status: status}
	if status != w.Status {
		s.Diagnostics = d
	}
	r.settled = append(r.settled, s)
	delete(r.open, w.Target)
}

// draw moves the target of a Work that has ended.
func (r *round) draw(w *Work, succeeded bool, f Failure) {
	t := r.targets[w.Target]
	if succeeded || r.current().Steps[w.Step].IgnoreFailure {
		r.advance(t, w.Step+1)
		return
	}
	r.move(t, TargetFailed, w.Step, &f)
}

// overdue is the failure of a Work that nobody acknowledged, or completed, in time (service.md 4.5). Its Due says little
// about how long that was: it is put off while no server runs.
func (r *round) overdue(w *Work) Failure {
	message := fmt.Sprintf("%s did not take %s within %s", runner(w.By), w.Event, short(r.current().Steps[w.Step].Acknowledge))
	if w.Status == WorkRunning {
		message = fmt.Sprintf("%s did not report the end of %s within %s", runner(w.By), w.Event, short(w.Timeout))
	}
	if w.By == lifecycle.Host {
		message += "; " + lastSeen(r.targets[w.Target])
	}
	return Failure{
		Event:       w.Event,
		Diagnostics: Diagnostics{ErrorCode: unknownError, Message: message},
		At:          r.now,
		AgentIssue:  w.By == lifecycle.Host,
	}
}

func runner(by lifecycle.Runner) string {
	switch by {
	case lifecycle.Host:
		return "the agent"
	case lifecycle.Hook:
		return "the hook"
	default:
		return "the server"
	}
}

func lastSeen(t *Target) string {
	if t.LastSeen.IsZero() {
		return "it has never been seen"
	}
	return "it was last seen at " + t.LastSeen.UTC().Format(time.RFC3339)
}

// short writes a duration without its zero units: 8h, not 8h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
