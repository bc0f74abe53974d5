package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"sync"
)

// signingKey derives the key that is good for one day, region and service.
func signingKey(secret string, s Scope) []byte {
	key := mac([]byte("AWS4"+secret), s.Date)
	key = mac(key, s.Region)
	key = mac(key, s.Service)
	return mac(key, terminator)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexMAC(key []byte, text string) string { return hex.EncodeToString(mac(key, text)) }

// keyGeneration is how many signing keys one generation of the cache holds.
const keyGeneration = 1024

// keyCache remembers signing keys, four HMACs each. It forgets by generations: when the young one is full it becomes the
// old one, and what was only in the old one is gone. The zero value is ready.
type keyCache struct {
	mu         sync.Mutex
	young, old map[keyID][]byte
}

// keyID holds the secret itself, so that a rotated secret never meets its predecessor's key.
type keyID struct{ secret, date, region, service string }

func newKeyID(secret string, s Scope) keyID { return keyID{secret, s.Date, s.Region, s.Service} }

// get returns the key, derived if it is not remembered. It does not remember: only put does, and only verified requests
// are put, or else anybody could flush the cache with invented scopes.
func (c *keyCache) get(secret string, s Scope) []byte {
	id := newKeyID(secret, s)
	c.mu.Lock()
	key, ok := c.young[id]
	if !ok {
		key, ok = c.old[id]
	}
	c.mu.Unlock()
	if ok {
		return key
	}
	return signingKey(secret, s)
}

func (c *keyCache) put(secret string, s Scope, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= keyGeneration {
		c.old, c.young = c.young, make(map[keyID][]byte)
	}
	c.young[newKeyID(secret, s)] = key
}
