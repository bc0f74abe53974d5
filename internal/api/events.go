package api

import (
	"slices"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// lifecycleEvents shows every event that the plan has for a target, phase after phase.
func lifecycleEvents(plan deploy.Plan, t store.Target) []awsapi.LifecycleEvent {
	events := []awsapi.LifecycleEvent{}
	for i, phase := range plan.Phases {
		if !slices.Contains(phase.Targets, t.ID) {
			continue
		}
		for _, v := range deploy.Events(plan, i, t.Target, t.Work, t.EndedAt) {
			events = append(events, awsapi.LifecycleEvent{
				LifecycleEventName: new(string(v.Event)),
				Status:             awsapi.LifecycleEventStatus(v.Status),
				StartTime:          awsapi.At(v.StartedAt),
				EndTime:            awsapi.At(v.EndedAt),
				Diagnostics:        diagnostics(v.Diagnostics),
			})
		}
	}
	return events
}

// diagnostics is absent until something was reported.
func diagnostics(d deploy.Diagnostics) *awsapi.Diagnostics {
	if d.ErrorCode == "" {
		return nil
	}
	return &awsapi.Diagnostics{
		ErrorCode: awsapi.LifecycleErrorCode(d.ErrorCode), ScriptName: &d.ScriptName, Message: &d.Message, LogTail: &d.LogTail,
	}
}
