package storetest

import (
	"fmt"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

func load(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Load(ctx, "d-1")
	fails(t, err, store.ErrNotFound)
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	ok(t, s.RegisterHost(ctx, hostOf("a")))
	ok(t, s.HostsSeen(ctx, []store.Presence{{Host: "a", At: after(-time.Minute), Agent: "1"}}))
	d := deploymentOf("d-1", "b", "a")
	d.Plan.Rollback.OnFailure = true
	d.Plan.Phases[0].Gate = deploy.Gate{Delay: time.Minute}
	ok(t, s.CreateDeployment(ctx, d))
	got := loaded(t, s, "d-1")
	same(t, "state", got, deploy.State{
		ID: "d-1", Version: got.Version, Plan: d.Plan, Status: deploy.Created, PhaseSince: begin, CreatedAt: begin,
		Targets: []deploy.Target{
			{ID: "b", Status: deploy.TargetPending},
			{ID: "a", Status: deploy.TargetPending, LastSeen: after(-time.Minute)},
		},
	})
	live, err := s.Live(ctx)
	ok(t, err)
	same(t, "live", live, []string{"d-1"})
}

// round walks one target through two steps and looks at everything on the way.
func round(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "a", "b")
	d, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "status", d.Info.Status, awsapi.DeploymentStatusInProgress)
	same(t, "startTime", d.Info.StartTime.Time, after(time.Second))
	same(t, "overview", d.Info.DeploymentOverview, &awsapi.DeploymentOverview{
		Pending: ptr(int64(0)), InProgress: ptr(int64(2)), Succeeded: ptr(int64(0)), Failed: ptr(int64(0)),
		Skipped: ptr(int64(0)), Ready: ptr(int64(0)),
	})
	state := loaded(t, s, "d-1")
	first := workOf("d-1", 0, "a")
	same(t, "issued Work", state.Work, []deploy.Work{first, workOf("d-1", 0, "b")})

	_, _, err = s.Acknowledge(ctx, first.ID, false, after(2*time.Second))
	ok(t, err)
	why := deploy.Diagnostics{ErrorCode: "Success", ScriptName: "stop.sh", Message: "Succeeded", LogTail: "bye\n"}
	ok(t, s.Complete(ctx, first.ID, deploy.WorkSucceeded, why, after(3*time.Second)))
	first.Status, first.Diagnostics = deploy.WorkSucceeded, why
	first.AckedAt, first.EndedAt, first.Due = after(2*time.Second), after(3*time.Second), after(2*time.Second+time.Hour)
	completed := loaded(t, s, "d-1")
	same(t, "version after a host's completion", completed.Version, state.Version)
	same(t, "completed Work", completed.Work[0], first)

	fail := &deploy.Failure{Event: "ApplicationStop", Diagnostics: deploy.Diagnostics{ErrorCode: "UnknownError", Message: "lost"}, AgentIssue: true}
	ok(t, s.Commit(ctx, store.Round{State: completed, At: after(6 * time.Minute), Decision: deploy.Decision{
		Targets: []deploy.TargetChange{
			{ID: "a", Status: deploy.TargetInProgress, Step: 1},
			{ID: "b", Status: deploy.TargetFailed, Step: 0, Failure: fail},
		},
		Issue: []deploy.Work{workOf("d-1", 1, "a")},
		Settle: []deploy.Settle{
			{ID: first.ID, Saw: deploy.WorkSucceeded, Status: deploy.WorkSucceeded},
			{ID: workOf("d-1", 0, "b").ID, Saw: deploy.WorkPending, Status: deploy.WorkFailed, Diagnostics: fail.Diagnostics},
		},
	}}))
	next := loaded(t, s, "d-1")
	if next.Version == completed.Version {
		t.Error("a commit did not move the version")
	}
	same(t, "Work that is not settled", next.Work, []deploy.Work{workOf("d-1", 1, "a")})
	same(t, "targets", next.Targets, []deploy.Target{
		{ID: "a", Status: deploy.TargetInProgress, Step: 1}, {ID: "b", Status: deploy.TargetFailed, Failure: fail},
	})
	expired := workOf("d-1", 0, "b")
	expired.Status, expired.EndedAt, expired.Diagnostics = deploy.WorkFailed, after(6*time.Minute), fail.Diagnostics
	targets, err := s.Targets(ctx, "d-1")
	ok(t, err)
	same(t, "history", targets, []store.Target{
		{
			Target: deploy.Target{ID: "a", Status: deploy.TargetInProgress, Step: 1}, UpdatedAt: after(6 * time.Minute),
			Work: []deploy.Work{first, workOf("d-1", 1, "a")},
		},
		{
			Target:    deploy.Target{ID: "b", Status: deploy.TargetFailed, Failure: fail},
			UpdatedAt: after(6 * time.Minute), EndedAt: after(6 * time.Minute), Work: []deploy.Work{expired},
		},
	})
	d, err = s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "startTime after a second round", d.Info.StartTime.Time, after(time.Second))

	ok(t, s.Commit(ctx, store.Round{State: next, At: after(time.Hour), Decision: deploy.Decision{Phase: 1}}))
	moved := loaded(t, s, "d-1")
	same(t, "phase", fmt.Sprint(moved.Phase, moved.PhaseSince), fmt.Sprint(1, after(time.Hour)))
}

func roundGuards(t *testing.T, s Moving) {
	ctx := t.Context()
	started(t, s, "d-1", "h")
	fails(t, s.Commit(ctx, store.Round{State: deploy.State{ID: "d-2", Version: 1}}), store.ErrNotFound)
	state := loaded(t, s, "d-1")
	id := workOf("d-1", 0, "h").ID
	settle := store.Round{State: state, At: after(time.Minute), Decision: deploy.Decision{
		Settle: []deploy.Settle{{ID: id, Saw: deploy.WorkPending, Status: deploy.WorkSkipped}},
	}}
	_, _, err := s.Acknowledge(ctx, id, false, after(time.Minute))
	ok(t, err)
	fails(t, s.Commit(ctx, settle), store.ErrConflict)

	twice := store.Round{State: state, At: after(time.Minute), Decision: deploy.Decision{Issue: []deploy.Work{workOf("d-1", 0, "h")}}}
	fails(t, s.Commit(ctx, twice), store.ErrConflict)

	settle.Decision.Settle[0].Saw = deploy.WorkRunning
	ok(t, s.Commit(ctx, settle))
	fails(t, s.Commit(ctx, settle), store.ErrConflict)
	settle.State = loaded(t, s, "d-1")
	settle.Decision.Settle[0].Saw = deploy.WorkSkipped
	fails(t, s.Commit(ctx, settle), store.ErrConflict) // it is settled

	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)))
	ended := store.Round{State: loaded(t, s, "d-1"), At: after(time.Hour), Decision: deploy.Decision{Status: deploy.InProgress}}
	fails(t, s.Commit(ctx, ended), store.ErrConflict)
}

// roundIsAllOrNothing lets the last part of a big round fail.
func roundIsAllOrNothing(t *testing.T, s Moving) {
	ctx := t.Context()
	started(t, s, "d-1", "a", "b")
	before := loaded(t, s, "d-1")
	bad := end(before, deploy.Succeeded, deploy.TargetSucceeded)
	bad.Decision.Issue = []deploy.Work{workOf("d-1", 1, "a"), workOf("d-1", 0, "b")}
	fails(t, s.Commit(ctx, bad), store.ErrConflict)
	same(t, "state after a refused commit", loaded(t, s, "d-1"), before)
	bad = end(before, deploy.Failed, deploy.TargetFailed)
	again := deploymentOf("d-1", "a", "b") // its id is taken
	bad.Rollback = &again
	fails(t, s.Commit(ctx, bad), store.ErrExists)
	same(t, "state after a refused rollback", loaded(t, s, "d-1"), before)
}

func success(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "a", "b", "c")
	r := end(loaded(t, s, "d-1"), deploy.Succeeded, deploy.TargetSucceeded)
	r.Decision.Targets[1].Status = deploy.TargetFailed
	r.Decision.Targets[2].Status = deploy.TargetSkipped
	ok(t, s.Commit(ctx, r))
	d, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "completeTime", d.Info.CompleteTime.Time, after(time.Hour))
	same(t, "overview", d.Info.DeploymentOverview, &awsapi.DeploymentOverview{
		Pending: ptr(int64(0)), InProgress: ptr(int64(0)), Succeeded: ptr(int64(1)), Failed: ptr(int64(1)),
		Skipped: ptr(int64(1)), Ready: ptr(int64(0)),
	})
	if d.Info.ErrorInformation != nil || d.Info.RollbackInfo != nil {
		t.Errorf("a success has an error or a rollback: %+v", d.Info)
	}
	g, err := s.Group(ctx, "app", "g")
	ok(t, err)
	last := &awsapi.LastDeploymentInfo{
		DeploymentId: ptr("d-1"), Status: awsapi.DeploymentStatusSucceeded, CreateTime: awsapi.At(begin), EndTime: awsapi.At(after(time.Hour)),
	}
	same(t, "last success", g.Info.LastSuccessfulDeployment, last)
	same(t, "last attempt", g.Info.LastAttemptedDeployment, last)
	same(t, "target revision", g.Info.TargetRevision, ptr(bundle("v1")))
	health, err := s.GroupHealth(ctx, "id of g")
	ok(t, err)
	same(t, "health of the attempted targets", health, []store.TargetHealth{
		{Target: "a", Healthy: true, RevisionKey: d.RevisionKey}, {Target: "b"},
	})
	live, err := s.Live(ctx)
	ok(t, err)
	same(t, "live", live, []string(nil))
	restart := deploymentOf("d-2", "a")
	restart.Info.DeploymentMode = awsapi.DeploymentModeRestart
	restart.RevisionKey = store.RevisionKey(bundle("v0"))
	fails(t, s.CreateDeployment(ctx, restart), store.ErrConflict)
	restart.RevisionKey = d.RevisionKey
	ok(t, s.CreateDeployment(ctx, restart))
	r2, err := s.Revision(ctx, "app", d.RevisionKey)
	ok(t, err)
	same(t, "groups of the revision", r2.Info.DeploymentGroups, []string{"g"})
}

// failure fails the second deployment of a group.
func failure(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "a", "b")
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Succeeded, deploy.TargetSucceeded)))
	second := deploymentOf("d-2", "a", "b", "c")
	second.Info.CreateTime = awsapi.At(after(2 * time.Hour))
	second.Info.Revision, second.RevisionKey = ptr(bundle("v2")), "key of v2"
	// The caller looked at the group before d-1 succeeded.
	second.Facts.LastGood, second.Info.PreviousRevision = "d-0", ptr(bundle("v0"))
	ok(t, s.CreateDeployment(ctx, second))
	same(t, "last good deployment", loaded(t, s, "d-2").Facts.LastGood, "d-1")
	r := end(loaded(t, s, "d-2"), deploy.Failed, deploy.TargetFailed)
	r.At = after(3 * time.Hour)
	r.Decision.Why = deploy.Why{Code: "HEALTH_CONSTRAINTS", Message: "too many"}
	r.Decision.RollbackMessage = "there is nothing to roll back to"
	r.Decision.Targets[1].Status = deploy.TargetSkipped
	ok(t, s.Commit(ctx, r))

	d, err := s.Deployment(ctx, "d-2")
	ok(t, err)
	same(t, "previousRevision", d.Info.PreviousRevision, ptr(bundle("v1")))
	same(t, "error", d.Info.ErrorInformation, &awsapi.ErrorInformation{Code: awsapi.ErrorCodeHealthConstraints, Message: ptr("too many")})
	same(t, "rollbackInfo", d.Info.RollbackInfo, &awsapi.RollbackInfo{RollbackMessage: ptr("there is nothing to roll back to")})
	if !d.Info.StartTime.IsZero() {
		t.Errorf("a deployment that never was InProgress has a startTime: %v", d.Info.StartTime)
	}
	g, err := s.Group(ctx, "app", "g")
	ok(t, err)
	same(t, "last success", *g.Info.LastSuccessfulDeployment.DeploymentId, "d-1")
	same(t, "last attempt", g.Info.LastAttemptedDeployment, &awsapi.LastDeploymentInfo{
		DeploymentId: ptr("d-2"), Status: awsapi.DeploymentStatusFailed,
		CreateTime: awsapi.At(after(2 * time.Hour)), EndTime: awsapi.At(after(3 * time.Hour)),
	})
	same(t, "target revision", g.Info.TargetRevision, ptr(bundle("v1")))
	health, err := s.GroupHealth(ctx, "id of g")
	ok(t, err)
	v1 := store.RevisionKey(bundle("v1"))
	same(t, "health", health, []store.TargetHealth{
		{Target: "a", RevisionKey: v1}, {Target: "b", Healthy: true, RevisionKey: v1}, {Target: "c"},
	})
}

func rollback(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "h")
	r := end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)
	back := deploymentOf("d-2", "h")
	back.Info.CreateTime, back.Info.Creator = awsapi.At(r.At), awsapi.DeploymentCreatorCodeDeployRollback
	back.Info.RollbackInfo = &awsapi.RollbackInfo{RollbackMessage: ptr("because of d-1")}
	back.Facts.RollbackOf = "d-1"
	r.Decision.Rollback, r.Decision.RollbackMessage, r.Rollback = true, "restored by d-2", &back
	ok(t, s.Commit(ctx, r))

	d, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "rollbackInfo of the failed one", d.Info.RollbackInfo, &awsapi.RollbackInfo{
		RollbackDeploymentId: ptr("d-2"), RollbackMessage: ptr("restored by d-2"),
	})
	d, err = s.Deployment(ctx, "d-2")
	ok(t, err)
	same(t, "rollbackInfo of the rollback", d.Info.RollbackInfo, &awsapi.RollbackInfo{
		RollbackTriggeringDeploymentId: ptr("d-1"), RollbackMessage: ptr("because of d-1"),
	})
	same(t, "facts of the rollback", loaded(t, s, "d-2").Facts, deploy.Facts{RollbackOf: "d-1"})
	live, err := s.Live(ctx)
	ok(t, err)
	same(t, "live", live, []string{"d-2"})
	g, err := s.Group(ctx, "app", "g")
	ok(t, err)
	same(t, "last attempt", *g.Info.LastAttemptedDeployment.DeploymentId, "d-2")

	ok(t, s.Commit(ctx, end(loaded(t, s, "d-2"), deploy.Failed, deploy.TargetFailed)))
	second := deploymentOf("d-3", "h")
	second.Facts.RollbackOf = "d-1"
	fails(t, s.CreateDeployment(ctx, second), store.ErrExists)
}

// thousandTargets moves more rows than one statement carries.
func thousandTargets(t *testing.T, s store.Store) {
	ctx := t.Context()
	hosts := names("host", 1111)
	started(t, s, "d-1", hosts...)
	state := loaded(t, s, "d-1")
	same(t, "Work", len(state.Work), len(hosts))
	ok(t, s.Commit(ctx, end(state, deploy.Succeeded, deploy.TargetSucceeded)))
	targets, err := s.Targets(ctx, "d-1")
	ok(t, err)
	for i, target := range targets {
		if target.ID != hosts[i] || target.Status != deploy.TargetSucceeded || len(target.Work) != 1 || target.Work[0].Target != target.ID {
			t.Fatalf("target %d is %+v", i, target)
		}
	}
	health, err := s.GroupHealth(ctx, "id of g")
	ok(t, err)
	same(t, "healthy targets", len(health), len(hosts))
	same(t, "Work that is not settled", len(loaded(t, s, "d-1").Work), 0)
}
