package auth

import (
	"sync"
	"time"
)

const (
	cacheSize = 4096            // entries remembered at most
	cacheLife = 5 * time.Second // how long what another server changed counts as before
)

// cache remembers what was read from the store for a short while, and no longer than the store's identities stay as they
// are. What does not exist is not remembered: anybody can invent names. The zero value is ready.
type cache[V any] struct {
	mu      sync.Mutex
	entries map[string]entry[V]
}

type entry[V any] struct {
	value   V
	version uint64 // of the store's identities, before the value was read
	until   time.Time
}

// find returns what is remembered under the key, or else what read returns, which is remembered unless it is an error. The
// version is taken before reading: what was read before a deletion must not be found after it.
func (c *cache[V]) find(key string, version func() uint64, read func() (V, error)) (V, error) {
	seen, now := version(), time.Now()
	if e, ok := c.get(key); ok && e.version == seen && now.Before(e.until) {
		return e.value, nil
	}
	value, err := read()
	if err == nil {
		c.put(key, entry[V]{value, seen, now.Add(cacheLife)})
	}
	return value, err
}

func (c *cache[V]) get(key string) (entry[V], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	return e, ok
}

func (c *cache[V]) put(key string, e entry[V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= cacheSize {
		c.entries = map[string]entry[V]{} // one slow moment is cheaper than keeping track of age
	}
	c.entries[key] = e
}
