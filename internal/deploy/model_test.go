package deploy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"grapnel/internal/lifecycle"
)

// slowMinimum is M of service.md 5.2, counted up instead of computed.
func slowMinimum(h Health, n int) int {
	switch h.Type {
	case OneAtATime:
		return max(n-1, 0)
	case HostCount:
		return h.Value
	}
	m := 0
	for 100*m < n*h.Value {
		m++
	}
	return m
}

// slowModel plays the rules of service.md 5.2 in their own words, one host at a time, and returns how the deployment ends
// and what became of each host. The earliest host in flight always ends first.
func slowModel(h Health, succeeds []bool) (Status, []TargetStatus) {
	n := len(succeeds)
	m := slowMinimum(h, n)
	hosts := slices.Repeat([]TargetStatus{TargetPending}, n)
	count := func(want TargetStatus) (c int) {
		for _, s := range hosts {
			if s == want {
				c++
			}
		}
		return c
	}
	skipRest := func() {
		for i, s := range hosts {
			if s == TargetPending {
				hosts[i] = TargetSkipped
			}
		}
	}
	if n == 0 || (h.Type != OneAtATime && m >= n) {
		skipRest()
		return Failed, hosts
	}
	for {
		available := n - count(TargetFailed) - count(TargetInProgress)
		if next := slices.Index(hosts, TargetPending); next >= 0 && available-1 >= m {
			hosts[next] = TargetInProgress
			continue
		}
		flying := slices.Index(hosts, TargetInProgress)
		if flying < 0 {
			break
		}
		hosts[flying] = TargetFailed
		if succeeds[flying] {
			hosts[flying] = TargetSucceeded
		}
	}
	if count(TargetPending) > 0 {
		skipRest()
		return Failed, hosts
	}
	if count(TargetSucceeded) >= max(m, 1) {
		return Succeeded, hosts
	}
	return Failed, hosts
}

// TestHealthAgainstModel tries every outcome of every host under every health rule of small groups.
func TestHealthAgainstModel(t *testing.T) {
	t.Parallel()
	for n := range 7 {
		rules := []Health{{OneAtATime, 1}}
		for m := range n + 2 {
			rules = append(rules, Health{HostCount, m})
		}
		for _, percent := range []int{0, 1, 20, 33, 34, 50, 51, 75, 80, 99} {
			rules = append(rules, Health{FleetPercent, percent})
		}
		for _, rule := range rules {
			for outcomes := range 1 << n {
				succeeds := make([]bool, n)
				for i := range succeeds {
					succeeds[i] = outcomes&(1<<i) != 0
				}
				compareWithModel(t, rule, succeeds)
			}
		}
	}
}

func compareWithModel(t *testing.T, rule Health, succeeds []bool) {
	t.Helper()
	want, wantHosts := slowModel(rule, succeeds)
	w := newWorld(onePhase(len(succeeds), rule, lifecycle.Install), Facts{})
	for range 100 {
		s := w.load()
		if err := w.commit(s, Decide(s, w.now)); err != nil {
			t.Fatal(err)
		}
		open := w.openWork()
		if len(open) == 0 {
			break
		}
		status := WorkFailed
		if succeeds[slices.Index(w.state.Plan.Phases[0].Targets, open[0].Target)] {
			status = WorkSucceeded
		}
		w.complete(open[0], status, Diagnostics{})
	}
	var hosts []TargetStatus
	for _, target := range w.state.Targets {
		hosts = append(hosts, target.Status)
	}
	if w.state.Status != want || !slices.Equal(hosts, wantHosts) {
		t.Errorf("%d hosts, %v, succeed %v: got %s %v, the model says %s %v",
			len(succeeds), rule, succeeds, w.state.Status, hosts, want, wantHosts)
	}
}

// onePhase is an in-place plan for h1, h2, ... with these events.
func onePhase(hosts int, rule Health, events ...lifecycle.Event) Plan {
	p := Phase{Name: "in-place", Health: rule}
	for i := range hosts {
		p.Targets = append(p.Targets, fmt.Sprint("h", i+1))
	}
	for _, e := range events {
		p.Steps = append(p.Steps, Step{Event: e, Acknowledge: 5 * time.Minute, Timeout: time.Hour})
	}
	return Plan{Phases: []Phase{p}, Limit: 8 * time.Hour}
}

func eventName(i int) lifecycle.Event { return lifecycle.InPlace[i] }
