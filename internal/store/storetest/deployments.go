package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

func deployment(t *testing.T, s store.Store) {
	ctx := t.Context()
	_, err := s.Deployment(ctx, "d-1")
	fails(t, err, store.ErrNotFound)
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	want := deploymentOf("d-1", "b", "a")
	want.Info.Description = ptr("a <new> version")
	want.Facts = deploy.Facts{Alarms: []string{"cpu"}}
	ok(t, s.CreateDeployment(ctx, want))
	want.Info.Status = awsapi.DeploymentStatusCreated
	got, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "created deployment", got, want)

	targets, err := s.Targets(ctx, "d-1")
	ok(t, err)
	pending := func(id string) store.Target {
		return store.Target{Target: deploy.Target{ID: id, Status: deploy.TargetPending}, UpdatedAt: begin}
	}
	same(t, "targets in the order of the plan", targets, []store.Target{pending("b"), pending("a")})
	targets, err = s.Targets(ctx, "d-1", "a", "unknown")
	ok(t, err)
	same(t, "one target", targets, []store.Target{pending("a")})
	_, err = s.Targets(ctx, "d-2")
	fails(t, err, store.ErrNotFound)

	g, err := s.Group(ctx, "app", "g")
	ok(t, err)
	same(t, "last attempt", g.Info.LastAttemptedDeployment, &awsapi.LastDeploymentInfo{
		DeploymentId: ptr("d-1"), Status: awsapi.DeploymentStatusCreated, CreateTime: awsapi.At(begin),
	})
	if g.Info.LastSuccessfulDeployment != nil || g.Info.TargetRevision != nil {
		t.Errorf("a group whose first deployment is live has a last success: %+v", g.Info)
	}
}

func deploymentBusy(t *testing.T, s store.Store) {
	ctx := t.Context()
	fails(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h")), store.ErrNotFound)
	started(t, s, "d-1", "h")
	var busy *store.BusyError
	if err := s.CreateDeployment(ctx, deploymentOf("d-2", "h")); !errors.As(err, &busy) || busy.Deployment != "d-1" {
		t.Fatalf("got error %v, want one that names d-1", err)
	}
	newGroup(t, s, "app", "free")
	elsewhere := deploymentOf("d-1", "h")
	elsewhere.GroupID = "id of free"
	fails(t, s.CreateDeployment(ctx, elsewhere), store.ErrExists)
	elsewhere.Info.DeploymentId = ptr("d-3")
	ok(t, s.CreateDeployment(ctx, elsewhere))
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)))
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-2", "h")))
	live, err := s.Live(ctx)
	ok(t, err)
	same(t, "live deployments", live, []string{"d-2", "d-3"})
}

func listDeployments(t *testing.T, s store.Store) {
	ctx := t.Context()
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	newGroup(t, s, "app", "g2")
	create := func(id, group string, at time.Time) {
		d := deploymentOf(id, "h")
		d.GroupID, d.Info.CreateTime = "id of "+group, awsapi.At(at)
		ok(t, s.CreateDeployment(ctx, d))
	}
	create("d-1", "g", begin)
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Succeeded, deploy.TargetSucceeded)))
	create("d-2", "g", after(time.Hour))
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-2"), deploy.Failed, deploy.TargetFailed)))
	create("d-4", "g", after(2*time.Hour))
	create("d-3", "g2", after(2*time.Hour))
	at := func(id string, later time.Duration) store.Listed {
		return store.Listed{ID: id, CreatedAt: after(later)}
	}

	for _, test := range []struct {
		filter store.DeploymentFilter
		want   []string
	}{
		{store.DeploymentFilter{}, []string{"d-4", "d-3", "d-2", "d-1"}},
		{store.DeploymentFilter{Application: "app", Group: "g"}, []string{"d-4", "d-2", "d-1"}},
		{store.DeploymentFilter{Application: "none"}, nil},
		{store.DeploymentFilter{Statuses: []deploy.Status{deploy.Succeeded, deploy.Failed}}, []string{"d-2", "d-1"}},
		{store.DeploymentFilter{From: after(time.Hour), To: after(2 * time.Hour)}, []string{"d-4", "d-3", "d-2"}},
		{store.DeploymentFilter{From: after(time.Hour), To: after(time.Hour)}, []string{"d-2"}},
		{store.DeploymentFilter{To: after(-time.Microsecond)}, nil},
		{store.DeploymentFilter{Limit: 2}, []string{"d-4", "d-3"}},
		{store.DeploymentFilter{Before: at("d-4", 2*time.Hour), Limit: 2}, []string{"d-3", "d-2"}},
		{store.DeploymentFilter{Before: at("deleted", 2*time.Hour), Limit: 2}, []string{"d-4", "d-3"}},
		{store.DeploymentFilter{Before: at("d-1", 0)}, nil},
		{store.DeploymentFilter{
			Application: "app", Group: "g", Statuses: []deploy.Status{deploy.Failed, deploy.Created}, From: begin,
			Before: at("d-4", 2*time.Hour),
		}, []string{"d-2"}},
	} {
		got, err := s.ListDeployments(ctx, test.filter)
		ok(t, err)
		var ids []string
		for _, l := range got {
			ids = append(ids, l.ID)
		}
		if diff := cmp.Diff(test.want, ids); diff != "" {
			t.Errorf("filter %+v (-want +got):\n%s", test.filter, diff)
		}
	}
}

func stopDeployment(t *testing.T, s Moving) {
	ctx := t.Context()
	fails(t, s.StopDeployment(ctx, "d-1", deploy.Stop{At: begin}), store.ErrNotFound)
	started(t, s, "d-1", "h")
	before := loaded(t, s, "d-1")
	fact := deploy.Stop{At: after(time.Minute), Rollback: ptr(false)}
	ok(t, s.StopDeployment(ctx, "d-1", fact))
	stopped := loaded(t, s, "d-1")
	same(t, "stop", stopped.Facts.Stop, &fact)
	if stopped.Version == before.Version {
		t.Error("an operator's fact did not move the version")
	}
	fails(t, s.Commit(ctx, end(before, deploy.Succeeded, deploy.TargetSucceeded)), store.ErrConflict)

	ok(t, s.StopDeployment(ctx, "d-1", deploy.Stop{At: after(time.Hour), Rollback: ptr(true)}))
	same(t, "stop, after a second one", loaded(t, s, "d-1").Facts.Stop, &fact)
	ok(t, s.Commit(ctx, end(stopped, deploy.Stopped, deploy.TargetFailed)))
	fails(t, s.StopDeployment(ctx, "d-1", fact), store.ErrEnded)
}

func approvePhase(t *testing.T, s store.Store) {
	ctx := t.Context()
	fails(t, s.ApprovePhase(ctx, "d-1", 1), store.ErrNotFound)
	started(t, s, "d-1", "h")
	before := loaded(t, s, "d-1")
	ok(t, s.ApprovePhase(ctx, "d-1", 1))
	approved := loaded(t, s, "d-1")
	same(t, "phases that may begin", approved.Facts.Approved, 2)
	if approved.Version == before.Version {
		t.Error("an operator's fact did not move the version")
	}
	ok(t, s.ApprovePhase(ctx, "d-1", 0))
	same(t, "after an earlier phase was approved again", loaded(t, s, "d-1"), approved)

	ok(t, s.Commit(ctx, store.Round{State: approved, At: after(time.Hour), Decision: deploy.Decision{Phase: 1}}))
	d, err := s.Deployment(ctx, "d-1")
	ok(t, err)
	same(t, "phase", d.Phase, 1)
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)))
	fails(t, s.ApprovePhase(ctx, "d-1", 3), store.ErrEnded)
}

func openBundles(t *testing.T, s store.Store) {
	ctx := t.Context()
	started(t, s, "d-1", "h", "idle")
	newGroup(t, s, "app", "g2")
	second := deploymentOf("d-2", "h")
	second.GroupID, second.Info.CreateTime = "id of g2", awsapi.At(after(time.Minute))
	second.Info.Revision, second.RevisionKey = ptr(bundle("v2")), "key of v2"
	ok(t, s.CreateDeployment(ctx, second))
	newGroup(t, s, "app", "g3")
	third := deploymentOf("d-3", "h")
	third.GroupID, third.RevisionKey = "id of g3", "key of a commit"
	third.Info.Revision = &awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeGitHub}
	ok(t, s.CreateDeployment(ctx, third))
	ok(t, s.Commit(ctx, firstRound(loaded(t, s, "d-3"))))
	open := func(host string) (keys []string) {
		bundles, err := s.OpenBundles(ctx, host)
		ok(t, err)
		for _, b := range bundles {
			keys = append(keys, *b.Bucket+"/"+*b.Key)
		}
		return keys
	}
	same(t, "open, one issued", open("h"), []string{"bundles/v1"})
	ok(t, s.Commit(ctx, firstRound(loaded(t, s, "d-2"))))
	same(t, "open, both issued", open("h"), []string{"bundles/v1", "bundles/v2"})
	ok(t, s.Complete(ctx, workOf("d-1", 0, "h").ID, deploy.WorkSucceeded, deploy.Diagnostics{}, after(time.Minute)))
	same(t, "open, one completed", open("h"), []string{"bundles/v2"})
	same(t, "open on a host without", open("other"), []string(nil))
}

func silent(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range []string{"here", "long-ago"} {
		ok(t, s.RegisterHost(ctx, hostOf(name)))
	}
	ok(t, s.HostsSeen(ctx, []store.Presence{{Host: "here", At: after(time.Minute)}, {Host: "long-ago", At: begin}}))
	started(t, s, "d-1", "here", "long-ago", "never", "busy")
	_, _, err := s.Acknowledge(ctx, workOf("d-1", 0, "busy").ID, false, after(time.Minute))
	ok(t, err)
	got, err := s.Silent(ctx, "d-1", after(time.Second), 10)
	ok(t, err)
	same(t, "silent targets", got, []deploy.Target{{ID: "long-ago", LastSeen: begin}, {ID: "never"}})
	got, err = s.Silent(ctx, "d-1", after(time.Second), 1)
	ok(t, err)
	same(t, "number of silent targets", len(got), 1)
}

// readAfterWrite: whoever has written reads what it wrote, while others read the same all the time: a store that remembers
// what it read must forget it in time.
func readAfterWrite(t *testing.T, s store.Store) {
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	ok(t, s.CreateDeployment(t.Context(), deploymentOf("d-1")))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if _, err := s.Deployment(t.Context(), "d-1"); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	defer readers.Wait()
	defer close(done)
	a, err := s.Application(t.Context(), "app")
	ok(t, err)
	for n := range 100 {
		old := *a.Info.ApplicationName
		a.Info.ApplicationName = ptr(fmt.Sprintf("app-%d", n))
		ok(t, s.UpdateApplication(t.Context(), old, a))
		a.Version++
		d, err := s.Deployment(t.Context(), "d-1")
		ok(t, err)
		same(t, "the application's name after its change", *d.Info.ApplicationName, *a.Info.ApplicationName)
	}
}
