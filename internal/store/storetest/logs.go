package storetest

import (
	"fmt"
	"sync"
	"testing"

	"grapnel/internal/awsapi"
	"grapnel/internal/store"
)

// plenty are limits that no test reaches by accident.
var plenty = store.LogLimits{Work: 1 << 20, Deployment: 1 << 30}

// chunkOf is the seq-th chunk of the first step of a target, with one line and a size of 10.
func chunkOf(target string, seq int64) store.LogChunk {
	return store.LogChunk{
		Work: workOf("d-1", 0, target).ID, Seq: seq, Size: 10,
		Lines: []awsapi.LogLine{{Time: begin.UnixMilli(), Script: "stop.sh", Stream: "stdout", Text: fmt.Sprintf("größer %d", seq)}},
	}
}

// stored is what is read of a chunk of chunkOf.
func stored(place int64, c store.LogChunk, target string) store.LogChunk {
	c.Place, c.Target, c.Event, c.Size = place, target, "ApplicationStop", 0
	return c
}

func logOf(t *testing.T, s store.Store, f store.LogFilter) []store.LogChunk {
	t.Helper()
	f.Deployment = "d-1"
	chunks, err := s.LogChunks(t.Context(), f)
	ok(t, err)
	return chunks
}

func logs(t *testing.T, s store.Store) {
	started(t, s, "d-1", "a", "b")
	same(t, "log of a deployment without any", len(logOf(t, s, store.LogFilter{})), 0)
	a1, b1, a2 := chunkOf("a", 1), chunkOf("b", 1), chunkOf("a", 2)
	gone := chunkOf("a", 3)
	gone.Work = "unknown"
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{a1, gone, b1}, plenty))
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{a2}, plenty))

	same(t, "log", logOf(t, s, store.LogFilter{}), []store.LogChunk{stored(1, a1, "a"), stored(2, b1, "b"), stored(3, a2, "a")})
	same(t, "after the second", logOf(t, s, store.LogFilter{After: 2}), []store.LogChunk{stored(3, a2, "a")})
	same(t, "two of it", logOf(t, s, store.LogFilter{Limit: 2}), []store.LogChunk{stored(1, a1, "a"), stored(2, b1, "b")})
	same(t, "of one target", logOf(t, s, store.LogFilter{Target: "a", After: 1}), []store.LogChunk{stored(3, a2, "a")})
	same(t, "of one event", len(logOf(t, s, store.LogFilter{Event: "ApplicationStop", Limit: 9})), 3)
	same(t, "of another event", len(logOf(t, s, store.LogFilter{Event: "Install"})), 0)
}

// logSentTwice sends updates whose replies were lost again.
func logSentTwice(t *testing.T, s store.Store) {
	started(t, s, "d-1", "a")
	first, third := chunkOf("a", 1), chunkOf("a", 3) // the agent gave up on the second
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{first, first}, plenty))
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{first, third}, plenty))
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{third, chunkOf("a", 2)}, plenty))
	same(t, "log", logOf(t, s, store.LogFilter{}), []store.LogChunk{stored(1, first, "a"), stored(2, third, "a")})
}

func logLimits(t *testing.T, s store.Store) {
	started(t, s, "d-1", "a", "b", "c")
	limits := store.LogLimits{Work: 20, Deployment: 35}
	a1, a2, a3, b1, b2 := chunkOf("a", 1), chunkOf("a", 2), chunkOf("a", 3), chunkOf("b", 1), chunkOf("b", 2)
	small := chunkOf("a", 4)
	small.Size = 1
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{a1, a2, a3, small, b1, b2, chunkOf("b", 3)}, limits))
	cut := func(place int64, c store.LogChunk, target string) store.LogChunk {
		c = stored(place, c, target)
		c.Cut, c.Lines = true, []awsapi.LogLine{}
		return c
	}
	same(t, "log", logOf(t, s, store.LogFilter{}), []store.LogChunk{
		stored(1, a1, "a"), stored(2, a2, "a"), cut(3, a3, "a"), // its Work is full, and nothing of it follows
		stored(4, b1, "b"), cut(5, b2, "b"), // the deployment is full
	})
}

// logRace appends from several servers at a time. A reader who goes on from the last place he has seen sees every chunk.
func logRace(t *testing.T, s store.Store) {
	const chunks = 20
	hosts := names("h", 4)
	started(t, s, "d-1", hosts...)
	var writing sync.WaitGroup
	for _, host := range hosts {
		writing.Go(func() {
			for seq := range int64(chunks) {
				if err := s.AppendLog(t.Context(), []store.LogChunk{chunkOf(host, seq+1)}, plenty); err != nil {
					t.Error(err)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { writing.Wait(); close(ended) }()
	after, last := int64(0), false
	for !last {
		select {
		case <-ended:
			last = true
		default:
		}
		for _, c := range logOf(t, s, store.LogFilter{After: after}) {
			if c.Place != after+1 {
				t.Fatalf("place %d after %d", c.Place, after)
			}
			after = c.Place
		}
	}
	same(t, "chunks seen", after, int64(chunks*len(hosts)))
}

func logGoesWithItsDeployment(t *testing.T, s store.Store) {
	started(t, s, "d-1", "a")
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{chunkOf("a", 1)}, plenty))
	ok(t, s.DeleteApplication(t.Context(), "app"))
	same(t, "log of a deleted deployment", len(logOf(t, s, store.LogFilter{})), 0)
	ok(t, s.AppendLog(t.Context(), []store.LogChunk{chunkOf("a", 2)}, plenty))
	same(t, "log after a late update", len(logOf(t, s, store.LogFilter{})), 0)
}
