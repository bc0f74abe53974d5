// Package bell wakes those who wait for news about something that has a name: held polls of a host, readers of a log.
package bell

import "sync"

// Bells are one bell per name that somebody has joined. The zero value is ready to use, by many goroutines.
type Bells struct {
	mu    sync.Mutex
	named map[string]*bell
}

type bell struct {
	joined int
	rung   chan struct{} // closed by the next ring
}

// Join makes the bell of a name, until Leave was called as often.
func (b *Bells) Join(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.named == nil {
		b.named = map[string]*bell{}
	}
	if b.named[name] == nil {
		b.named[name] = &bell{rung: make(chan struct{})}
	}
	b.named[name].joined++
}

// Leave ends what Join began.
func (b *Bells) Leave(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.named[name].joined--; b.named[name].joined == 0 {
		delete(b.named, name)
	}
}

// Listen returns what the next ring for a name that was joined closes. Who listens before he looks misses nothing.
func (b *Bells) Listen(name string) <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.named[name].rung
}

// Ring wakes everybody who listens for one of the names. It does not block.
func (b *Bells) Ring(names ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, name := range names {
		if bell := b.named[name]; bell != nil {
			bell.ring()
		}
	}
}

// RingAll wakes everybody who listens. It does not block.
func (b *Bells) RingAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bell := range b.named {
		bell.ring()
	}
}

func (b *bell) ring() {
	close(b.rung)
	b.rung = make(chan struct{})
}
