// Package stream sends what hook scripts write to a Grapnel server while they run, through PostHostCommandUpdate
// (awsapi.UpdateDiagnostics tells the form). It serves those who watch: a script is never held up, memory is bounded, and
// what cannot be sent in time is left out in the middle, with a line that says so. The whole is in the host's scripts.log.
//
//	                 ok ┌──────────────────────────────┐
//	          a line    │   rest: Every; a quarter of  │
//	waiting ─────────▶ sending    it when an update is │
//	   ▲                │ ▲ │     full                 │
//	   └────────────────┼─┼─┼──────────────────────────┘
//	              error ▼ │ └─ ErrOver ──▶ ended: nothing is sent any more
//	              pause: 1 s, doubled to 30 s
//
// Close ends rests and pauses: the rest is sent at once, and given up at the second failure in a row or after 3 s. Those begin
// anew whenever the server was not reached, for up to 5 min: the completion has to wait for it too. Near MaxBytes nothing is sent until Close, so that the
// last lines, which tell why a script failed, have a place.
package stream

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/backoff"
)

// ErrOver is what Send returns when no more output is wanted: the server answered that the command is no longer in
// progress, or that it does not take the update. The stream then sends nothing any more.
var ErrOver = errors.New("no more output is wanted")

// ErrAway is what Send returns when the server was not reached.
var ErrAway = errors.New("the server was not reached")

// Options are the settings of a Stream; Send and MaxBytes are needed.
type Options struct {
	// Send sends one payload, of at most awsapi.MaxEnvelopePayload bytes, and returns when the server has stored it. It is
	// not called concurrently. It should neither retry nor wait at a gate that completions wait at too: any error but
	// ErrOver makes the stream send the same payload again, later. Its context ends after 10 s at the latest.
	Send     func(ctx context.Context, payload string) error
	MaxBytes int64         // of all payloads together, as the deployment specification says
	Every    time.Duration // the least time between two updates that are not full; 0 means 200 ms
	Log      *slog.Logger  // nil means slog.Default
}

const (
	defaultEvery = 200 * time.Millisecond
	// sendLimit bounds one update, so that a connection that hangs is given up.
	sendLimit = 10 * time.Second
	// closeLimit bounds how long the rest may hold up the completion while the server is there, awayLimit while it is not.
	closeLimit = 3 * time.Second
	awayLimit  = 5 * time.Minute
	// lastSendLimit bounds an update after Close, lastPause is what lies between two: less than closeLimit together, so that
	// a server that is away is noticed before that is over.
	lastSendLimit = 1500 * time.Millisecond
	lastPause     = time.Second
	// maxReserve is kept of MaxBytes for the end of the output.
	maxReserve = 64 << 10
	// leastRoom is the shortest payload worth sending.
	leastRoom = 512
)

// retry is how a failed update is repeated. The pauses protect a server that is flooded.
var retry = backoff.Exponential{First: time.Second, Max: 30 * time.Second, Jitter: 0.25}

// Stream takes the output of one command's scripts. Make one with New, end it with Close.
type Stream struct {
	send  func(ctx context.Context, payload string) error
	max   int64
	every time.Duration
	log   *slog.Logger

	ctx     context.Context // of what is sent; ends with the time that Close may take
	cancel  context.CancelFunc
	wake    chan struct{}   // holds one when there may be something to send
	closing context.Context // done when Close has been called
	close   context.CancelFunc
	away    chan struct{} // holds one when the server was not reached, after Close
	ended   chan struct{} // the sender has

	mu      sync.Mutex
	pending pending
	over    bool // nothing is taken any more

	// Of the sender alone.
	seq  int64
	sent int64 // bytes of payloads
}

// New returns a Stream that sends what it is given.
func New(o Options) *Stream {
	ctx, cancel := context.WithCancel(context.Background())
	closing, closeNow := context.WithCancel(context.Background())
	s := &Stream{
		send: o.Send, max: o.MaxBytes, every: cmp.Or(o.Every, defaultEvery), log: cmp.Or(o.Log, slog.Default()),
		ctx: ctx, cancel: cancel, closing: closing, close: closeNow,
		wake: make(chan struct{}, 1), away: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	go s.run()
	return s
}

// Line takes one line of a script's output, without its newline; the bytes are only read during the call. script is the
// script's location in the AppSpec, stream is stdout or stderr. It never blocks, and may be called concurrently.
func (s *Stream) Line(script, stream string, line []byte) {
	s.mu.Lock()
	if !s.over {
		s.pending.push(time.Now().UnixMilli(), script, stream, line)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // it is awake
	}
}

// Close sends what is left and returns when that is done or given up, or when ctx ends. It is called once, before the
// completion of the command is reported.
func (s *Stream) Close(ctx context.Context) {
	defer s.cancel()
	s.close()
	s.awaitEnd(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if left := s.pending.finish(); left > 0 && !s.over {
		s.log.Info("the end of the scripts' output was not sent to the server; scripts.log has it", "lines", left)
	}
	s.over = true
}

// awaitEnd waits for the sender.
func (s *Stream) awaitEnd(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, awayLimit)
	defer cancel()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	for {
		select {
		case <-s.away:
			limit.Reset(closeLimit)
		case <-limit.C:
			return
		case <-s.ended:
			return
		case <-ctx.Done():
			return
		}
	}
}

// run is the sender.
func (s *Stream) run() {
	defer close(s.ended)
	for {
		payload, ok := s.next()
		if !ok {
			return
		}
		if !s.deliver(payload) {
			return
		}
		s.rest()
	}
}

// next waits for something to send; false means that there will be nothing.
func (s *Stream) next() (payload string, ok bool) {
	for {
		closing := s.isClosing() // looked at first: what comes after Close is not waited for
		room := s.room(closing)
		if room < leastRoom {
			if closing {
				return "", false
			}
			<-s.closing.Done()
			continue
		}
		if payload := s.take(room, closing); payload != "" {
			return payload, true
		}
		if closing {
			return "", false
		}
		select {
		case <-s.wake:
		case <-s.closing.Done():
		}
	}
}

// room is how long the next payload may be.
func (s *Stream) room(closing bool) int {
	left := s.max - s.sent
	if !closing {
		left -= min(maxReserve, s.max/2)
	}
	return int(min(left, awsapi.MaxEnvelopePayload))
}

// take makes the next payload, "" when nothing is pending. At the end it first leaves out what no longer has room: JSON may
// need twice the bytes of the text.
func (s *Stream) take(room int, closing bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if closing {
		s.pending.trim(int(min((s.max-s.sent)/2, maxPending)))
	}
	payload := s.pending.payload(s.seq+1, room)
	if payload != "" {
		s.seq++
		s.sent += int64(len(payload))
	}
	return payload
}

// deliver sends a payload until the server has it. It reports false when there is no use in sending any more.
func (s *Stream) deliver(payload string) bool {
	for failures := 1; ; failures++ {
		err := s.try(payload)
		away := errors.Is(err, ErrAway)
		switch {
		case err == nil:
			return true
		case errors.Is(err, ErrOver), s.ctx.Err() != nil, failures > 1 && s.isClosing() && !away:
			s.log.Info("the scripts' output is no longer sent to the server; scripts.log has it", "error", err)
			s.mu.Lock()
			s.over, s.pending = true, pending{}
			s.mu.Unlock()
			return false
		}
		s.log.Debug("output of scripts was not sent; it is tried again", "failures", failures, "error", err)
		if !s.isClosing() {
			s.pause(retry.Pause(failures))
			continue
		}
		if away {
			select {
			case s.away <- struct{}{}:
			default:
			}
			_ = backoff.Sleep(s.ctx, lastPause) // the next try finds out whether s.ctx has ended
		}
	}
}

// try sends a payload once. An update that is under way when Close is called gets the time of one after it.
func (s *Stream) try(payload string) error {
	ctx, cancel := context.WithTimeout(s.ctx, sendLimit)
	defer cancel()
	stop := context.AfterFunc(s.closing, func() { time.AfterFunc(lastSendLimit, cancel) })
	defer stop()
	return s.send(ctx, payload)
}

// rest keeps the rate of updates down, of full ones less: they are what keeps output from being left out.
func (s *Stream) rest() {
	const parts = 4
	for range parts {
		s.pause(s.every / parts)
		if s.isClosing() || s.fullUpdate() {
			return
		}
	}
}

func (s *Stream) fullUpdate() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.size >= awsapi.MaxEnvelopePayload
}

// pause waits for d, or for Close.
func (s *Stream) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing.Done():
	}
}

func (s *Stream) isClosing() bool { return s.closing.Err() != nil }
