package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/store"
)

// RunNotices runs the part of the suite that a store must pass which queues notices. open returns an empty store that calls
// noticed when it has queued some; with nil it queues none.
func RunNotices(t *testing.T, open func(t *testing.T, noticed func()) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, *noticing)
	}{
		{"OfDeployment", noticesOfDeployment},
		{"OfRollback", noticesOfRollback},
		{"AllOrNothing", noticesAllOrNothing},
		{"Queue", noticeQueue},
		{"QueueOfEachTopic", noticeTopics},
		{"TakenOnce", noticesTakenOnce},
		{"GoWithTheirDeployment", noticesGo},
		{"TriggeredGroups", triggeredGroups},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := new(noticing)
			s.Store = open(t, func() { s.rung.Add(1) })
			test.run(t, s)
		})
	}
	t.Run("Nobody", func(t *testing.T) {
		t.Parallel()
		s := &noticing{Store: open(t, nil)}
		s.triggered(t, trigger("all", "a", awsapi.TriggerEventType("").Values()...))
		ok(t, s.CreateDeployment(t.Context(), deploymentOf("d-1", "h")))
		s.take(t, begin)
	})
}

// noticing is a store that counts how often it has said that notices wait.
type noticing struct {
	store.Store
	rung atomic.Int32
}

// triggered stores application app with a group g that has the triggers.
func (s *noticing) triggered(t *testing.T, triggers ...awsapi.TriggerConfig) {
	t.Helper()
	newApplication(t, s, "app")
	g := groupOf("app", "g")
	g.Info.TriggerConfigurations = triggers
	ok(t, s.CreateGroup(t.Context(), g))
}

func trigger(name, topic string, events ...awsapi.TriggerEventType) awsapi.TriggerConfig {
	return awsapi.TriggerConfig{TriggerName: &name, TriggerTargetArn: ptr("arn:" + topic), TriggerEvents: events}
}

// hold is how long a taken notice is not taken again.
const hold = time.Minute

// take takes what can be taken at a moment, checks what it says but for the places, and returns these.
func (s *noticing) take(t *testing.T, at time.Time, want ...store.Notice) (places []int64) {
	t.Helper()
	taken, _, err := s.TakeNotices(t.Context(), at, at.Add(hold))
	ok(t, err)
	for i := range taken {
		places = append(places, taken[i].Place)
		taken[i].Place = 0
	}
	same(t, "notices taken", taken, want)
	return places
}

// sent takes a notice and drops it.
func (s *noticing) sent(t *testing.T, want store.Notice) {
	t.Helper()
	ok(t, s.DropNotice(t.Context(), s.take(t, begin, want)[0]))
}

// told is a notice of the trigger all to the topic a.
func told(event awsapi.TriggerEventType, deployment, target, status string, at time.Time) store.Notice {
	return store.Notice{Topic: "arn:a", Trigger: "all", Event: event, Deployment: deployment, Target: target, Status: status, At: at}
}

func noticesOfDeployment(t *testing.T, s *noticing) {
	ctx := t.Context()
	s.triggered(t, trigger("all", "a", awsapi.TriggerEventType("").Values()...))
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h", "i", "j")))
	ok(t, s.Commit(ctx, firstRound(loaded(t, s, "d-1"))))
	same(t, "times that it rang", s.rung.Load(), int32(2))
	steps := store.Round{State: loaded(t, s, "d-1"), At: after(time.Minute), Decision: deploy.Decision{
		Targets: []deploy.TargetChange{{ID: "h", Status: deploy.TargetInProgress, Step: 1}},
	}}
	ok(t, s.Commit(ctx, steps))
	same(t, "times that it rang after a mere step", s.rung.Load(), int32(2))
	ready := store.Round{State: loaded(t, s, "d-1"), At: after(time.Minute), Decision: deploy.Decision{
		Status: deploy.Ready, Targets: []deploy.TargetChange{{ID: "h", Status: deploy.TargetReady}},
	}}
	ok(t, s.Commit(ctx, ready))
	on := store.Round{State: loaded(t, s, "d-1"), At: after(time.Minute), Decision: deploy.Decision{
		Status: deploy.InProgress, Targets: []deploy.TargetChange{{ID: "h", Status: deploy.TargetInProgress}},
	}}
	ok(t, s.Commit(ctx, on)) // nothing is started anew
	last := end(loaded(t, s, "d-1"), deploy.Succeeded, deploy.TargetSucceeded)
	last.Decision.Targets[1].Status, last.Decision.Targets[2].Status = deploy.TargetFailed, deploy.TargetSkipped
	ok(t, s.Commit(ctx, last))

	for _, want := range []store.Notice{
		told(awsapi.TriggerEventTypeDeploymentStart, "d-1", "", "Created", begin),
		told(awsapi.TriggerEventTypeInstanceStart, "d-1", "h", "InProgress", after(time.Second)),
		told(awsapi.TriggerEventTypeInstanceStart, "d-1", "i", "InProgress", after(time.Second)),
		told(awsapi.TriggerEventTypeInstanceStart, "d-1", "j", "InProgress", after(time.Second)),
		told(awsapi.TriggerEventTypeInstanceReady, "d-1", "h", "Ready", after(time.Minute)),
		told(awsapi.TriggerEventTypeDeploymentReady, "d-1", "", "Ready", after(time.Minute)),
		told(awsapi.TriggerEventTypeInstanceSuccess, "d-1", "h", "Succeeded", after(time.Hour)),
		told(awsapi.TriggerEventTypeInstanceFailure, "d-1", "i", "Failed", after(time.Hour)),
		told(awsapi.TriggerEventTypeDeploymentSuccess, "d-1", "", "Succeeded", after(time.Hour)),
	} {
		s.sent(t, want)
	}
	s.take(t, after(24*time.Hour))
}

func noticesOfRollback(t *testing.T, s *noticing) {
	ctx := t.Context()
	s.triggered(t, trigger("all", "a", awsapi.TriggerEventTypeDeploymentStart, awsapi.TriggerEventTypeDeploymentFailure,
		awsapi.TriggerEventTypeDeploymentRollback, awsapi.TriggerEventTypeDeploymentStop))
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h")))
	r := end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)
	back := deploymentOf("d-2", "h")
	back.Info.CreateTime, back.Facts.RollbackOf = awsapi.At(r.At), "d-1"
	r.Rollback = &back
	ok(t, s.Commit(ctx, r))
	ok(t, s.Commit(ctx, firstRound(loaded(t, s, "d-2"))))
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-2"), deploy.Stopped, deploy.TargetSkipped)))
	for _, want := range []store.Notice{
		told(awsapi.TriggerEventTypeDeploymentStart, "d-1", "", "Created", begin),
		told(awsapi.TriggerEventTypeDeploymentFailure, "d-1", "", "Failed", after(time.Hour)),
		told(awsapi.TriggerEventTypeDeploymentStart, "d-2", "", "Created", after(time.Hour)),
		told(awsapi.TriggerEventTypeDeploymentRollback, "d-2", "", "InProgress", after(time.Second)),
		told(awsapi.TriggerEventTypeDeploymentStop, "d-2", "", "Stopped", after(time.Hour)),
	} {
		s.sent(t, want)
	}
}

// noticesAllOrNothing refuses what would have been told.
func noticesAllOrNothing(t *testing.T, s *noticing) {
	ctx := t.Context()
	s.triggered(t, trigger("all", "a", awsapi.TriggerEventTypeDeploymentStart, awsapi.TriggerEventTypeDeploymentFailure))
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h")))
	s.sent(t, told(awsapi.TriggerEventTypeDeploymentStart, "d-1", "", "Created", begin))
	busy := s.CreateDeployment(ctx, deploymentOf("d-2", "h"))
	if busy == nil {
		t.Fatal("a second live deployment was stored")
	}
	r := end(loaded(t, s, "d-1"), deploy.Failed, deploy.TargetFailed)
	again := deploymentOf("d-1", "h") // its id is taken
	r.Rollback = &again
	fails(t, s.Commit(ctx, r), store.ErrExists)
	s.take(t, begin)
	same(t, "times that it rang", s.rung.Load(), int32(1))
}

// noticeQueue looks at the first of a topic until it is dropped.
func noticeQueue(t *testing.T, s *noticing) {
	ctx := t.Context()
	s.triggered(t, trigger("all", "a", awsapi.TriggerEventTypeDeploymentStart, awsapi.TriggerEventTypeDeploymentStop))
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h")))
	ok(t, s.Commit(ctx, end(loaded(t, s, "d-1"), deploy.Stopped, deploy.TargetSkipped)))
	first := told(awsapi.TriggerEventTypeDeploymentStart, "d-1", "", "Created", begin)
	place := s.take(t, begin, first)[0]
	s.take(t, after(hold-time.Second)) // whoever has it may still be at it
	_, wake, err := s.TakeNotices(ctx, begin, begin)
	ok(t, err)
	same(t, "wake", wake, after(hold))

	same(t, "the place when its taker is dead", s.take(t, after(hold), first)[0], place)
	ok(t, s.DelayNotice(ctx, place, after(time.Hour)))
	s.take(t, after(time.Hour-time.Second)) // nor the one behind it: subscribers are told in order
	first.Failures = 1
	s.take(t, after(time.Hour), first)
	ok(t, s.DropNotice(ctx, place))
	ok(t, s.DropNotice(ctx, place))
	last := s.take(t, begin, told(awsapi.TriggerEventTypeDeploymentStop, "d-1", "", "Stopped", after(time.Hour)))
	ok(t, s.DropNotice(ctx, last[0]))

	_, wake, err = s.TakeNotices(ctx, after(24*time.Hour), after(24*time.Hour))
	ok(t, err)
	same(t, "wake when nothing waits", wake, time.Time{})
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-2", "h")))
	if next := s.take(t, begin, told(awsapi.TriggerEventTypeDeploymentStart, "d-2", "", "Created", begin)); next[0] <= last[0] {
		t.Errorf("place %d after %d", next[0], last[0])
	}
}

// noticeTopics delays one topic of two that hear the same, one of them twice.
func noticeTopics(t *testing.T, s *noticing) {
	ctx := t.Context()
	start := awsapi.TriggerEventTypeDeploymentStart
	s.triggered(t, trigger("all", "a", start), trigger("other", "b", start), trigger("again", "b", start),
		trigger("deaf", "c", awsapi.TriggerEventTypeInstanceFailure))
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h")))
	a := told(start, "d-1", "", "Created", begin)
	b, again := a, a
	b.Topic, b.Trigger = "arn:b", "other"
	again.Topic, again.Trigger = "arn:b", "again"
	places := s.take(t, begin, a, b)
	ok(t, s.DelayNotice(ctx, places[0], after(time.Hour)))
	ok(t, s.DropNotice(ctx, places[1]))
	places = s.take(t, begin, again)
	ok(t, s.DropNotice(ctx, places[0]))
	_, wake, err := s.TakeNotices(ctx, begin, begin)
	ok(t, err)
	same(t, "wake", wake, after(time.Hour))
}

// noticesTakenOnce lets several servers ask at once.
func noticesTakenOnce(t *testing.T, s *noticing) {
	s.triggered(t, trigger("all", "a", awsapi.TriggerEventTypeDeploymentStart))
	ok(t, s.CreateDeployment(t.Context(), deploymentOf("d-1", "h")))
	var askers sync.WaitGroup
	var taken atomic.Int32
	for range 8 {
		askers.Go(func() {
			notices, _, err := s.TakeNotices(t.Context(), begin, after(hold))
			if err != nil {
				t.Error(err)
			}
			taken.Add(int32(len(notices)))
		})
	}
	askers.Wait()
	same(t, "takers", taken.Load(), int32(1))
}

func noticesGo(t *testing.T, s *noticing) {
	s.triggered(t, trigger("all", "a", awsapi.TriggerEventTypeDeploymentStart))
	ok(t, s.CreateDeployment(t.Context(), deploymentOf("d-1", "h")))
	ok(t, s.DeleteGroup(t.Context(), "app", "g"))
	s.take(t, begin)
}

func triggeredGroups(t *testing.T, s *noticing) {
	ctx := t.Context()
	count := func(want int) {
		t.Helper()
		n, err := s.TriggeredGroups(ctx)
		ok(t, err)
		same(t, "groups with triggers", n, want)
	}
	newApplication(t, s, "app")
	newGroup(t, s, "app", "g")
	count(0)
	g, err := s.Group(ctx, "app", "g")
	ok(t, err)
	g.Info.TriggerConfigurations = []awsapi.TriggerConfig{trigger("all", "a", awsapi.TriggerEventTypeDeploymentStart)}
	ok(t, s.UpdateGroup(ctx, "app", "g", g))
	count(1)
	ok(t, s.CreateDeployment(ctx, deploymentOf("d-1", "h")))
	s.sent(t, told(awsapi.TriggerEventTypeDeploymentStart, "d-1", "", "Created", begin))
	g, err = s.Group(ctx, "app", "g")
	ok(t, err)
	g.Info.TriggerConfigurations = []awsapi.TriggerConfig{}
	ok(t, s.UpdateGroup(ctx, "app", "g", g))
	count(0)
}
