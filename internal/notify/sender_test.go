package notify

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/deploy"
	"grapnel/internal/notify/snstest"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

// sending is a store whose notices a Sender sends to an SNS over a real connection.
type sending struct {
	*testing.T
	store *sqlstore.Store
	sns   *snstest.Server
	stop  func() // the Sender, and waits for it
}

func start(t *testing.T) *sending {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "grapnel.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &sending{T: t, store: db, sns: snstest.Start(t)}
	s.ok(db.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{ApplicationId: new("1"), ApplicationName: new("shop")}}))
	s.run()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *sending) run() {
	sender := New(Options{
		Store: s.store, Endpoint: s.sns.URL, Region: "us-east-1", AccountID: "123456789012",
		AccessKeyID: "AKID", SecretAccessKey: "secret", Log: slog.New(slog.DiscardHandler),
	})
	s.store.Noticed = sender.Wake
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- sender.Run(ctx) }()
	s.stop = func() {
		cancel()
		s.ok(<-ended)
		s.stop = func() {}
	}
}

func (s *sending) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// group makes a group that tells topics of the starts and failures of deployments.
func (s *sending) group(name string, topics ...string) {
	s.Helper()
	g := awsapi.DeploymentGroupInfo{
		ApplicationName: new("shop"), DeploymentGroupName: &name, DeploymentGroupId: new("id of " + name),
		DeploymentConfigName: new("CodeDeployDefault.OneAtATime"),
	}
	for _, topic := range topics {
		g.TriggerConfigurations = append(g.TriggerConfigurations, awsapi.TriggerConfig{
			TriggerName: &topic, TriggerTargetArn: &topic, TriggerEvents: []awsapi.TriggerEventType{
				awsapi.TriggerEventTypeDeploymentStart, awsapi.TriggerEventTypeInstanceFailure, awsapi.TriggerEventTypeDeploymentFailure,
			},
		})
	}
	s.ok(s.store.CreateGroup(s.Context(), store.Group{Info: g}))
}

// failed creates a deployment of a group and lets it fail.
func (s *sending) failed(group, id string, at time.Time) {
	s.Helper()
	s.ok(s.store.CreateDeployment(s.Context(), store.Deployment{
		Info:    awsapi.DeploymentInfo{DeploymentId: &id, CreateTime: awsapi.At(at)},
		GroupID: "id of " + group,
		Plan: deploy.Plan{Phases: []deploy.Phase{{
			Targets: []string{"web-1"}, Steps: []deploy.Step{{Event: "Install"}}, Health: deploy.Health{Type: deploy.HostCount},
		}}},
	}))
	state, err := s.store.Load(s.Context(), id)
	s.ok(err)
	s.ok(s.store.Commit(s.Context(), store.Round{State: state, At: at, Decision: deploy.Decision{
		Status: deploy.Failed, Why: deploy.Why{Code: "TIMEOUT", Message: "late"},
		Targets: []deploy.TargetChange{{ID: "web-1", Status: deploy.TargetFailed}},
	}}))
}

// drained waits until nothing is left that was taken: whoever asks for what was due long ago gets nothing, but hears of it.
func (s *sending) drained() {
	s.Helper()
	long := time.UnixMicro(-1)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		_, wake, err := s.store.TakeNotices(s.Context(), long, long)
		s.ok(err)
		if wake.IsZero() {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("a notice is still in the queue, to be tried at %v", wake)
		}
	}
}

// subjects are the first words of messages.
func subjects(messages []snstest.Message) string {
	var all []string
	for _, m := range messages {
		status, _, _ := strings.Cut(m.Subject, ":")
		if strings.Contains(m.Body, "instanceId") {
			status = "instance " + status
		}
		all = append(all, status)
	}
	return strings.Join(all, ", ")
}

const wholeFailure = "CREATED, instance FAILED, FAILED"

func TestTopicsHearInOrder(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.group("web", "a", "b")
	s.failed("web", "d-1", time.Now())
	for _, topic := range []string{"a", "b"} {
		if got := subjects(s.sns.Wait(t, topic, 3)); got != wholeFailure {
			t.Errorf("topic %s heard %s, want %s", topic, got, wholeFailure)
		}
	}
	s.drained()
}

// TestDeafTopics: one topic that refuses and one that does not answer hold up nobody else, and hear everything when they come
// back, in order.
func TestDeafTopics(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.sns.Refuse("refusing")
	s.sns.Hang("hanging")
	s.group("web", "refusing", "hanging", "well")
	s.failed("web", "d-1", time.Now())
	s.sns.WaitForAttempts(t, "refusing", 1)
	s.sns.WaitForAttempts(t, "hanging", 1)
	s.sns.Wait(t, "well", 3)
	if n := len(s.sns.Messages("refusing")) + len(s.sns.Messages("hanging")); n > 0 {
		t.Errorf("%d messages were taken by topics that take none", n)
	}
	s.sns.Accept("refusing")
	s.sns.Accept("hanging")
	for _, topic := range []string{"refusing", "hanging"} {
		if got := subjects(s.sns.Wait(t, topic, 3)); got != wholeFailure {
			t.Errorf("topic %s heard %s, want %s", topic, got, wholeFailure)
		}
	}
}

// TestGiveUp: what is older than a day is tried once more, and dropped.
func TestGiveUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.sns.Refuse("a")
	s.group("web", "a")
	s.failed("web", "d-1", time.Now().Add(-giveUp-time.Hour))
	s.sns.WaitForAttempts(t, "a", 3)
	s.drained()
}

// TestStopAndStart stops a Sender in the middle of a message. The next one sends it.
func TestStopAndStart(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.sns.Hang("a")
	s.group("web", "a")
	s.failed("web", "d-1", time.Now())
	s.sns.WaitForAttempts(t, "a", 1)
	begin := time.Now()
	s.stop()
	if took := time.Since(begin); took > sendLimit/2 {
		t.Errorf("it took %v to stop", took)
	}
	s.sns.WaitForNobody(t)
	s.sns.Accept("a")
	s.run()
	if got := subjects(s.sns.Wait(t, "a", 3)); got != wholeFailure {
		t.Errorf("heard %s, want %s", got, wholeFailure)
	}
}

func TestTry(t *testing.T) {
	t.Parallel()
	sns := snstest.Start(t)
	sender := New(Options{Endpoint: sns.URL, Region: "us-east-1", AccountID: "123456789012", AccessKeyID: "AKID", SecretAccessKey: "secret"})
	group := awsapi.DeploymentGroupInfo{ApplicationName: new("shop"), DeploymentGroupName: new("web")}
	trigger := awsapi.TriggerConfig{TriggerName: new("tell"), TriggerTargetArn: new("a")}
	if err := sender.Try(t.Context(), group, trigger); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(sns.Messages("a")); !strings.Contains(got, "TEST") || !strings.Contains(got, `"deploymentGroupName":"web"`) {
		t.Errorf("the topic heard %s", got)
	}
	sns.Refuse("a")
	if err := sender.Try(t.Context(), group, trigger); err == nil || err.Error() != "NotFound: Topic does not exist" {
		t.Errorf("got %v, want what the service says", err)
	}
}
