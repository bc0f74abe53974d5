package engine

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestScheduleKeepsTheOrderOfWakes(t *testing.T) {
	t.Parallel()
	s := newSchedule()
	for _, id := range []string{"b", "a", "b", "c", "a"} {
		s.wake(id)
	}
	if got, want := drain(s), []string{"b", "a", "c"}; !slices.Equal(got, want) {
		t.Errorf("ready: got %v, want %v", got, want)
	}
}

func TestScheduleRunsAgainWhatWasWokenMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSchedule()
	s.wake("a")
	e, _ := s.next()
	s.wake("a")
	if _, ok := s.next(); ok {
		t.Error("a deployment that is running was given out a second time")
	}
	s.ended(e, time.Time{})
	if got := drain(s); !slices.Equal(got, []string{"a"}) {
		t.Errorf("ready after a wake during the round: got %v, want [a]", got)
	}
}

func TestScheduleForgets(t *testing.T) {
	t.Parallel()
	s := newSchedule()
	s.wake("a")
	e, _ := s.next()
	s.ended(e, time.Time{})
	if len(s.entries) != 0 || len(s.later) != 0 {
		t.Errorf("kept: %v, %v; want nothing", s.entries, s.later)
	}
}

// TestScheduleModel compares a schedule with the plainest thing that does the same: a map of times.
func TestScheduleModel(t *testing.T) {
	t.Parallel()
	base := time.Unix(0, 0)
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule()
		later := map[string]time.Time{}
		now := base
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "id")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0: // a round that ends with a wake
				s.wake(id)
				delete(later, id)
				if got := drain(s); !slices.Equal(got, []string{id}) {
					t.Fatalf("ready: got %v, want only %s", got, id)
				}
				s.wake(id)
				e, _ := s.next()
				later[id] = now.Add(time.Duration(rapid.IntRange(1, 50).Draw(t, "at")) * time.Second)
				s.ended(e, later[id])
			case 1:
				now = now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "pass")) * time.Second)
				var want []string
				for id, at := range later {
					if !at.After(now) {
						want = append(want, id)
						delete(later, id)
					}
				}
				s.wakeDue(now)
				got := drain(s)
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("due at %v: got %v, want %v", now.Sub(base), got, want)
				}
			case 2:
				at, ok := s.nextTime()
				for id, want := range later {
					if !ok || want.Before(at) {
						t.Fatalf("next time: got %v %v, but %s is due at %v", at, ok, id, want)
					}
				}
			}
		}
	})
}

// drain ends a round of everything that is ready and returns the ids.
func drain(s *schedule) []string {
	var ids []string
	for {
		e, ok := s.next()
		if !ok {
			return ids
		}
		ids = append(ids, e.id)
		s.ended(e, time.Time{})
	}
}
