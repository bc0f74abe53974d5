package store

import (
	"context"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
)

// Notice is a message that a trigger asks for (service.md 6.3): the fact, which is put into words when it is sent. It is
// stored in the transaction that makes the fact true, so that none is lost and none is sent of what never was.
type Notice struct {
	Place      int64 // later ones have greater places
	Topic      string
	Trigger    string // its name
	Event      awsapi.TriggerEventType
	Deployment string
	Target     string // "" when the notice is about the deployment itself
	Status     string // of the deployment or the target, in AWS's words
	At         time.Time
	Failures   int // to deliver it
}

// Notices is the queue of what is to be sent: each topic has its own, in the order of places. A deployment takes its
// notices with it.
type Notices interface {
	// TakeNotices returns the first notice of every topic, except of those where that has to wait until after now, and lets none
	// of them be taken again until until: by then its taker has dropped it, or put it off, or is dead. wake is when the first
	// of those that wait has waited long enough, zero when none does.
	TakeNotices(ctx context.Context, now, until time.Time) (taken []Notice, wake time.Time, err error)
	DelayNotice(ctx context.Context, place int64, until time.Time) error // after a failure, which it counts
	DropNotice(ctx context.Context, place int64) error
	// TriggeredGroups counts the deployment groups that have triggers.
	TriggeredGroups(ctx context.Context) (int, error)
}

// Notices returns what triggers can be told of a deployment that is created, without what is the trigger's own.
func (d Deployment) Notices() []Notice {
	return []Notice{{
		Event: awsapi.TriggerEventTypeDeploymentStart, Deployment: awsapi.Value(d.Info.DeploymentId), Status: string(deploy.Created),
		At: d.Info.CreateTime.Time,
	}}
}

var deploymentEvents = map[deploy.Status]awsapi.TriggerEventType{
	deploy.Ready:     awsapi.TriggerEventTypeDeploymentReady,
	deploy.Succeeded: awsapi.TriggerEventTypeDeploymentSuccess,
	deploy.Failed:    awsapi.TriggerEventTypeDeploymentFailure,
	deploy.Stopped:   awsapi.TriggerEventTypeDeploymentStop,
}

var targetEvents = map[deploy.TargetStatus]awsapi.TriggerEventType{
	deploy.TargetReady:     awsapi.TriggerEventTypeInstanceReady,
	deploy.TargetSucceeded: awsapi.TriggerEventTypeInstanceSuccess,
	deploy.TargetFailed:    awsapi.TriggerEventTypeInstanceFailure,
}

// Notices returns what triggers can be told of a round, without what is the trigger's own: targets that have moved, then the
// deployment, then the rollback that it asks for. That a rollback begins is told when it leaves Created (service.md 6.3).
func (r Round) Notices() []Notice {
	notices := r.targetNotices()
	add := func(event awsapi.TriggerEventType) {
		notices = append(notices, Notice{Event: event, Deployment: r.State.ID, Status: string(r.Decision.Status), At: r.At})
	}
	if moved := r.Decision.Status; moved != "" {
		if r.State.Status == deploy.Created && r.State.Facts.RollbackOf != "" {
			add(awsapi.TriggerEventTypeDeploymentRollback)
		}
		if event, ok := deploymentEvents[moved]; ok && moved != r.State.Status {
			add(event)
		}
	}
	if r.Rollback != nil {
		notices = append(notices, r.Rollback.Notices()...)
	}
	return notices
}

func (r Round) targetNotices() []Notice {
	if len(r.Decision.Targets) == 0 {
		return nil
	}
	before := make(map[string]deploy.TargetStatus, len(r.State.Targets))
	for _, t := range r.State.Targets {
		before[t.ID] = t.Status
	}
	var notices []Notice
	for _, c := range r.Decision.Targets {
		event, ok := targetEvents[c.Status]
		if before[c.ID] == deploy.TargetPending && c.Status == deploy.TargetInProgress {
			event, ok = awsapi.TriggerEventTypeInstanceStart, true
		}
		if ok && c.Status != before[c.ID] {
			notices = append(notices, Notice{Event: event, Deployment: r.State.ID, Target: c.ID, Status: string(c.Status), At: r.At})
		}
	}
	return notices
}
