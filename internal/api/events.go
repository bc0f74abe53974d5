package api

import (
	"slices"
	"unicode/utf8"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// maxLogTail bounds what a client sees of a script's output, in bytes (service.md 3.4).
const maxLogTail = 4096

// lifecycleEvents shows every event that the plan has for a target: those that were handed out as their Work stands, the
// others Pending while the target may get there and Skipped once it cannot (service.md 3.4).
func lifecycleEvents(plan deploy.Plan, t store.Target) []awsapi.LifecycleEvent {
	type place struct{ phase, step int }
	work := map[place]deploy.Work{}
	for _, w := range t.Work {
		work[place{w.Phase, w.Step}] = w
	}
	events := []awsapi.LifecycleEvent{}
	for i, phase := range plan.Phases {
		if !slices.Contains(phase.Targets, t.ID) {
			continue
		}
		for j, step := range phase.Steps {
			event := notIssued(t)
			if w, ok := work[place{i, j}]; ok {
				event = issued(w)
			}
			event.LifecycleEventName = new(string(step.Event))
			events = append(events, event)
		}
	}
	return events
}

func notIssued(t store.Target) awsapi.LifecycleEvent {
	if t.EndedAt.IsZero() {
		return awsapi.LifecycleEvent{Status: awsapi.LifecycleEventStatusPending}
	}
	return awsapi.LifecycleEvent{Status: awsapi.LifecycleEventStatusSkipped, EndTime: awsapi.At(t.EndedAt)}
}

// issued shows a Work. It starts when it is acknowledged; one that never was and yet ended, when it was issued.
func issued(w deploy.Work) awsapi.LifecycleEvent {
	event := awsapi.LifecycleEvent{
		Status:      eventStatus(w.Status),
		StartTime:   awsapi.At(w.AckedAt),
		EndTime:     awsapi.At(w.EndedAt),
		Diagnostics: diagnostics(w),
	}
	if w.AckedAt.IsZero() && (w.Status == deploy.WorkSucceeded || w.Status == deploy.WorkFailed) {
		event.StartTime = awsapi.At(w.IssuedAt)
	}
	return event
}

// eventStatus gives a Work's status in the words of the wire: they differ in one.
func eventStatus(s deploy.WorkStatus) awsapi.LifecycleEventStatus {
	if s == deploy.WorkRunning {
		return awsapi.LifecycleEventStatusInProgress
	}
	return awsapi.LifecycleEventStatus(s)
}

// diagnostics shows what was reported. An event that succeeded says so even if nobody reported anything, as when its
// AppSpec has no script (service.md 3.4).
func diagnostics(w deploy.Work) *awsapi.Diagnostics {
	d := w.Diagnostics
	switch {
	case d.ErrorCode != "":
	case w.Status == deploy.WorkSucceeded:
		d.ErrorCode = string(awsapi.LifecycleErrorCodeSuccess)
		d.Message = "Succeeded"
	default:
		return nil
	}
	return &awsapi.Diagnostics{
		ErrorCode:  awsapi.LifecycleErrorCode(d.ErrorCode),
		ScriptName: &d.ScriptName,
		Message:    &d.Message,
		LogTail:    new(tail(d.LogTail, maxLogTail)),
	}
}

// tail returns at most the last limit bytes of text, and no half of a character.
func tail(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	text = text[len(text)-limit:]
	for text != "" && !utf8.RuneStart(text[0]) {
		text = text[1:]
	}
	return text
}
