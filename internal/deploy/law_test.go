package deploy

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "replay the random world with this seed")
	worldsFlag = flag.Int("worlds", 2000, "how many random worlds to run, each three times")
)

// TestLaws runs random deployments, with hosts that fail, fall silent or answer twice and operators who interfere, and
// checks the laws of the core after every decision.
func TestLaws(t *testing.T) {
	t.Parallel()
	first, worlds := rand.Uint64(), *worldsFlag
	if *seedFlag != 0 {
		first, worlds = *seedFlag, 1
	}
	seen := map[string]int{}
	for i := range worlds {
		seed := first + uint64(i)
		calmly := mustRun(t, seed, calm)
		crashing := mustRun(t, seed, crashes)
		if diff := cmp.Diff(calmly.result(), crashing.result()); diff != "" {
			t.Fatalf("law 9: crashes change the outcome (- without, + with):\n%s\n%s", diff, replay(seed))
		}
		mustRun(t, seed, outages)
		seen[string(calmly.state.Status)+" "+calmly.why.Code]++
	}
	t.Logf("seeds %d to %d: %v", first, first+uint64(worlds)-1, seen)
	if *seedFlag != 0 {
		return
	}
	for _, end := range []string{
		"Succeeded ", "Failed HEALTH_CONSTRAINTS", "Failed HEALTH_CONSTRAINTS_INVALID", "Failed NO_INSTANCES",
		"Failed TIMEOUT", "Failed AGENT_ISSUE", "Stopped MANUAL_STOP", "Stopped ALARM_ACTIVE", "Stopped TIMEOUT",
	} {
		if worlds >= 1000 && seen[end] == 0 {
			t.Errorf("no world ended as %q: the worlds do not reach what they should test", end)
		}
	}
}

// mustRun plays one world. One that breaks a law is played again, to tell what happened in it.
func mustRun(t *testing.T, seed uint64, tr trouble) *world {
	t.Helper()
	s := newSim(seed, tr)
	if err := s.run(); err != nil {
		again := newSim(seed, tr)
		again.telling = true
		_ = again.run()
		t.Fatalf("%v\n%s\n%s", err, replay(seed), again.transcript())
	}
	return s.w
}

func replay(seed uint64) string {
	return fmt.Sprintf("replay: go test ./internal/deploy -run TestLaws -seed %d", seed)
}

// trouble is what goes wrong with the engine of a simulated world.
type trouble int

const (
	calm    trouble = iota // it decides whenever something happens
	crashes                // it crashes before and after commits, and wakes for no reason
	outages                // it also sleeps through things
)

// sim drives one random world. What hosts do depends on the seed and the Work alone, so that two runs compare.
type sim struct {
	seed    uint64
	trouble trouble
	rng     *rand.Rand // for what the engine suffers; the world is drawn from another
	w       *world
	stopAt  time.Time
	alarmAt time.Time
	approve bool
	flaky   float64
	telling bool
	log     []string
}

func newSim(seed uint64, tr trouble) *sim {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &sim{seed: seed, trouble: tr, rng: rand.New(rand.NewPCG(seed, 2)), flaky: rng.Float64() * rng.Float64()}
	s.w = newWorld(randomPlan(rng), Facts{})
	if rng.IntN(2) == 0 {
		s.w.state.Facts.LastGood = "d-0"
	}
	if rng.IntN(5) == 0 {
		s.w.state.Facts.RollbackOf = "d-0"
	}
	if rng.IntN(6) == 0 {
		s.stopAt = epoch.Add(time.Duration(rng.IntN(600)) * time.Second)
	}
	if rng.IntN(8) == 0 {
		s.alarmAt = epoch.Add(time.Duration(rng.IntN(600)) * time.Second)
	}
	s.approve = rng.IntN(2) == 0
	return s
}

func randomPlan(rng *rand.Rand) Plan {
	chance := func(n int) bool { return rng.IntN(n) == 0 }
	p := Plan{Rollback: Rollback{OnFailure: chance(2), OnAlarm: chance(2), OnStop: chance(2)}}
	if !chance(4) {
		p.Limit = time.Duration(1+rng.IntN(120)) * time.Minute
	}
	phases := 1
	if chance(3) {
		phases += 1 + rng.IntN(2)
	}
	for i := range phases {
		p.Phases = append(p.Phases, randomPhase(rng, i))
	}
	return p
}

func randomPhase(rng *rand.Rand, index int) Phase {
	n := rng.IntN(9)
	ph := Phase{Name: fmt.Sprint("phase ", index), Health: randomHealth(rng, n)}
	for i := range n {
		ph.Targets = append(ph.Targets, fmt.Sprint("h", i+index*rng.IntN(2)*4))
	}
	slices.Sort(ph.Targets)
	ph.Targets = slices.Compact(ph.Targets)
	rng.Shuffle(len(ph.Targets), func(i, j int) { ph.Targets[i], ph.Targets[j] = ph.Targets[j], ph.Targets[i] })
	for i := range rng.IntN(4) {
		ph.Steps = append(ph.Steps, Step{
			Event:         eventName(i),
			Acknowledge:   5 * time.Minute,
			Timeout:       time.Duration(1+rng.IntN(60)) * time.Minute,
			IgnoreFailure: rng.IntN(6) == 0,
		})
	}
	if index > 0 && rng.IntN(2) == 0 {
		ph.Gate = Gate{Delay: time.Duration(rng.IntN(30)) * time.Minute, Approval: rng.IntN(2) == 0}
	}
	return ph
}

func randomHealth(rng *rand.Rand, n int) Health {
	switch rng.IntN(3) {
	case 0:
		return Health{OneAtATime, 1}
	case 1:
		return Health{FleetPercent, rng.IntN(100)}
	default:
		return Health{HostCount, rng.IntN(n + 1)}
	}
}

// run plays the world to its end.
func (s *sim) run() error {
	if err := s.decide(); err != nil {
		return err
	}
	for range 10_000 {
		if s.w.state.Status.Terminal() {
			return s.checkEnd()
		}
		next := s.next()
		if next.IsZero() {
			if !s.act() {
				return fmt.Errorf("law 6: nothing is open, nothing wakes it, and it has not ended (%s)", s.w.state.Status)
			}
			next = s.w.now
		}
		if s.trouble == outages && s.rng.IntN(4) == 0 {
			next = next.Add(time.Duration(s.rng.IntN(900)) * time.Second)
		}
		s.w.now = next
		s.facts()
		s.hosts()
		if err := s.decide(); err != nil {
			return err
		}
	}
	return fmt.Errorf("law 6: no end in sight")
}

// next returns when something happens next, zero for never.
func (s *sim) next() time.Time {
	var next time.Time
	earlier := func(t time.Time) {
		if t.After(s.w.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	earlier(s.w.wake)
	earlier(s.stopAt)
	earlier(s.alarmAt)
	for _, work := range s.w.openWork() {
		if at, ok := s.plan(work).next(work); ok {
			earlier(at)
		}
	}
	return next
}

// act is an operator who sees a deployment that waits for approval without end.
func (s *sim) act() bool {
	if s.w.state.Status != Ready {
		return false
	}
	if s.approve {
		s.w.fact(func(f *Facts) { f.Approved = s.w.state.Phase + 1 })
	} else {
		s.w.fact(func(f *Facts) { f.Stop = &Stop{At: s.w.now, Rollback: new(s.w.state.Phase%2 == 0)} })
	}
	return true
}

func (s *sim) facts() {
	due := func(at time.Time) bool { return !at.IsZero() && !s.w.now.Before(at) }
	facts := s.w.state.Facts
	if due(s.stopAt) && facts.Stop == nil {
		s.note("stop")
		s.w.fact(func(f *Facts) { f.Stop = &Stop{At: s.w.now} })
	}
	if due(s.alarmAt) && len(facts.Alarms) == 0 {
		s.note("alarm")
		s.w.fact(func(f *Facts) { f.Alarms = []string{"errors"} })
	}
}

// conduct is what a host does with one Work.
type conduct struct {
	ack, end  time.Duration // after the issue, after the acknowledgement
	noop      bool
	deaf      bool // never acknowledges
	dead      bool // never completes
	untidy    bool // completes without having acknowledged
	succeeded bool
}

// plan derives the conduct from the seed and the Work.
func (s *sim) plan(work *Work) conduct {
	h := s.seed
	for _, c := range []byte(work.ID) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	rng := rand.New(rand.NewPCG(h, 3))
	bad := func(weight float64) bool { return rng.Float64() < s.flaky*weight }
	return conduct{
		ack:       time.Duration(1+rng.IntN(20)) * time.Second,
		end:       time.Duration(1+rng.IntN(90)) * time.Second,
		noop:      rng.IntN(6) == 0,
		deaf:      bad(0.3),
		dead:      bad(0.2),
		untidy:    rng.IntN(20) == 0,
		succeeded: !bad(0.8),
	}
}

// next returns when the host does something about the Work.
func (c conduct) next(work *Work) (time.Time, bool) {
	if work.Status == WorkPending {
		return work.IssuedAt.Add(c.ack), !c.deaf
	}
	return work.AckedAt.Add(c.end), !c.dead
}

// hosts lets every host do what is due.
func (s *sim) hosts() {
	for _, work := range s.w.openWork() {
		c := s.plan(work)
		at, ok := c.next(work)
		if !ok || s.w.now.Before(at) {
			continue
		}
		status := WorkSucceeded
		if !c.succeeded {
			status = WorkFailed
		}
		if work.Status == WorkPending && !c.untidy {
			s.note("acknowledge %s", work.ID)
			s.w.acknowledge(work, c.noop)
			continue
		}
		s.note("complete %s %s", work.ID, status)
		s.w.complete(work, status, Diagnostics{})
		if s.trouble == crashes {
			s.w.complete(work, WorkFailed, Diagnostics{Message: "said twice"})
		}
	}
}

// decide makes and commits one decision and checks what can be checked about it.
func (s *sim) decide() error {
	state := s.w.load()
	d := Decide(state, s.w.now)
	s.note("decide %s %+v", s.w.state.Status, d)
	if err := s.checkPure(state, d); err != nil {
		return err
	}
	if s.trouble != calm && s.rng.IntN(3) == 0 {
		d = Decide(s.w.load(), s.w.now) // the first decision was lost in a crash
	}
	if s.trouble == outages && s.rng.IntN(4) == 0 {
		s.hosts() // what the decision was based on may change before its commit
	}
	err := s.w.commit(state, d)
	if err == errConflict {
		return s.decide()
	}
	if err != nil {
		return err
	}
	if s.trouble == crashes && !d.Empty(state) {
		if err := s.w.commit(state, d); err != errConflict {
			return fmt.Errorf("law 9: the reply to a commit was lost and the same commit is accepted again (%v)", err)
		}
	}
	return s.checkState()
}

// checkPure checks that a decision depends on its input alone, whatever the order of it, and leaves it as it was.
func (s *sim) checkPure(state State, d Decision) error {
	if fresh := s.w.load(); !reflect.DeepEqual(state, fresh) {
		return fmt.Errorf("law 1: Decide changed its input: %s", cmp.Diff(fresh, state))
	}
	shuffled := s.w.load()
	s.rng.Shuffle(len(shuffled.Targets), reflect.Swapper(shuffled.Targets))
	s.rng.Shuffle(len(shuffled.Work), reflect.Swapper(shuffled.Work))
	if other := Decide(shuffled, s.w.now); !reflect.DeepEqual(d, other) {
		return fmt.Errorf("law 1: the order of targets matters: %s", cmp.Diff(d, other))
	}
	return nil
}

// checkState checks the state after a commit.
func (s *sim) checkState() error {
	state := s.w.load()
	again := Decide(state, s.w.now)
	if s.trouble != outages && !again.Empty(state) {
		return fmt.Errorf("law 2: deciding again wants more: %+v", again)
	}
	for _, check := range []func(State, Decision) error{checkOpen, checkBudget, s.checkWake, s.checkRollback} {
		if err := check(state, again); err != nil {
			return err
		}
	}
	return nil
}

func checkOpen(s State, _ Decision) error {
	open := map[string]bool{}
	for _, w := range s.Work {
		if open[w.Target] {
			return fmt.Errorf("law 4: %s has two open Work", w.Target)
		}
		if open[w.Target] = true; s.Status.Terminal() {
			return fmt.Errorf("law 3: Work %s is left in a deployment that is %s", w.ID, s.Status)
		}
	}
	return nil
}

// checkBudget counts who is out of service, by the words of service.md 5.2.
func checkBudget(s State, _ Decision) error {
	out := 0
	phase := s.Plan.Phases[s.Phase]
	for _, t := range s.Targets {
		if slices.Contains(phase.Targets, t.ID) && (t.Status == TargetInProgress || t.Status == TargetFailed) {
			out++
		}
	}
	budget := max(len(phase.Targets)-slowMinimum(phase.Health, len(phase.Targets)), failedBefore(s))
	if out > budget {
		return fmt.Errorf("law 5: %d targets are out of service, the budget is %d", out, budget)
	}
	return nil
}

// failedBefore counts targets of the current phase that an earlier one lost: they may exceed its budget before it begins.
func failedBefore(s State) int {
	lost := 0
	for _, t := range s.Targets {
		if t.Status != TargetFailed || !slices.Contains(s.Plan.Phases[s.Phase].Targets, t.ID) {
			continue
		}
		if slices.ContainsFunc(s.Plan.Phases[:s.Phase], func(p Phase) bool { return slices.Contains(p.Targets, t.ID) }) {
			lost++
		}
	}
	return lost
}

// checkWake compares Wake with every deadline there is, and looks at a moment before it.
func (s *sim) checkWake(state State, d Decision) error {
	if state.Status.Terminal() {
		if !d.Wake.IsZero() {
			return fmt.Errorf("law 7: a deployment that is %s wants to be woken", state.Status)
		}
		return nil
	}
	deadlines := []time.Time{}
	for _, w := range state.Work {
		deadlines = append(deadlines, w.Due)
	}
	if state.Plan.Limit > 0 {
		deadlines = append(deadlines, state.CreatedAt.Add(state.Plan.Limit))
	}
	gate := state.Plan.Phases[state.Phase].Gate
	if until := state.PhaseSince.Add(gate.Delay); len(state.Work) == 0 && gate.Delay > 0 && state.Facts.Approved <= state.Phase {
		deadlines = append(deadlines, until)
	}
	for _, due := range deadlines {
		if d.Wake.IsZero() || d.Wake.After(due) {
			return fmt.Errorf("law 7: wake %s is later than the deadline %s", d.Wake, due)
		}
	}
	if d.Wake.IsZero() || !d.Empty(state) {
		return nil
	}
	if !d.Wake.After(s.w.now) {
		return fmt.Errorf("law 7: nothing to do at %s, yet it wants to be woken at %s", s.w.now, d.Wake)
	}
	before := s.w.now.Add(time.Duration(s.rng.Int64N(int64(d.Wake.Sub(s.w.now)))))
	if early := Decide(state, before); !early.Empty(state) {
		return fmt.Errorf("law 7: the answer changes at %s, before the wake at %s: %+v", before, d.Wake, early)
	}
	if there := Decide(state, d.Wake); there.Empty(state) {
		return fmt.Errorf("law 7: nothing changes at the wake %s", d.Wake)
	}
	return nil
}

func (s *sim) checkRollback(state State, _ Decision) error {
	switch {
	case s.w.rollbacks > 1:
		return fmt.Errorf("law 8: %d rollbacks", s.w.rollbacks)
	case s.w.rollbacks > 0 && (state.Facts.RollbackOf != "" || state.Facts.LastGood == ""):
		return fmt.Errorf("law 8: a rollback of %+v", state.Facts)
	case s.w.rollbacks > 0 && (!state.Status.Terminal() || state.Status == Succeeded):
		return fmt.Errorf("law 8: a rollback of a deployment that is %s", state.Status)
	}
	return nil
}

// checkEnd checks a deployment that has ended.
func (s *sim) checkEnd() error {
	state := s.w.load()
	for _, t := range state.Targets {
		if !t.Status.Terminal() {
			return fmt.Errorf("law 3: %s is %s in a deployment that is %s", t.ID, t.Status, state.Status)
		}
		if (t.Status == TargetFailed) != (t.Failure != nil) {
			return fmt.Errorf("%s is %s with failure %+v", t.ID, t.Status, t.Failure)
		}
	}
	for _, later := range []time.Duration{0, time.Minute, 1000 * time.Hour} {
		if d := Decide(state, s.w.now.Add(later)); !d.Empty(state) || !d.Wake.IsZero() {
			return fmt.Errorf("law 3: a deployment that is %s wants %+v", state.Status, d)
		}
	}
	if bare := s.w.why == (Why{}); bare != (state.Status == Succeeded) {
		return fmt.Errorf("a deployment that is %s gives as reason %+v", state.Status, s.w.why)
	}
	return nil
}

// result is what must not depend on crashes.
type result struct {
	Status    Status
	Why       Why
	At        time.Time
	Targets   []Target
	Rollbacks int
	Work      []Work
}

func (w *world) result() result {
	r := result{Status: w.state.Status, Why: w.why, At: w.now, Targets: w.state.Targets, Rollbacks: w.rollbacks}
	for _, id := range w.order {
		r.Work = append(r.Work, *w.work[id])
	}
	return r
}

func (s *sim) note(format string, args ...any) {
	if !s.telling {
		return
	}
	s.log = append(s.log, s.w.now.Sub(epoch).String()+" "+fmt.Sprintf(format, args...))
}

// transcript is the end of what happened.
func (s *sim) transcript() string {
	text := fmt.Sprintf("plan %+v\n", s.w.state.Plan)
	for _, line := range s.log[max(0, len(s.log)-30):] {
		text += line + "\n"
	}
	return text
}
