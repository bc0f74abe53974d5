package engine

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/lifecycle"
	"grapnel/internal/store"
)

// rows is a store of one deployment whose calls can be made to fail. The simulation (test/sim) runs the engine on a whole
// one; these tests look at single rounds.
type rows struct {
	mu      sync.Mutex
	state   deploy.State
	commits []store.Round
	loads   int

	reprieving func() error              // before deadlines are put off
	loading    func(n int) error         // before the n-th Load, counted from 1
	committing func(r store.Round) error // before a Commit takes effect
	committed  func() error              // after it did

	deployments map[string]store.Deployment
	group       store.Group
	hosts       []store.Host
}

func (s *rows) Live(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.Status.Terminal() {
		return nil, nil
	}
	return []string{s.state.ID}, nil
}

func (s *rows) Load(_ context.Context, id string) (deploy.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if s.loading != nil {
		if err := s.loading(s.loads); err != nil {
			return deploy.State{}, err
		}
	}
	if id != s.state.ID {
		return deploy.State{}, store.ErrNotFound
	}
	return s.state, nil
}

func (s *rows) Commit(ctx context.Context, r store.Round) error {
	if s.committing != nil {
		if err := s.committing(r); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.State.Version != s.state.Version {
		return store.ErrConflict
	}
	s.commits = append(s.commits, r)
	s.state.Version++
	if r.Decision.Status != "" {
		s.state.Status = r.Decision.Status
	}
	s.state.Targets = nil
	for _, c := range r.Decision.Targets {
		s.state.Targets = append(s.state.Targets, deploy.Target{ID: c.ID, Status: c.Status, Step: c.Step, Failure: c.Failure})
	}
	s.state.Work = r.Decision.Issue
	if s.committed != nil {
		return s.committed()
	}
	return nil
}

func (s *rows) Reprieve(_ context.Context, until time.Time) error {
	if s.reprieving != nil {
		if err := s.reprieving(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.state.Work {
		if w := &s.state.Work[i]; w.Status.Open() && w.Due.Before(until) {
			w.Due = until
		}
	}
	return nil
}

func (s *rows) Deployment(_ context.Context, id string) (store.Deployment, error) {
	d, ok := s.deployments[id]
	if !ok {
		return d, store.ErrNotFound
	}
	return d, nil
}

func (s *rows) Group(_ context.Context, _, name string) (store.Group, error) {
	if awsapi.Value(s.group.Info.DeploymentGroupName) != name {
		return store.Group{}, store.ErrNotFound
	}
	return s.group, nil
}

func (s *rows) Config(context.Context, string) (awsapi.DeploymentConfigInfo, error) {
	return awsapi.DeploymentConfigInfo{}, store.ErrNotFound
}

func (s *rows) Hosts(context.Context) ([]store.Host, error) { return s.hosts, nil }

func (s *rows) GroupHealth(context.Context, string) ([]store.TargetHealth, error) { return nil, nil }

// created is a deployment with one host that has not begun.
func created() deploy.State {
	return deploy.State{
		ID: "d-AAAAAAAAA", Version: 1, Status: deploy.Created, CreatedAt: time.Now(), PhaseSince: time.Now(),
		Plan: deploy.Plan{Limit: time.Hour, Phases: []deploy.Phase{{
			Targets: []string{"web-1"},
			Steps: []deploy.Step{{
				Event: lifecycle.Install, By: lifecycle.Host, Acknowledge: 5 * time.Minute, Timeout: time.Hour,
			}},
			Health: deploy.Health{Type: deploy.HostCount},
		}}},
		Targets: []deploy.Target{{ID: "web-1", Status: deploy.TargetPending}},
	}
}

// watched is an engine with what it told.
type watched struct {
	*Engine
	rows      *rows
	issued    chan []string
	reprieved chan time.Time
	seen      chan Observation
}

// run starts an engine in a bubble and ends it with the test.
func run(t *testing.T, s *rows) *watched {
	r := &watched{rows: s, issued: make(chan []string, 100), reprieved: make(chan time.Time, 100), seen: make(chan Observation, 1000)}
	r.Engine = New(Options{
		Store: s, Log: slog.New(slog.DiscardHandler),
		Issued: func(hosts []string) { r.issued <- hosts }, Reprieved: func() { r.reprieved <- time.Now() }, Observe: func(o Observation) { r.seen <- o },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

// outcomes returns the outcomes of the rounds so far.
func (r *watched) outcomes() []Outcome {
	var all []Outcome
	for len(r.seen) > 0 {
		all = append(all, (<-r.seen).Outcome)
	}
	return all
}

func TestStartLooksAtLiveDeployments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		r := run(t, s)
		if got := <-r.issued; !cmp.Equal(got, []string{"web-1"}) {
			t.Errorf("issued: got %v, want [web-1]", got)
		}
		synctest.Wait()
		if s.state.Status != deploy.InProgress || len(s.commits) != 1 || s.loads != 1 {
			t.Errorf("got %s after %d commits and %d loads, want InProgress after one of each", s.state.Status, len(s.commits), s.loads)
		}
	})
}

func TestWakeAtTheNextDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		start := time.Now()
		run(t, s)
		time.Sleep(5*time.Minute + time.Nanosecond)
		synctest.Wait()
		if len(s.commits) != 2 {
			t.Fatalf("%d commits when the acknowledgement was due, want 2", len(s.commits))
		}
		if got := s.commits[1]; got.At.Sub(start) != 5*time.Minute || got.Decision.Status != deploy.Failed {
			t.Errorf("decided %s after %s, want Failed after 5m", got.Decision.Status, got.At.Sub(start))
		}
	})
}

// TestNobodyFailsForTheTimeWithoutAServer starts with Work that came due long ago, and a store that is away at first. A wake
// must not start a round before the deadline is put off.
func TestNobodyFailsForTheTimeWithoutAServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := failing()
		s.state.Work[0].Status = deploy.WorkPending
		s.state.Work[0].Due = time.Now().Add(-time.Hour)
		tries, put := 0, time.Time{}
		s.reprieving = func() error {
			if tries++; tries < 3 {
				return errors.New("connection refused")
			}
			put = time.Now()
			return nil
		}
		r := run(t, s)
		r.Wake(s.state.ID)
		time.Sleep(4 * time.Minute)
		synctest.Wait()
		if len(s.commits) != 0 || tries != 3 {
			t.Fatalf("after 4 minutes and %d tries: %+v, want that the host has time until five", tries, s.commits)
		}
		// A poll that came before found nothing: it must look again now, and not at the end of its hold.
		if len(r.reprieved) != 1 || !(<-r.reprieved).Equal(put) {
			t.Error("held polls were not told at once, and once, that deadlines were put off")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if len(s.commits) != 1 {
			t.Errorf("%d commits after 6 minutes, want one that fails the Work", len(s.commits))
		}
	})
}

func TestConflictIsDecidedAgainAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		tries := 0
		s.committing = func(store.Round) error {
			if tries++; tries <= 4 {
				return store.ErrConflict
			}
			return nil
		}
		start := time.Now()
		r := run(t, s)
		synctest.Wait() // the first is tried again without a pause
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []Outcome{Conflict, Conflict, Conflict, Conflict, Changed}; !cmp.Equal(r.outcomes(), want) {
			t.Errorf("outcomes are not %v", want)
		}
		if at := s.commits[0].At.Sub(start); at > 100*time.Millisecond {
			t.Errorf("committed after %s, want at once", at)
		}
	})
}

func TestTroubleWithTheStoreIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		s.loading = func(n int) error {
			if n <= 3 {
				return errors.New("disk full")
			}
			return nil
		}
		r := run(t, s)
		<-r.issued
		if want := []Outcome{Failed, Failed, Failed, Changed}; !cmp.Equal(r.outcomes(), want) {
			t.Errorf("outcomes are not %v", want)
		}
	})
}

func TestLostReplyOfACommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		lost := false
		s.committed = func() error {
			if !lost {
				lost = true
				return errors.New("connection reset")
			}
			return nil
		}
		r := run(t, s)
		if got := <-r.issued; !cmp.Equal(got, []string{"web-1"}) {
			t.Errorf("issued: got %v, want [web-1]: the Work is stored, and its host would wait", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if want := []Outcome{Failed, Unchanged}; !cmp.Equal(r.outcomes(), want) || len(s.commits) != 1 {
			t.Errorf("%d commits, want 1 with the outcomes %v", len(s.commits), want)
		}
	})
}

func TestPanicStopsOneDeploymentOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		s.committing = func(store.Round) error { panic("a state that nobody foresaw") }
		r := run(t, s)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := r.outcomes(); len(got) < 2 || got[0] != Failed {
			t.Errorf("outcomes %v, want Failed more than once", got)
		}
	})
}

func TestWakesCoalesce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		s.committing = func(store.Round) error { time.Sleep(time.Second); return nil }
		r := run(t, s)
		time.Sleep(500 * time.Millisecond) // in the middle of the first round
		for range 1000 {
			r.Wake(s.state.ID)
			r.Wake("d-UNKNOWN00")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		// The unknown one may have been looked at twice: its round is too short to collect all of its wakes.
		if s.loads > 4 {
			t.Errorf("%d loads after 1000 wakes of two deployments, want one more of each", s.loads)
		}
	})
}

func TestRunEndsAfterTheRoundUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &rows{state: created()}
		begun := make(chan struct{})
		s.committing = func(store.Round) error { close(begun); time.Sleep(time.Second); return nil }
		e := New(Options{Store: s, Log: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-begun; cancel() }()
		if err := e.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(s.commits) != 1 {
			t.Errorf("%d commits when Run returned, want the one under way", len(s.commits))
		}
	})
}

// failing is a deployment whose only Work has failed, to a group with an earlier success.
func failing() *rows {
	s := created()
	s.Status = deploy.InProgress
	s.Plan.Rollback.OnFailure = true
	s.Facts.LastGood = "d-GOOD00000"
	s.Targets[0].Status = deploy.TargetInProgress
	s.Work = []deploy.Work{{
		ID: deploy.WorkID(s.ID, 0, 0, "web-1"), Target: "web-1", Event: lifecycle.Install, Status: deploy.WorkFailed,
		IssuedAt: s.CreatedAt, Due: s.CreatedAt.Add(time.Minute),
		Diagnostics: deploy.Diagnostics{ErrorCode: "ScriptFailed"},
	}}
	info := func(id, key string) awsapi.DeploymentInfo {
		return awsapi.DeploymentInfo{
			DeploymentId: &id, ApplicationName: new("app"), DeploymentGroupName: new("group"),
			Revision: &awsapi.RevisionLocation{S3Location: &awsapi.S3Location{Key: &key}},
		}
	}
	good, bad := info("d-GOOD00000", "good.zip"), info(s.ID, "bad.zip")
	good.FileExistsBehavior = awsapi.FileExistsBehaviorRetain
	bad.FileExistsBehavior = awsapi.FileExistsBehaviorOverwrite
	bad.IgnoreApplicationStopFailures = new(true)
	return &rows{
		state: s,
		deployments: map[string]store.Deployment{
			s.ID:          {Info: bad, GroupID: "group-id", RevisionKey: "bad"},
			"d-GOOD00000": {Info: good, GroupID: "group-id", RevisionKey: "good"},
		},
		group: store.Group{Info: awsapi.DeploymentGroupInfo{
			DeploymentGroupName: new("group"), DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"),
			OnPremisesInstanceTagFilters: []awsapi.TagFilter{{Key: new("k"), Type: awsapi.TagFilterTypeKeyOnly}},
			TargetRevision:               good.Revision,
		}},
		hosts: []store.Host{
			{Info: awsapi.InstanceInfo{InstanceName: new("web-1"), Tags: []awsapi.Tag{{Key: new("k"), Value: new("v")}}}},
			{Info: awsapi.InstanceInfo{InstanceName: new("gone"), Tags: []awsapi.Tag{{Key: new("k"), Value: new("v")}}, DeregisterTime: awsapi.At(s.CreatedAt)}},
		},
	}
}

func TestRollback(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := failing()
		run(t, s)
		synctest.Wait()
		if len(s.commits) != 1 || s.commits[0].Rollback == nil {
			t.Fatalf("commits: %+v, want one with a rollback", s.commits)
		}
		got, message := s.commits[0].Rollback, s.commits[0].Decision.RollbackMessage
		for _, id := range []string{s.state.ID, *got.Info.DeploymentId} {
			if !strings.Contains(message, id) {
				t.Errorf("the message of what is rolled back does not name %s: %s", id, message)
			}
		}
		if !strings.Contains(*got.Info.RollbackInfo.RollbackMessage, s.state.ID) {
			t.Errorf("the message of the rollback does not name %s: %s", s.state.ID, *got.Info.RollbackInfo.RollbackMessage)
		}
		want := store.Deployment{
			Info: awsapi.DeploymentInfo{
				DeploymentId: got.Info.DeploymentId, ApplicationName: new("app"), DeploymentGroupName: new("group"),
				DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"), CreateTime: awsapi.At(s.commits[0].At),
				Revision: s.deployments["d-GOOD00000"].Info.Revision,
				Creator:  awsapi.DeploymentCreatorCodeDeployRollback, FileExistsBehavior: awsapi.FileExistsBehaviorRetain,
				IgnoreApplicationStopFailures: new(true), UpdateOutdatedInstancesOnly: new(false),
				Description: got.Info.Description,
				RollbackInfo: &awsapi.RollbackInfo{
					RollbackTriggeringDeploymentId: &s.state.ID, RollbackMessage: got.Info.RollbackInfo.RollbackMessage,
				},
			},
			GroupID: "group-id", RevisionKey: "good", Status: deploy.Created, Facts: deploy.Facts{RollbackOf: s.state.ID},
		}
		want.Plan = got.Plan
		if diff := cmp.Diff(want, *got); diff != "" {
			t.Errorf("rollback (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"web-1"}, got.Plan.Phases[0].Targets); diff != "" {
			t.Errorf("targets of the rollback (-want +got):\n%s", diff)
		}
	})
}

// TestRollbackOverridesAlarmsToo rolls back a deployment that was told to disregard the group's alarms.
func TestRollbackOverridesAlarmsToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := failing()
		s.group.Info.AlarmConfiguration = &awsapi.AlarmConfiguration{Enabled: new(true), Alarms: []awsapi.Alarm{{Name: new("cpu")}}}
		ended := s.deployments[s.state.ID]
		ended.Info.OverrideAlarmConfiguration = &awsapi.AlarmConfiguration{Enabled: new(false)}
		s.deployments[s.state.ID] = ended
		run(t, s)
		synctest.Wait()
		if len(s.commits) != 1 || s.commits[0].Rollback == nil {
			t.Fatalf("commits: %+v, want one with a rollback", s.commits)
		}
		got := s.commits[0].Rollback.Info.OverrideAlarmConfiguration
		if diff := cmp.Diff(ended.Info.OverrideAlarmConfiguration, got); diff != "" {
			t.Errorf("overrideAlarmConfiguration of the rollback (-want +got):\n%s", diff)
		}
	})
}

func TestRollbackThatCannotBe(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*rows)
		want   string
	}{
		{"the last success is deleted", func(s *rows) { delete(s.deployments, "d-GOOD00000") }, "d-GOOD00000"},
		{"the group was renamed", func(s *rows) { s.group.Info.DeploymentGroupName = new("other") }, "deployment group"},
		{"the config is deleted", func(s *rows) { s.group.Info.DeploymentConfigName = new("custom") }, "custom"},
		{"the group's settings are not supported", func(s *rows) {
			s.group.Info.DeploymentStyle = &awsapi.DeploymentStyle{DeploymentType: awsapi.DeploymentTypeBlueGreen}
		}, "deploymentStyle"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := failing()
				tt.change(s)
				run(t, s)
				synctest.Wait()
				if len(s.commits) != 1 || s.commits[0].Rollback != nil || s.commits[0].Decision.Status != deploy.Failed {
					t.Fatalf("commits: %+v, want one that ends it as Failed without a rollback", s.commits)
				}
				if got := s.commits[0].Decision.RollbackMessage; !strings.Contains(got, tt.want) || !strings.Contains(got, "cannot be rolled back") {
					t.Errorf("message %q, want it to say why, with %q", got, tt.want)
				}
			})
		})
	}
}

var _ Store = (*rows)(nil)
