package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	runs  = flag.Int("sim.n", 2000, "run at least this many random deployments")
	seed  = flag.Uint64("sim.seed", 0, "run only the world of this seed")
	every = flag.Uint64("sim.every", 100, "run the worlds whose seed this number divides on real SQLite")
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
	s.faults += 40 - w.faults
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
		if err := runWorld(t, seed, seed%*every == 0, log, sum); err != nil {
			t.Errorf("world %d: %v\nrun it again: go test ./test/sim -v -sim.seed=%d -sim.every=%d", seed, err, seed, *every)
		}
	})
}
