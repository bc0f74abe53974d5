package join

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// triesAtOnce and tryEvery bound the wrong tokens that one address may send. Guessing a secret of 160 bits is hopeless
	// anyway; this keeps the noise down. Hosts that join count for nothing, so that a thousand may do so from behind one
	// address.
	triesAtOnce = 20
	tryEvery    = time.Second
	// maxSources bounds the memory of it; beyond that everybody begins anew.
	maxSources = 4096
)

// tries limits wrong tokens. The zero value is ready.
type tries struct {
	mu   sync.Mutex
	left map[string]*rate.Limiter
}

// allowed reports whether the source may try.
func (t *tries) allowed(source string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.left[network(source)]
	return !ok || l.TokensAt(now) >= 1
}

// failed counts a wrong token.
func (t *tries) failed(source string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := network(source)
	l, ok := t.left[key]
	if !ok {
		if t.left == nil || len(t.left) >= maxSources {
			t.left = map[string]*rate.Limiter{}
		}
		l = rate.NewLimiter(rate.Every(tryEvery), triesAtOnce)
		t.left[key] = l
	}
	l.AllowN(now, 1)
}

// network is whom an address stands for: of IPv6 everybody has 2^64.
func network(source string) string {
	ip, err := netip.ParseAddr(source)
	if err != nil || ip.Unmap().Is4() {
		return source
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
