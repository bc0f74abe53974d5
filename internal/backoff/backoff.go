// Package backoff says how long to pause before a failed call is tried again.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// pollPauses are the pauses in seconds after consecutive poll errors (agent.md 4.3). Written out because the formula they
// come from, floor(1.2675^n * 90 / 1.2675^10), ends at 89 or 90 depending on how it is rounded.
var pollPauses = [...]time.Duration{10, 13, 17, 21, 27, 34, 44, 56, 71, 90}

// Poll returns the time that must pass between the start of the n-th consecutive failed poll and the next one: 10, 13, 17,
// 21, 27, 34, 44, 56, 71 and then always 90 seconds. It is 0 for n < 1.
func Poll(n int) time.Duration {
	if n < 1 {
		return 0
	}
	return pollPauses[min(n, len(pollPauses))-1] * time.Second
}

// Exponential doubles its pause with each failure up to a limit, and adds a random part so that hosts which failed together
// do not come back together. The zero value never pauses.
type Exponential struct {
	First  time.Duration // pause after the first failure, before jitter
	Max    time.Duration // longest pause, before jitter
	Jitter float64       // a random part of up to Jitter times the pause is added; 0.25 for the throttling gate of agent.md 4.3
}

// Pause returns how long to wait after the n-th consecutive failure, n counted from 1.
func (e Exponential) Pause(n int) time.Duration {
	if n < 1 {
		return 0
	}
	pause := min(e.First, e.Max)
	for i := 1; i < n && 0 < pause && pause < e.Max; i++ {
		pause = double(pause, e.Max)
	}
	return pause + time.Duration(rand.Float64()*e.Jitter*float64(pause))
}

// double returns 2*d but at most limit, without overflow.
func double(d, limit time.Duration) time.Duration {
	if d > limit/2 {
		return limit
	}
	return 2 * d
}

// Sleep waits for d, or until ctx ends, and then returns the cause of that.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
