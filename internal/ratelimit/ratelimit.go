// Package ratelimit bounds how often each of many senders may do something: a bucket of tokens for each, in a table that
// stays small whoever comes.
package ratelimit

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limit is how often one sender may do something. The zero Limit is none.
type Limit struct {
	PerSecond float64 // in the long run; 0 for no limit
	Burst     int     // at once, after a pause
}

// Table holds a bucket for each sender that was seen lately. It may be used by many goroutines.
type Table[K comparable] struct {
	limit   Limit
	size    int
	mu      sync.Mutex
	buckets map[K]*rate.Limiter
}

// New returns a table of at most size senders (at least 1).
func New[K comparable](limit Limit, size int) *Table[K] {
	return &Table[K]{limit: limit, size: size, buckets: map[K]*rate.Limiter{}}
}

// Take takes a token of the sender. Without one it takes nothing and returns how long it is until there is one, which is
// more than 0.
func (t *Table[K]) Take(sender K, now time.Time) (wait time.Duration) {
	if t.limit.PerSecond == 0 {
		return 0
	}
	bucket := t.bucket(sender)
	if bucket.AllowN(now, 1) {
		return 0
	}
	return t.wait(bucket, now)
}

// Wait returns how long it is until the sender has a token, 0 when it has one. It takes nothing.
func (t *Table[K]) Wait(sender K, now time.Time) time.Duration {
	t.mu.Lock()
	bucket, ok := t.buckets[sender]
	t.mu.Unlock()
	if !ok || bucket.TokensAt(now) >= 1 {
		return 0
	}
	return t.wait(bucket, now)
}

func (t *Table[K]) wait(bucket *rate.Limiter, now time.Time) time.Duration {
	lacking := 1 - bucket.TokensAt(now)
	return max(time.Millisecond, time.Duration(lacking/t.limit.PerSecond*float64(time.Second)))
}

func (t *Table[K]) bucket(sender K) *rate.Limiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if bucket, ok := t.buckets[sender]; ok {
		return bucket
	}
	if len(t.buckets) >= t.size {
		t.makeRoom()
	}
	bucket := rate.NewLimiter(rate.Limit(t.limit.PerSecond), t.limit.Burst)
	t.buckets[sender] = bucket
	return bucket
}

// Network is what counts of a sender's address, for tables by address: whoever has one IPv6 address has the 2^64 of its
// network. What is no address is the zero one.
func Network(address string) netip.Addr {
	ip, _ := netip.ParseAddr(address)
	ip = ip.Unmap().WithZone("")
	if ip.Is6() {
		network, _ := ip.Prefix(64) // has no error for an IPv6 address
		return network.Addr()
	}
	return ip
}

// sampled is how many buckets are looked at for the one to drop. Looking at all would make each new sender cost more the
// more there are, and inventing senders is what an attacker does.
const sampled = 8

// makeRoom drops the fullest of some buckets: a full one is lost without anybody noticing, because a new one is full, too.
func (t *Table[K]) makeRoom() {
	now := time.Now()
	var fullest K
	most, seen := -1.0, 0
	for sender, bucket := range t.buckets { // in an order that is different each time
		if tokens := bucket.TokensAt(now); seen == 0 || tokens > most {
			fullest, most = sender, tokens
		}
		if seen++; seen == sampled {
			break
		}
	}
	delete(t.buckets, fullest)
}
