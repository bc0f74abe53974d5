package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"

	"grapnel/internal/awsapi"
	"grapnel/internal/backoff"
	"grapnel/internal/store"
)

const (
	// sendLimit is how long it may take to put a notice into words and send it.
	sendLimit = 10 * time.Second
	// storeLimit bounds a write of what became of it.
	storeLimit = 5 * time.Second
	// hold is how long a notice belongs to who took it, and so how long it waits when its server is killed meanwhile.
	hold = sendLimit + storeLimit
	// giveUp is how old a notice may become before it is dropped unsent.
	giveUp = 24 * time.Hour
	// slowPoll is how often the queue is looked at although nobody woke the sender: for the notices of a server that died.
	slowPoll = 30 * time.Second
)

var pause = backoff.Exponential{First: time.Second, Max: 5 * time.Minute, Jitter: 0.25}

// Store is what the sender needs of a store.
type Store interface {
	store.Notices
	Deployment(ctx context.Context, id string) (store.Deployment, error)
	Targets(ctx context.Context, deployment string, ids ...string) ([]store.Target, error)
}

// Options are the settings of a Sender. All but Log are needed.
type Options struct {
	Store     Store
	Endpoint  string // URL of a service that speaks SNS
	Region    string // that requests are signed for and messages name
	AccountID string // that messages name

	AccessKeyID, SecretAccessKey string // that the service knows the server by

	Log *slog.Logger // nil means slog.Default
}

// Sender sends notices. Make one with New, and run it with Run.
type Sender struct {
	store  Store
	topics *sns.Client
	place  place
	log    *slog.Logger
	bell   chan struct{} // holds one when the queue is to be looked at
}

// New returns a Sender.
func New(o Options) *Sender {
	return &Sender{
		store: o.Store, place: place{o.Region, o.AccountID}, log: cmp.Or(o.Log, slog.Default()), bell: make(chan struct{}, 1),
		topics: sns.New(sns.Options{
			Region: o.Region, BaseEndpoint: &o.Endpoint,
			Credentials: credentials.NewStaticCredentialsProvider(o.AccessKeyID, o.SecretAccessKey, ""),
			Retryer:     aws.NopRetryer{}, // the queue is what tries again
		}),
	}
}

// Wake asks for a look at the queue. It returns at once.
func (s *Sender) Wake() {
	select {
	case s.bell <- struct{}{}:
	default: // it rings already
	}
}

// Run sends until ctx ends; a message that is then under way is cut off, and sent again after the next start. It returns nil.
func (s *Sender) Run(ctx context.Context) error {
	var sending sync.WaitGroup
	defer sending.Wait()
	for {
		wake := s.sendFirsts(ctx, &sending)
		timer := time.NewTimer(min(slowPoll, time.Until(wake)))
		select {
		case <-s.bell:
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		timer.Stop()
	}
}

// sendFirsts begins to send the first notice of every topic, and returns when the queue has to be looked at again at the
// latest.
func (s *Sender) sendFirsts(ctx context.Context, sending *sync.WaitGroup) (wake time.Time) {
	storing, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	now := time.Now()
	taken, wake, err := s.store.TakeNotices(storing, now, now.Add(hold))
	if err != nil && ctx.Err() == nil {
		s.log.Error("notices cannot be read; it is tried again", "error", err)
	}
	for _, n := range taken {
		sending.Go(func() {
			s.send(ctx, n)
			s.Wake() // there may be another for the topic
		})
	}
	if wake.IsZero() {
		wake = now.Add(slowPoll)
	}
	return wake
}

// send sends a notice and drops it, or delays it. What became of it is stored even if ctx ends meanwhile.
func (s *Sender) send(ctx context.Context, n store.Notice) {
	err := s.deliver(ctx, n)
	log := s.log.With("topic", n.Topic, "trigger", n.Trigger, "event", n.Event, "deployment", n.Deployment, "target", n.Target)
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	switch now := time.Now(); {
	case err == nil || errors.Is(err, store.ErrNotFound): // sent, or its deployment has been deleted
		err = s.store.DropNotice(storing, n.Place)
	case ctx.Err() != nil: // cut off: it is the next server's at once
		err = s.store.DelayNotice(storing, n.Place, now)
	case now.Sub(n.At) > giveUp:
		log.Error("a topic did not take a notice for a day; it is dropped", "error", err)
		err = s.store.DropNotice(storing, n.Place)
	default:
		wait := pause.Pause(n.Failures + 1)
		log.Warn("a topic did not take a notice; it is tried again, and what else the topic is to be told waits", "pause", wait, "error", err)
		err = s.store.DelayNotice(storing, n.Place, now.Add(wait))
	}
	if err != nil {
		log.Error("what became of a notice cannot be stored; it may be sent twice", "error", err)
	}
}

// deliver puts a notice into words and sends it.
func (s *Sender) deliver(ctx context.Context, n store.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	m, err := s.compose(ctx, n)
	if err != nil {
		return err
	}
	return s.publish(ctx, n.Topic, m)
}

func (s *Sender) compose(ctx context.Context, n store.Notice) (message, error) {
	d, err := s.store.Deployment(ctx, n.Deployment)
	if err != nil {
		return message{}, err
	}
	if n.Target == "" {
		return s.place.ofDeployment(n, d), nil
	}
	targets, err := s.store.Targets(ctx, n.Deployment, n.Target)
	if err != nil {
		return message{}, err
	}
	if len(targets) == 0 {
		return message{}, fmt.Errorf("target %s: %w", n.Target, store.ErrNotFound)
	}
	return s.place.ofTarget(n, d, targets[0]), nil
}

// publish sends a message to a topic. Its error says why the service did not take it.
func (s *Sender) publish(ctx context.Context, topic string, m message) error {
	_, err := s.topics.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Subject: &m.Subject, Message: &m.Body})
	if refusal, ok := errors.AsType[smithy.APIError](err); ok {
		return fmt.Errorf("%s: %s", refusal.ErrorCode(), refusal.ErrorMessage())
	}
	return err
}

// Try sends the topic of a trigger a message before the group is stored (service.md 2.5). Its error says why the topic did
// not take it.
func (s *Sender) Try(ctx context.Context, group awsapi.DeploymentGroupInfo, trigger awsapi.TriggerConfig) error {
	ctx, cancel := context.WithTimeout(ctx, sendLimit)
	defer cancel()
	return s.publish(ctx, awsapi.Value(trigger.TriggerTargetArn), s.place.trial(group, trigger))
}
