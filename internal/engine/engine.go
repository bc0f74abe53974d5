package engine

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"grapnel/internal/backoff"
	"grapnel/internal/planner"
	"grapnel/internal/store"
)

// Options are the settings of an Engine.
type Options struct {
	Store Store
	// Issued is told the names of hosts for which Work may be waiting: their held polls look again. It must not block. It is
	// called after a commit, also after one whose outcome is unknown. nil means that nobody is told.
	Issued func(hosts []string)
	// Reprieved is told, once, that the deadlines which passed while no server ran have been put off: what a poll did not
	// find before, because it was overdue, may be taken now. It must not block. nil means that nobody is told.
	Reprieved func()
	Log       *slog.Logger // nil means slog.Default
	// Observe is told about every round; nil means nobody is. It must not block.
	Observe func(Observation)
}

// Engine moves deployments. Make one with New, run it with Run.
type Engine struct {
	store     Store
	issued    func(hosts []string)
	reprieved func()
	log       *slog.Logger
	observe   func(Observation)

	mu    sync.Mutex
	dirty []string      // woken since the schedule last looked
	bell  chan struct{} // holds one when dirty is not empty
}

// New returns an Engine.
func New(o Options) *Engine {
	e := &Engine{
		store: o.Store, issued: o.Issued, reprieved: o.Reprieved, log: cmp.Or(o.Log, slog.Default()), observe: o.Observe,
		bell: make(chan struct{}, 1),
	}
	if e.issued == nil {
		e.issued = func([]string) {}
	}
	if e.reprieved == nil {
		e.reprieved = func() {}
	}
	if e.observe == nil {
		e.observe = func(Observation) {}
	}
	return e
}

// slowPoll is how often every live deployment is looked at although nobody woke it: the safety net for a wake that was lost,
// and for facts that another server stored.
const slowPoll = 30 * time.Second

// Wake asks for a look at a deployment: a fact about it was stored. It returns at once.
func (e *Engine) Wake(deployment string) {
	e.mu.Lock()
	e.dirty = append(e.dirty, deployment)
	e.mu.Unlock()
	select {
	case e.bell <- struct{}{}:
	default: // it rings already
	}
}

func (e *Engine) takeDirty() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	ids := e.dirty
	e.dirty = nil
	return ids
}

// storeLimit bounds a call of Run itself to the store: while it waits for one, no round is started or ended.
const storeLimit = 10 * time.Second

// Run moves deployments until ctx ends; rounds that are under way then come to their end. It returns nil.
func (e *Engine) Run(ctx context.Context) error {
	if !e.reprieve(ctx) {
		return nil
	}
	l := &loop{Engine: e, schedule: newSchedule(), ended: make(chan outcome), timer: time.NewTimer(0)}
	defer l.timer.Stop()
	for {
		l.start(ctx)
		l.setTimer()
		select {
		case <-e.bell:
			for _, id := range e.takeDirty() {
				l.schedule.wake(id)
			}
		case o := <-l.ended:
			l.end(o)
		case <-l.timer.C:
			l.schedule.wakeDue(time.Now())
			l.poll(ctx)
		case <-ctx.Done():
			for ; l.running > 0; l.running-- {
				<-l.ended
			}
			return nil
		}
	}
}

// reprieve gives every host the time to take or report what came due while no server ran. Rounds begin only after it, because
// they would fail what is overdue. It reports false when ctx ended first.
func (e *Engine) reprieve(ctx context.Context) bool {
	for failures := 1; ; failures++ {
		storing, cancel := context.WithTimeout(ctx, storeLimit)
		err := e.store.Reprieve(storing, time.Now().UTC().Truncate(time.Microsecond).Add(planner.AcknowledgeTimeout))
		cancel()
		if err == nil {
			e.reprieved()
			return true
		}
		pause := troublePause.Pause(failures)
		e.log.Error("deadlines that passed while no server ran cannot be put off; no deployment moves until they are", "pause", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return false
		}
	}
}

// loop is the state of Run; one goroutine owns it.
type loop struct {
	*Engine
	schedule     *schedule
	running      int // rounds under way
	ended        chan outcome
	timer        *time.Timer
	nextPoll     time.Time // of all live deployments
	pollFailures int
}

// outcome is how a round ended.
type outcome struct {
	entry *entry
	again time.Time // when to look again; zero when there is nothing left to look at
	err   error
}

// parallel is how many rounds run at once. A round mostly waits for the disk, and the store commits those that wait
// together in one group; so there are more than there are processors.
func parallel() int { return max(8, 4*runtime.GOMAXPROCS(0)) }

// start begins rounds for what is ready.
func (l *loop) start(ctx context.Context) {
	for l.running < parallel() {
		entry, ok := l.schedule.next()
		if !ok {
			return
		}
		l.running++
		go func() {
			again, err := l.round(ctx, entry.id)
			l.ended <- outcome{entry, again, err}
		}()
	}
}

// end puts a deployment back into the schedule. After an error it is looked at again, whatever the error: a fact must never
// wait because the store was away when it was due.
func (l *loop) end(o outcome) {
	l.running--
	if o.err == nil {
		o.entry.failures = 0
		l.schedule.ended(o.entry, o.again)
		return
	}
	o.entry.failures++
	pause := retryPause(o.err, o.entry.failures)
	l.schedule.ended(o.entry, time.Now().Add(pause))
	if !errors.Is(o.err, store.ErrConflict) {
		l.log.Error("a round of a deployment failed; it is tried again", "deployment", o.entry.id, "pause", pause, "error", o.err)
	}
}

var (
	conflictPause = backoff.Exponential{First: time.Millisecond, Max: 100 * time.Millisecond, Jitter: 1}
	troublePause  = backoff.Exponential{First: 100 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.25}
)

// retryPause returns how long to wait after the n-th failed round in a row. The first conflict is no trouble: somebody
// stored a fact meanwhile.
func retryPause(err error, n int) time.Duration {
	if errors.Is(err, store.ErrConflict) {
		return conflictPause.Pause(n - 1)
	}
	return troublePause.Pause(n)
}

// poll wakes every live deployment when it is time to; the first time is the start.
func (l *loop) poll(ctx context.Context) {
	now := time.Now()
	if now.Before(l.nextPoll) {
		return
	}
	looking, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	ids, err := l.store.Live(looking)
	if err != nil {
		l.pollFailures++
		l.nextPoll = now.Add(troublePause.Pause(l.pollFailures))
		if ctx.Err() == nil {
			l.log.Error("live deployments cannot be listed; it is tried again", "error", err)
		}
		return
	}
	l.pollFailures = 0
	l.nextPoll = now.Add(slowPoll)
	for _, id := range ids {
		l.schedule.wake(id)
	}
}

// setTimer sets the timer to the next moment at which something is due by time alone.
func (l *loop) setTimer() {
	at := l.nextPoll
	if wake, ok := l.schedule.nextTime(); ok && wake.Before(at) {
		at = wake
	}
	l.timer.Reset(time.Until(at))
}
