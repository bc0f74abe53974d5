package deploy

import (
	"time"

	"grapnel/internal/lifecycle"
)

// EventStatus is the status of a lifecycle event, in AWS's words (service.md 3.4).
type EventStatus string

// Event statuses.
const (
	EventPending    EventStatus = "Pending"
	EventInProgress EventStatus = "InProgress"
	EventSucceeded  EventStatus = "Succeeded"
	EventFailed     EventStatus = "Failed"
	EventSkipped    EventStatus = "Skipped"
)

// EventView is one lifecycle event of a target, as it is shown: from IssuedAt to StartedAt it waits for whoever runs it,
// from StartedAt to EndedAt it runs.
type EventView struct {
	Event     lifecycle.Event
	By        lifecycle.Runner
	Status    EventStatus
	IssuedAt  time.Time // zero until handed out
	StartedAt time.Time // zero until acknowledged, and for ever when skipped; EndedAt when it ended unacknowledged: it ran for no time
	EndedAt   time.Time // zero while pending or running
	Diagnostics
}

// Events returns every event that a phase plans for a target, in order, issued or not (service.md 3.4). work is all Work
// ever issued for the target; ended is when the target became terminal, zero if it is not.
func Events(p Plan, phase int, t Target, work []Work, ended time.Time) []EventView {
	steps := p.Phases[phase].Steps
	views := make([]EventView, len(steps))
	for i, s := range steps {
		views[i] = EventView{Event: s.Event, By: s.By, Status: EventPending}
		if t.Status.Terminal() {
			views[i].Status, views[i].EndedAt = EventSkipped, ended
		}
	}
	for _, w := range work {
		if w.Phase == phase && w.Step < len(views) {
			views[w.Step] = w.view()
		}
	}
	return views
}

func (w Work) view() EventView {
	v := EventView{
		Event:       w.Event,
		By:          w.By,
		Status:      w.Status.event(),
		IssuedAt:    w.IssuedAt,
		StartedAt:   w.AckedAt,
		EndedAt:     w.EndedAt,
		Diagnostics: w.Diagnostics,
	}
	if v.StartedAt.IsZero() && w.Status != WorkSkipped {
		v.StartedAt = w.EndedAt
	}
	if v.Status == EventSucceeded && v.ErrorCode == "" {
		v.ErrorCode, v.Message = success, "Succeeded"
	}
	return v
}

// event is the wire's word for the status of a Work.
func (s WorkStatus) event() EventStatus {
	if s == WorkRunning {
		return EventInProgress
	}
	return EventStatus(s)
}
