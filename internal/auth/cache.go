package auth

import (
	"sync"
	"time"

	"grapnel/internal/store"
)

const (
	cacheSize = 4096            // keys remembered at most
	cacheLife = 5 * time.Second // how long a key that another server deleted still works here
)

// knownKey is an access key that was found active.
type knownKey struct {
	secret string
	user   *store.User // nil for root
	until  time.Time
}

// cache remembers access keys for a short while, so that a burst of requests costs one read and one decryption. Keys that
// do not exist are not remembered: anybody can invent those. The zero value is ready.
type cache struct {
	mu      sync.Mutex
	keys    map[string]knownKey
	changes uint64 // number of calls of forget
}

// begin is called before the store is read; put wants its result.
func (c *cache) begin() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes
}

// put remembers a key unless any was forgotten since began: what was read before a deletion must not be remembered
// after it.
func (c *cache) put(id string, k knownKey, began uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != began {
		return
	}
	if c.keys == nil || len(c.keys) >= cacheSize {
		c.keys = map[string]knownKey{} // one slow moment is cheaper than keeping track of age
	}
	k.until = now.Add(cacheLife)
	c.keys[id] = k
}

func (c *cache) get(id string, now time.Time) (knownKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, ok := c.keys[id]
	return k, ok && now.Before(k.until)
}

func (c *cache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	delete(c.keys, id)
}
