package ratelimit_test

import (
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/ratelimit"
)

func TestEachSenderHasItsOwnTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := ratelimit.New[string](ratelimit.Limit{PerSecond: 2, Burst: 3}, 100)
		take := func(sender string, want time.Duration) {
			t.Helper()
			if got := table.Take(sender, time.Now()); got != want {
				t.Errorf("%s waits %v, want %v", sender, got, want)
			}
		}
		for range 3 {
			take("a", 0)
		}
		take("a", 500*time.Millisecond)
		take("b", 0)
		if got := table.Wait("a", time.Now()); got != 500*time.Millisecond {
			t.Errorf("a is told to wait %v", got)
		}
		if got := table.Wait("c", time.Now()); got != 0 {
			t.Errorf("a sender that is not known is told to wait %v", got)
		}
		time.Sleep(500 * time.Millisecond)
		take("a", 0)
		take("a", 500*time.Millisecond)
		time.Sleep(time.Hour)
		for range 3 {
			take("a", 0)
		}
		take("a", 500*time.Millisecond)
	})
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	table := ratelimit.New[string](ratelimit.Limit{}, 1)
	for range 1000 {
		if wait := table.Take("a", time.Now()); wait != 0 {
			t.Fatal("refused")
		}
	}
}

// A sender that is being held back keeps its empty bucket while thousands come and go: their full ones make room.
func TestATableThatIsFullForgetsTheIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		table := ratelimit.New[int](ratelimit.Limit{PerSecond: 0.001, Burst: 5}, 64)
		for table.Take(-1, time.Now()) == 0 {
		}
		for sender := range 10_000 {
			table.Take(sender, time.Now())
		}
		if table.Wait(-1, time.Now()) == 0 {
			t.Error("the sender over its limit was forgotten")
		}
	})
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::", "@": "invalid IP",
	} {
		if got := ratelimit.Network(address).String(); got != want {
			t.Errorf("%s counts as %s, want %s", address, got, want)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	table := ratelimit.New[string](ratelimit.Limit{PerSecond: 1e12, Burst: 1e9}, 100)
	for b.Loop() {
		table.Take("arn:aws:iam::000000000000:user/ci", time.Now())
	}
}
