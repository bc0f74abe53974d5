// Package logs keeps what hook scripts write, and serves it while they run.
//
//	PostHostCommandUpdate ─► hosts ─► Append ─► queue ─► writer: all that waits, in one write ─► store
//	                                                                          │ ring
//	                    GetDeploymentLog, held until there is something new ◄─┘ ─► LogChunks
//
// Output is worth less than facts: there is one writer with one write at a time, so that a completion waits for at most one
// of them, and when more comes than it can store the sender is told ErrBusy and leaves something out (package stream).
package logs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/bell"
	"grapnel/internal/store"
)

// ErrBusy says that more output comes than can be stored: send it again later, or leave it out.
var ErrBusy = errors.New("more output of scripts comes than can be stored")

// MaxEvent is how much is kept of the output of one lifecycle event on one host, in bytes as agents send it.
const MaxEvent = 10 << 20

// MaxDeployment is how much is kept of a whole deployment, in bytes: a thousand hosts that all write to the limit of an event
// would fill most disks.
const MaxDeployment = 1 << 30

// Store is what logs are kept in.
type Store interface {
	store.Logs
	Deployment(ctx context.Context, id string) (store.Deployment, error)
}

// Options are the settings of a Service. Store and Authorize are needed; limits that are zero are MaxEvent and MaxDeployment.
type Options struct {
	Store  Store
	Limits store.LogLimits
	// Authorize returns nil if the caller, who is in the context, may see a deployment. Its error is what the caller is told.
	Authorize func(ctx context.Context, deployment string) error
	Log       *slog.Logger // nil means slog.Default
}

// Service stores output and serves it. Make one with New, and run it with Run.
type Service struct {
	store     Store
	limits    store.LogLimits
	authorize func(ctx context.Context, deployment string) error
	log       *slog.Logger

	queue   chan waiting
	stopped chan struct{} // closed when nothing is stored any more, and held requests are to return
	bells   bell.Bells    // of deployments
}

// waiting is a chunk with its sender.
type waiting struct {
	deployment string
	chunk      store.LogChunk
	stored     chan error
}

const (
	// maxQueue is how many chunks may wait for the writer; a chunk has at most 8 KiB.
	maxQueue = 512
	// maxBatch is how many of them one write stores. The writes of facts that wait for it wait a few milliseconds.
	maxBatch = 64
	// storeLimit bounds one write.
	storeLimit = 10 * time.Second
)

// New returns a Service.
func New(o Options) *Service {
	return &Service{
		store: o.Store, authorize: o.Authorize, log: cmp.Or(o.Log, slog.Default()),
		limits: store.LogLimits{Work: cmp.Or(o.Limits.Work, MaxEvent), Deployment: cmp.Or(o.Limits.Deployment, MaxDeployment)},
		queue:  make(chan waiting, maxQueue), stopped: make(chan struct{}),
	}
}

// Register makes the operation known to the mux of the service grapnel.
func (s *Service) Register(mux *awsjson.Mux) {
	awsjson.Handle(mux, awsapi.GrapnelPrefix+".GetDeploymentLog", s.GetDeploymentLog)
}

// Append stores a chunk of a deployment and returns when it is durable. A chunk that comes again is stored once, see
// store.Logs. ErrBusy when too many wait, or the server is about to stop.
func (s *Service) Append(ctx context.Context, deployment string, chunk store.LogChunk) error {
	w := waiting{deployment, chunk, make(chan error, 1)}
	select {
	case s.queue <- w:
	default:
		return ErrBusy
	}
	select {
	case err := <-w.stored:
		return err
	case <-s.stopped:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run stores what is appended until ctx ends, and then what still waits. Held requests then return. It returns nil.
func (s *Service) Run(ctx context.Context) error {
	defer close(s.stopped)
	for {
		select {
		case first := <-s.queue:
			s.write(ctx, s.batch(first))
		case <-ctx.Done():
			for len(s.queue) > 0 {
				s.write(ctx, s.batch(<-s.queue))
			}
			return nil
		}
	}
}

// batch returns first and what waits behind it.
func (s *Service) batch(first waiting) []waiting {
	batch := []waiting{first}
	for len(batch) < maxBatch && len(s.queue) > 0 {
		batch = append(batch, <-s.queue)
	}
	return batch
}

// write stores a batch, tells the senders, and wakes those who read.
func (s *Service) write(ctx context.Context, batch []waiting) {
	chunks := make([]store.LogChunk, len(batch))
	for i, w := range batch {
		chunks[i] = w.chunk
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	err := s.store.AppendLog(ctx, chunks, s.limits)
	if err != nil {
		err = fmt.Errorf("store output of scripts: %w", err)
	}
	for _, w := range batch {
		w.stored <- err
		s.bells.Ring(w.deployment)
	}
}
