package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	runs  = flag.Int("sim.n", 2000, "run at least this many random deployments")
	seed  = flag.Uint64("sim.seed", 0, "run only the world of this seed")
	every = flag.Uint64("sim.every", 0, "run the worlds whose seed this number divides on real SQLite; 0 means every hundredth, fewer when there are many")
)

// summary counts what the worlds were made of.
type summary struct {
	mu                              sync.Mutex
	worlds, deployments             int
	sqliteWorlds, onSQLite          int
	rollbacks, hooks, kills, faults int
}

func (s *summary) add(w *world, onSQLite bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worlds++
	s.deployments += int(w.deployments.Load())
	if onSQLite {
		s.sqliteWorlds++
		s.onSQLite += int(w.deployments.Load())
	}
	s.rollbacks += len(w.store.rollbacks)
	s.hooks += len(w.executed)
	s.kills += int(w.kills.Load())
	s.faults += maxFaults - w.faults
}

func (s *summary) String() string {
	return fmt.Sprintf("%d deployments in %d worlds: %d deployments (%d worlds) on real SQLite, the rest on a store in memory; "+
		"%d rollbacks, %d hooks run, %d faults, %d of them kills of the server",
		s.deployments, s.worlds, s.onSQLite, s.sqliteWorlds, s.rollbacks, s.hooks, s.faults, s.kills)
}

func (s *summary) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deployments
}

// TestWorlds runs random worlds with new seeds until there were enough deployments.
func TestWorlds(t *testing.T) {
	if *every == 0 {
		*every = uint64(max(100, *runs/100))
	}
	sum := &summary{}
	if *seed != 0 {
		runSeed(t, *seed, slog.New(slog.NewTextHandler(os.Stderr, nil)), sum)
		t.Log(sum)
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // worlds are small and short
	start, next := time.Now(), atomic.Uint64{}
	next.Store(rand.Uint64N(1 << 40))
	t.Run("parallel", func(t *testing.T) {
		for range runtime.GOMAXPROCS(0) {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for sum.count() < *runs && !t.Failed() {
					runSeed(t, next.Add(1), slog.New(slog.DiscardHandler), sum)
				}
			})
		}
	})
	t.Logf("%v; %.1f s", sum, time.Since(start).Seconds())
}

// runSeed runs one world in a bubble and reports what it broke, with what it takes to run it again.
func runSeed(t *testing.T, seed uint64, log *slog.Logger, sum *summary) {
	synctest.Test(t, func(t *testing.T) {
		w, onSQLite := newWorld(t, seed, log), seed%*every == 0
		if onSQLite {
			db, err := w.keepOnDisk(t)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
		}
		err := w.run()
		sum.add(w, onSQLite)
		if err != nil {
			t.Errorf("world %d: %v\nrun it again: go test ./test/sim -v -sim.seed=%d -sim.every=%d", seed, err, seed, *every)
		}
	})
}

// TestCrashChangesNothingButTime is law 9: with the server killed and the store out of reach every now and then, before
// and after what is stored, deployments end as they do without.
func TestCrashChangesNothingButTime(t *testing.T) {
	t.Parallel()
	first := rand.Uint64N(1 << 40)
	if *seed != 0 {
		first = *seed
	}
	late := 0
	for s := first; s < first+100; s++ {
		quiet, _, _ := steadyEnds(t, s, 0, 0)
		troubled, kills, overdue := steadyEnds(t, s, 0.05, 0.05)
		if overdue { // in a few worlds a command is handed over in vain until its five minutes have passed: it has failed as it should
			late++
			continue
		}
		if diff := cmp.Diff(quiet, troubled); diff != "" {
			t.Errorf("world %d ended otherwise after %d kills (-without +with):\n%s\nrun it again: go test ./test/sim -run Crash -sim.seed=%d", s, kills, diff, s)
		}
	}
	if late > 20 {
		t.Errorf("a deadline passed in %d of 100 worlds", late)
	}
}

// steadyEnds runs a steady world and returns how each of its deployments ended, in the order of their creation by group, and
// whether a command was past its deadline.
func steadyEnds(t *testing.T, seed uint64, faultRate, killRate float64) (ends map[string][]string, kills int64, overdue bool) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, slog.New(slog.DiscardHandler))
		w.steady, w.faultRate, w.killRate, w.downtime = true, faultRate, killRate, 3*time.Second
		if err := w.run(); err != nil {
			t.Errorf("world %d: %v", seed, err)
		}
		ends, kills, overdue = w.ends(), w.kills.Load(), w.overdue()
	})
	return ends, kills, overdue
}

// overdue reports whether a command of a world in memory was past its deadline: hosts give no message like this.
func (w *world) overdue() bool {
	for _, c := range w.store.backend.(*memory).work {
		if strings.Contains(c.Diagnostics.Message, " within ") {
			return true
		}
	}
	return false
}

// ends tells how each deployment of a world in memory ended.
func (w *world) ends() map[string][]string {
	m := w.store.backend.(*memory)
	ends := map[string][]string{}
	for _, id := range m.order {
		d := m.deployments[id]
		end := fmt.Sprintf("%s %s of %s:", d.Status, d.Info.Creator, *d.Info.Revision.S3Location.Key)
		for _, target := range d.targets {
			end += fmt.Sprintf(" %s %s at step %d", target.ID, target.Status, target.Step)
		}
		ends[d.GroupID] = append(ends[d.GroupID], end)
	}
	return ends
}
