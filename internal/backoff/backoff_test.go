package backoff

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// agent.md 16: 74
func TestPollFollowsTheTable(t *testing.T) {
	t.Parallel()
	var got []time.Duration
	for n := range 13 {
		got = append(got, Poll(n)/time.Second)
	}
	want := []time.Duration{0, 10, 13, 17, 21, 27, 34, 44, 56, 71, 90, 90, 90}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pauses in seconds (-want +got):\n%s", diff)
	}
	if Poll(-1) != 0 || Poll(math.MaxInt) != 90*time.Second {
		t.Errorf("Poll(-1) = %v, Poll(MaxInt) = %v", Poll(-1), Poll(math.MaxInt))
	}
}

func TestExponentialWithoutJitter(t *testing.T) {
	t.Parallel()
	e := Exponential{First: time.Second, Max: 30 * time.Second}
	var got []time.Duration
	for n := range 8 {
		got = append(got, e.Pause(n)/time.Second)
	}
	want := []time.Duration{0, 1, 2, 4, 8, 16, 30, 30}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pauses in seconds (-want +got):\n%s", diff)
	}
	if (Exponential{}).Pause(math.MaxInt) != 0 {
		t.Error("the zero value pauses")
	}
}

func TestExponentialStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := Exponential{
			First:  time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "first")),
			Max:    time.Duration(rapid.Int64Range(1, int64(1000*time.Hour)).Draw(t, "max")),
			Jitter: rapid.Float64Range(0, 1).Draw(t, "jitter"),
		}
		n := rapid.IntRange(1, math.MaxInt).Draw(t, "n")
		low := min(e.First, e.Max)
		high := e.Max + time.Duration(e.Jitter*float64(e.Max))
		if got := e.Pause(n); got < low || got > high {
			t.Fatalf("Pause(%d) = %v, want within %v and %v", n, got, low, high)
		}
	})
}

func TestSleep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := Sleep(t.Context(), time.Hour); err != nil || time.Since(start) != time.Hour {
			t.Errorf("Sleep = %v after %v", err, time.Since(start))
		}
		reason := errors.New("stop asked for")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(reason) })
		start = time.Now()
		if err := Sleep(ctx, time.Hour); !errors.Is(err, reason) || time.Since(start) != time.Minute {
			t.Errorf("Sleep = %v after %v, want the cause after a minute", err, time.Since(start))
		}
		if err := Sleep(ctx, 0); !errors.Is(err, reason) {
			t.Errorf("Sleep(0) with an ended context = %v", err)
		}
	})
}
