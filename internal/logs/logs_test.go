package logs_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/logs"
	"grapnel/internal/store"
)

// rows is a store of the log of deployment d-1; package sqlstore's tests look at real ones.
type rows struct {
	mu      sync.Mutex
	chunks  []store.LogChunk
	batches []int
	append  func() error // before chunks are stored
}

func (r *rows) AppendLog(_ context.Context, chunks []store.LogChunk, _ store.LogLimits) error {
	if r.append != nil {
		if err := r.append(); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches = append(r.batches, len(chunks))
	for _, c := range chunks {
		c.Place, c.Target, c.Event = int64(len(r.chunks)+1), "web-1", "Install"
		r.chunks = append(r.chunks, c)
	}
	return nil
}

func (r *rows) LogChunks(_ context.Context, f store.LogFilter) ([]store.LogChunk, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.chunks[min(f.After, int64(len(r.chunks))):], nil
}

func (r *rows) Deployment(_ context.Context, id string) (d store.Deployment, err error) {
	if id != "d-1" {
		err = store.ErrNotFound
	}
	return d, err
}

func anybody(context.Context, string) error { return nil }

// run runs a service in a bubble until the test ends.
func run(t *testing.T, r *rows) *logs.Service {
	s := logs.New(logs.Options{Store: r, Authorize: anybody, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	return s
}

func chunk(text string) store.LogChunk {
	return store.LogChunk{Work: "w", Seq: 1, Lines: []awsapi.LogLine{{Text: text}}}
}

// read returns the texts of the next part of the log, and how long it took to get it.
func read(t *testing.T, s *logs.Service, after int64, wait time.Duration) (texts []string, took time.Duration) {
	t.Helper()
	start := time.Now()
	out, err := s.GetDeploymentLog(t.Context(), &awsapi.GetDeploymentLogInput{
		DeploymentId: new("d-1"), After: after, WaitMilliseconds: wait.Milliseconds(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range out.Chunks {
		for _, l := range c.Lines {
			texts = append(texts, c.Host+" "+c.Event+" "+l.Text)
		}
	}
	if out.After != after+int64(len(out.Chunks)) {
		t.Errorf("after %d: goes on after %d with %d chunks", after, out.After, len(out.Chunks))
	}
	return texts, time.Since(start)
}

func TestAReaderIsWokenByOutput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := run(t, &rows{})
		go func() {
			time.Sleep(700 * time.Millisecond)
			if err := s.Append(t.Context(), "d-1", chunk("one")); err != nil {
				t.Error(err)
			}
		}()
		got, took := read(t, s, 0, time.Hour)
		if diff := cmp.Diff([]string{"web-1 Install one"}, got); diff != "" || took != 700*time.Millisecond {
			t.Errorf("after %s (-want +got):\n%s", took, diff)
		}
		for wait, want := range map[time.Duration]time.Duration{0: 0, 300 * time.Millisecond: 300 * time.Millisecond, time.Hour: 20 * time.Second} {
			if got, took := read(t, s, 1, wait); len(got) != 0 || took != want {
				t.Errorf("waiting %s: got %q after %s, want nothing after %s", wait, got, took, want)
			}
		}
	})
}

// TestOutputThatAnotherServerStored is on the store, but nobody rings here.
func TestOutputThatAnotherServerStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rows{}
		s := run(t, r)
		go func() {
			time.Sleep(1500 * time.Millisecond)
			if err := r.AppendLog(t.Context(), []store.LogChunk{chunk("one")}, store.LogLimits{}); err != nil {
				t.Error(err)
			}
		}()
		if got, took := read(t, s, 0, 20*time.Second); len(got) != 1 || took != 2*time.Second {
			t.Errorf("got %q after %s, want the line after 2s", got, took)
		}
	})
}

// TestAFloodIsStoredInBatchesAndRefusedBeyond: one write at a time, and no more waits than has a place.
func TestAFloodIsStoredInBatchesAndRefusedBeyond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		writing := 0
		r := &rows{append: func() error {
			if writing++; writing > 1 {
				t.Error("two writes at a time")
			}
			time.Sleep(time.Second)
			writing--
			return nil
		}}
		s := run(t, r)
		var stored, busy int
		var mu sync.Mutex
		var sending sync.WaitGroup
		for range 1000 {
			sending.Go(func() {
				err := s.Append(t.Context(), "d-1", chunk("x"))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					stored++
				case errors.Is(err, logs.ErrBusy):
					busy++
				default:
					t.Error(err)
				}
			})
		}
		sending.Wait()
		if stored < 512 || stored > 600 || stored+busy != 1000 || len(r.chunks) != stored {
			t.Errorf("%d stored, %d refused, %d in the store", stored, busy, len(r.chunks))
		}
		for _, n := range r.batches {
			if n > 64 {
				t.Errorf("a write of %d chunks", n)
			}
		}
	})
}

func TestTroubleOfTheStoreIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		s := run(t, &rows{append: func() error { return full }})
		if err := s.Append(t.Context(), "d-1", chunk("x")); !errors.Is(err, full) {
			t.Errorf("got %v, want %v", err, full)
		}
	})
}

// TestStopping stores what waits, and lets held requests return.
func TestStopping(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &rows{append: func() error { time.Sleep(time.Second); return nil }}
		s := logs.New(logs.Options{Store: r, Authorize: anybody, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		sent := make(chan error, 2)
		for range 2 {
			go func() { sent <- s.Append(t.Context(), "d-1", chunk("x")) }()
			synctest.Wait() // the second comes while the first is written
		}
		go func() { time.Sleep(500 * time.Millisecond); stop() }()
		if _, took := read(t, s, 9, 20*time.Second); took != 2*time.Second {
			t.Errorf("a held request returned after %s, want when all is stored", took)
		}
		if err := errors.Join(<-sent, <-sent, <-ended); err != nil || len(r.chunks) != 2 {
			t.Errorf("%v with %d chunks stored, want both", err, len(r.chunks))
		}
		if err := s.Append(t.Context(), "d-1", chunk("x")); !errors.Is(err, logs.ErrBusy) {
			t.Errorf("after the end: %v, want ErrBusy", err)
		}
	})
}

func TestWhatIsCutIsSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := run(t, &rows{chunks: []store.LogChunk{{Place: 1, Target: "web-1", Event: "Install", Cut: true}}})
		if got, _ := read(t, s, 0, 0); len(got) != 1 || !strings.Contains(got[0], "at most 10 MiB of an event") {
			t.Errorf("got %q", got)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := logs.New(logs.Options{Store: &rows{}, Authorize: anybody})
	for want, in := range map[string]awsapi.GetDeploymentLogInput{
		awsapi.DeploymentIdRequiredException:   {},
		awsapi.DeploymentDoesNotExistException: {DeploymentId: new("d-2")},
		awsapi.InvalidInputException:           {DeploymentId: new("d-1"), After: -1},
	} {
		_, err := s.GetDeploymentLog(t.Context(), &in)
		var refused *awsjson.Error
		if !errors.As(err, &refused) || refused.Name != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
