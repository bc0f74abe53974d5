package hosts

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"grapnel/internal/store"
)

const (
	// presenceInterval is how often at most a host's presence is written. A write per poll would cost more than the polls.
	presenceInterval = 20 * time.Second
	// presenceTick is how long a sighting waits for others to be written with, so that a new host shows up soon.
	presenceTick = time.Second
)

// presence remembers when hosts were seen and writes it in batches.
type presence struct {
	mu       sync.Mutex
	sighting map[string]*sighting
}

// sighting is what is known of one host.
type sighting struct {
	agent   string // version
	polls   int    // held now
	seen    time.Time
	written time.Time // zero if never
}

func newPresence() *presence { return &presence{sighting: map[string]*sighting{}} }

// arrive notes that a host polls, until leave is called.
func (p *presence) arrive(host, agent string, at time.Time) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sighting[host]
	if s == nil {
		s = &sighting{}
		p.sighting[host] = s
	}
	s.agent, s.seen = agent, at
	s.polls++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		s.polls--
	}
}

// held is how many polls there are now.
func (p *presence) held() (polls int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sighting {
		polls += s.polls
	}
	return polls
}

// run writes sightings until ctx ends, and then what is left.
func (p *presence) run(ctx context.Context, log *slog.Logger, write func(context.Context, []store.Presence) error) {
	tick := time.NewTicker(presenceTick)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		at := now()
		due := p.due(at, ctx.Err() != nil)
		if len(due) == 0 {
			continue
		}
		storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), replyLimit)
		if err := write(storing, due); err != nil {
			log.Warn("when hosts were last seen was not stored; it is tried again", "hosts", len(due), "error", err)
		} else {
			p.wrote(due)
		}
		cancel()
	}
}

// due returns the sightings to write, by name: those newer than what was written, unless that is recent (and not last).
func (p *presence) due(at time.Time, last bool) []store.Presence {
	p.mu.Lock()
	defer p.mu.Unlock()
	var due []store.Presence
	for host, s := range p.sighting {
		if s.polls > 0 {
			s.seen = at
		}
		recent := at.Sub(s.written) < presenceInterval
		switch {
		case s.seen.After(s.written) && (last || !recent):
			due = append(due, store.Presence{Host: host, At: s.seen, Agent: s.agent})
		case s.polls == 0 && !recent:
			delete(p.sighting, host) // gone, and everything about it is written
		}
	}
	slices.SortFunc(due, func(a, b store.Presence) int { return strings.Compare(a.Host, b.Host) })
	return due
}

// wrote notes what was stored.
func (p *presence) wrote(written []store.Presence) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range written {
		p.sighting[w.Host].written = w.At
	}
}
