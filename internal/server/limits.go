package server

import (
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"grapnel/internal/auth"
	"grapnel/internal/ratelimit"
)

// DefaultRateLimit is how many requests each user may make in a second, for Options.RateLimit.
const DefaultRateLimit = 200

// maxSenders is how many identities, and how many addresses, are told apart.
const maxSenders = 16384

// strangerLimit is how many requests with keys that do not exist one address may send. Each costs a look for the key.
var strangerLimit = ratelimit.Limit{PerSecond: 10, Burst: 100}

// forgeryLimit is how many requests with a wrong signature of one key an address may send. Each costs the reading of a body.
var forgeryLimit = ratelimit.Limit{PerSecond: 1, Burst: 20}

// limits bound what one sender can take from the others: how often an identity may call, and how often an address may fail to
// be one. Root may call as often as it likes, so that the operator gets in when others make too much.
type limits struct {
	users     *ratelimit.Table[string] // by ARN; a role by its name
	hosts     *ratelimit.Table[string]
	strangers *ratelimit.Table[netip.Addr]
	forgeries *ratelimit.Table[proof]
	proven    proofs
	throttled *prometheus.CounterVec
}

// newLimits takes the requests in a second that a user may make, 0 for any number. A host may make a quarter of that: an agent
// that sends the output of its scripts makes some ten.
func newLimits(perSecond float64, registry *prometheus.Registry) *limits {
	limit := func(perSecond float64, seconds int) ratelimit.Limit {
		return ratelimit.Limit{PerSecond: perSecond, Burst: int(math.Ceil(perSecond)) * seconds}
	}
	return &limits{
		users:     ratelimit.New[string](limit(perSecond, 5), maxSenders),
		hosts:     ratelimit.New[string](limit(perSecond/4, 4), maxSenders),
		strangers: ratelimit.New[netip.Addr](strangerLimit, maxSenders),
		forgeries: ratelimit.New[proof](forgeryLimit, maxSenders),
		throttled: promauto.With(registry).NewCounterVec(prometheus.CounterOpts{
			Namespace: "grapnel", Subsystem: "http", Name: "throttled_total",
			Help: "Requests refused because their sender makes too many: by=identity, or too many with a wrong signature: by=address.",
		}, []string{"by"}),
	}
}

// throttledError says that a sender must wait. Protocols answer it as ThrottlingException (JSON), Throttling (query) or
// SlowDown (S3), which clients and agents take as a reason to wait and try again.
type throttledError struct {
	wait time.Duration
	text string
}

func (e *throttledError) Error() string { return e.text }

// announce tells the client how long to wait, in whole seconds as HTTP wants it.
func (e *throttledError) announce(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(e.wait.Seconds()))))
}

// identity counts a request of an identity that was verified. The sessions of a role count as one: who takes it on names them,
// and could have a new one for each request.
func (l *limits) identity(id auth.Identity, now time.Time) error {
	table, who := l.users, id.ARN
	switch id.Kind {
	case auth.Root:
		return nil
	case auth.Session:
		who = "role " + id.Role
	case auth.Host:
		table = l.hosts
	}
	wait := table.Take(who, now)
	if wait == 0 {
		return nil
	}
	l.throttled.WithLabelValues("identity").Inc()
	return &throttledError{wait, fmt.Sprintf("Rate exceeded: %s makes too many requests; wait %v, or ask whoever runs the server to raise --rate-limit.",
		who, wait.Round(time.Millisecond))}
}

// claim asks whether a request may be looked at further that claims to be signed with a key. The others behind the same address
// (hosts behind a router, everybody behind a proxy) must not suffer for one who fails too often: failures with a key that exists
// count against that key alone, from this address, and not even there once it was used rightly.
func (l *limits) claim(p proof, exists bool, now time.Time) error {
	wait := l.strangers.Wait(p.from, now)
	if exists {
		wait = l.forgeries.Wait(p, now)
	}
	if wait == 0 || l.proven.has(p) {
		return nil
	}
	l.throttled.WithLabelValues("address").Inc()
	return &throttledError{wait, fmt.Sprintf("Rate exceeded: too many requests from %s had a wrong signature or key; wait %v.", p.from, wait.Round(time.Millisecond))}
}

// failed counts a claim that was wrong.
func (l *limits) failed(p proof, exists bool, now time.Time) {
	if exists {
		l.forgeries.Take(p, now)
	} else {
		l.strangers.Take(p.from, now)
	}
}

// proof is a key that was used rightly from an address.
type proof struct {
	from netip.Addr
	key  string
}

// proofs remembers some of the proofs that there were. The zero value is ready.
type proofs struct {
	mu    sync.RWMutex
	known map[proof]bool
}

func (s *proofs) has(p proof) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.known[p]
}

func (s *proofs) add(p proof) {
	if s.has(p) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[proof]bool{}
	}
	for old := range s.known {
		if len(s.known) < maxSenders {
			break
		}
		delete(s.known, old)
	}
	s.known[p] = true
}
