package engine

import (
	"container/heap"
	"time"
)

// schedule knows which deployments to look at: those that were woken, in the order of their wakes, and those whose time
// will come. It is not safe for concurrent use.
//
//	          wake            next              ended(at)
//	(unknown) ────► ready ──────────► running ────────────► later, or forgotten when at is zero
//	                  ▲                 │ woken meanwhile     │
//	                  └─────────────────┴─────────────────────┘ wake, or its time has come
type schedule struct {
	entries map[string]*entry
	ready   []*entry // each once
	later   wakes
}

// entry is one deployment in a schedule.
type entry struct {
	id       string
	state    entryState
	again    bool // woken while running
	at       time.Time
	index    int // in later
	failures int // rounds that failed since the last that did not
}

type entryState int

const (
	ready entryState = iota
	running
	later
)

func newSchedule() *schedule { return &schedule{entries: map[string]*entry{}} }

// wake makes a deployment ready. One that is running will be ready again when its round has ended, because that round may
// have loaded before the fact was stored.
func (s *schedule) wake(id string) {
	e, known := s.entries[id]
	switch {
	case !known:
		e = &entry{id: id}
		s.entries[id] = e
		s.ready = append(s.ready, e)
	case e.state == running:
		e.again = true
	case e.state == later:
		heap.Remove(&s.later, e.index)
		s.makeReady(e)
	}
}

// wakeDue wakes every deployment whose time has come.
func (s *schedule) wakeDue(now time.Time) {
	for len(s.later) > 0 && !s.later[0].at.After(now) {
		s.makeReady(heap.Pop(&s.later).(*entry))
	}
}

func (s *schedule) makeReady(e *entry) {
	e.state = ready
	s.ready = append(s.ready, e)
}

// next takes the deployment that has been ready for longest, to be given back by ended.
func (s *schedule) next() (*entry, bool) {
	if len(s.ready) == 0 {
		return nil, false
	}
	e := s.ready[0]
	s.ready = s.ready[1:]
	e.state, e.again = running, false
	return e, true
}

// ended puts a running deployment away until at, or forgets it when at is zero.
func (s *schedule) ended(e *entry, at time.Time) {
	switch {
	case e.again:
		s.makeReady(e)
	case at.IsZero():
		delete(s.entries, e.id)
	default:
		e.state, e.at = later, at
		heap.Push(&s.later, e)
	}
}

// nextTime returns when the next deployment becomes ready by time alone, and false when none does.
func (s *schedule) nextTime() (time.Time, bool) {
	if len(s.later) == 0 {
		return time.Time{}, false
	}
	return s.later[0].at, true
}

// wakes is a heap of entries, the earliest first.
type wakes []*entry

func (w wakes) Len() int           { return len(w) }
func (w wakes) Less(i, j int) bool { return w[i].at.Before(w[j].at) }

func (w wakes) Swap(i, j int) {
	w[i], w[j] = w[j], w[i]
	w[i].index, w[j].index = i, j
}

func (w *wakes) Push(x any) {
	e := x.(*entry)
	e.index = len(*w)
	*w = append(*w, e)
}

func (w *wakes) Pop() any {
	old := *w
	last := len(old) - 1
	e := old[last]
	old[last] = nil
	*w = old[:last]
	return e
}
