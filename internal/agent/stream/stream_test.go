package stream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/awsapi"
	"grapnel/internal/script"
)

// receiver is a server's end: it keeps what it stored, each update once.
type receiver struct {
	t     *testing.T
	reply func(n int) error // of the n-th call, counted from 1; nil accepts all
	after func(n int) error // when it was stored: the reply is lost

	mu     sync.Mutex
	calls  []time.Time
	bytes  int
	last   int64
	stored []awsapi.UpdateDiagnostics
}

func (r *receiver) send(ctx context.Context, payload string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, time.Now())
	n := len(r.calls)
	if r.reply != nil {
		if err := r.reply(n); err != nil {
			return err
		}
	}
	if len(payload) > awsapi.MaxEnvelopePayload || !utf8.ValidString(payload) {
		r.t.Errorf("a payload of %d bytes", len(payload))
	}
	var update awsapi.UpdateDiagnostics
	if err := json.Unmarshal([]byte(payload), &update); err != nil {
		r.t.Errorf("%v: %s", err, payload)
	}
	r.bytes += len(payload)
	if update.Seq > r.last {
		r.last = update.Seq
		r.stored = append(r.stored, update)
	}
	if r.after != nil {
		return r.after(n)
	}
	return nil
}

// updates returns everything stored.
func (r *receiver) updates() []awsapi.UpdateDiagnostics {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.stored)
}

// lines returns the texts of everything stored.
func (r *receiver) lines() []string {
	var all []string
	for _, update := range r.updates() {
		for _, l := range update.Lines {
			all = append(all, l.Text)
		}
	}
	return all
}

func start(r *receiver, max int64) *Stream {
	return New(Options{Send: r.send, MaxBytes: max, Log: slog.New(slog.DiscardHandler)})
}

func TestLinesArriveWhileTheScriptRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t}
		s := start(r, 1<<20)
		begin := time.Now()
		s.Line("scripts/start.sh", "stdout", []byte("\x1b[32mstarting\x1b[0m"))
		synctest.Wait()
		want := []awsapi.UpdateDiagnostics{{Seq: 1, Lines: []awsapi.LogLine{
			{Time: begin.UnixMilli(), Script: "scripts/start.sh", Stream: "stdout", Text: "starting"},
		}}}
		if diff := cmp.Diff(want, r.updates()); diff != "" {
			t.Fatalf("at once (-want +got):\n%s", diff)
		}
		for i := range 10 {
			time.Sleep(10 * time.Millisecond)
			s.Line("scripts/start.sh", "stderr", fmt.Appendf(nil, "%d <&> \xff", i))
		}
		synctest.Wait()
		if got := r.updates(); len(got) != 1 {
			t.Errorf("%d updates after 100 ms, want one", len(got))
		}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if got := r.updates(); len(got) != 2 || len(got[1].Lines) != 10 || got[1].Lines[9].Text != "9 <&> \uFFFD" {
			t.Errorf("after 200 ms: %+v, want the ten lines in one more", got)
		}
		s.Close(t.Context())
		if since := time.Since(begin); since != 200*time.Millisecond || len(r.updates()) != 2 {
			t.Errorf("closed after %s with %d updates, want at once and no more", since, len(r.updates()))
		}
	})
}

func TestCloseSendsTheRestAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t}
		s := start(r, 1<<20)
		begin := time.Now()
		for i := range 1000 {
			s.Line("a.sh", "stdout", fmt.Appendf(nil, "line %d of a script that ends soon", i))
		}
		s.Close(t.Context())
		if got := r.lines(); len(got) != 1000 || got[999] != "line 999 of a script that ends soon" {
			t.Errorf("%d lines arrived, want all 1000", len(got))
		}
		if since := time.Since(begin); since != 0 {
			t.Errorf("Close took %s, want no rest", since)
		}
		s.Line("a.sh", "stdout", []byte("late")) // a child that is still there
	})
}

func TestALostReplyDoesNotRepeatLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, after: func(n int) error {
			if n == 1 {
				return errors.New("connection reset")
			}
			return nil
		}}
		s := start(r, 1<<20)
		s.Line("a.sh", "stdout", []byte("one"))
		synctest.Wait()
		s.Line("a.sh", "stdout", []byte("two"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"one", "two"}, r.lines()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		s.Close(t.Context())
	})
}

// TestAFastScriptIsNotHeldUp writes 50 MB at once to a server that takes 50 ms for each update.
func TestAFastScriptIsNotHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, reply: func(int) error { time.Sleep(50 * time.Millisecond); return nil }}
		s := start(r, 10<<20)
		begin := time.Now()
		const lines = 100_000
		for i := range lines {
			s.Line("a.sh", "stdout", fmt.Appendf(nil, "%06d %0500d", i, 0))
		}
		if since := time.Since(begin); since != 0 {
			t.Errorf("the script waited %s", since)
		}
		s.mu.Lock()
		if s.pending.size > maxPending {
			t.Errorf("%d bytes are pending, want at most %d", s.pending.size, maxPending)
		}
		s.mu.Unlock()
		s.Close(t.Context())
		got := r.lines()
		if !strings.HasPrefix(got[len(got)-1], "099999") {
			t.Errorf("the last line is %.20q", got[len(got)-1])
		}
		shown := 0
		for _, l := range got {
			var left, bytes int
			if n, _ := fmt.Sscanf(l, "… %d lines (%d bytes)", &left, &bytes); n == 2 {
				shown += left
				if bytes != left*507 {
					t.Errorf("%d bytes in %d lines", bytes, left)
				}
				continue
			}
			shown++
		}
		if shown != lines {
			t.Errorf("%d lines are shown or said to be left out, want %d", shown, lines)
		}
	})
}

func TestUpdatesPerSecond(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		line     int // bytes of one each 5 ms
		min, max int // updates in ten seconds
	}{
		{"few lines", 10, 45, 52},
		{"more than fits", 2000, 180, 202},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{t: t}
				s := start(r, 100<<20)
				for range 2000 {
					s.Line("a.sh", "stdout", []byte(strings.Repeat("x", tt.line)))
					time.Sleep(5 * time.Millisecond)
				}
				synctest.Wait()
				if n := len(r.calls); n < tt.min || n > tt.max {
					t.Errorf("%d updates in 10 s, want %d to %d", n, tt.min, tt.max)
				}
				s.Close(t.Context())
			})
		})
	}
}

func TestAServerThatFailsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	for _, tt := range []struct {
		name  string
		send  func(ctx context.Context, payload string) error
		run   time.Duration // of the script
		calls []time.Duration
		close time.Duration // how long it takes
	}{
		{"refuses", func(context.Context, string) error { return down }, 0, []time.Duration{0, 0}, 0},
		{"wants no more", func(context.Context, string) error { return fmt.Errorf("send: %w", ErrOver) }, time.Minute, []time.Duration{0}, 0},
		{"hangs", func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }, 0, []time.Duration{0, lastSendLimit}, closeLimit},
		{"is away", func(context.Context, string) error { return fmt.Errorf("send: %w", ErrAway) }, 0, nil, awayLimit},
		{"ignores its context", func(context.Context, string) error { time.Sleep(time.Hour); return nil }, 0, []time.Duration{0}, closeLimit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var calls []time.Duration
				s := New(Options{MaxBytes: 1 << 20, Log: slog.New(slog.DiscardHandler), Send: func(ctx context.Context, payload string) error {
					calls = append(calls, time.Since(begin))
					return tt.send(ctx, payload)
				}})
				s.Line("a.sh", "stdout", []byte("one"))
				synctest.Wait()
				time.Sleep(tt.run)
				s.Line("a.sh", "stdout", []byte("two"))
				closed := time.Now()
				s.Close(t.Context())
				if took := time.Since(closed); took != tt.close {
					t.Errorf("Close took %s, want %s", took, tt.close)
				}
				time.Sleep(time.Hour) // for the call that is under way
				if diff := cmp.Diff(tt.calls, calls); tt.calls != nil && diff != "" {
					t.Errorf("calls (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// The script ends while the server restarts: its last lines, which tell why it failed, get there all the same.
func TestTheEndWaitsForAServerThatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		back := time.Now().Add(time.Minute)
		r := &receiver{t: t, reply: func(int) error {
			if time.Now().Before(back) {
				return fmt.Errorf("%w: connection refused", ErrAway)
			}
			return nil
		}}
		s := start(r, 1<<20)
		s.Line("a.sh", "stderr", []byte("why"))
		s.Close(t.Context())
		if diff := cmp.Diff([]string{"why"}, r.lines()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if late := time.Since(back); late < 0 || late > 2*time.Second {
			t.Errorf("Close returned %s after the server was back", late)
		}
	})
}

func TestCloseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := start(&receiver{t: t, reply: func(int) error { time.Sleep(time.Hour); return nil }}, 1<<20)
		s.Line("a.sh", "stdout", []byte("one"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		s.Close(ctx)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Close took %s, want 1s", took)
		}
		time.Sleep(time.Hour) // for the call that is under way
	})
}

// TestThrottled is a server that takes nothing for a while: the same update is sent again after longer and longer pauses.
func TestThrottled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{t: t, reply: func(n int) error {
			if n <= 4 {
				return errors.New("ThrottlingException")
			}
			return nil
		}}
		s := start(r, 1<<20)
		s.Line("a.sh", "stdout", []byte("one"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if diff := cmp.Diff([]string{"one"}, r.lines()); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		for i, least := range []time.Duration{1, 2, 4, 8} {
			if pause := r.calls[i+1].Sub(r.calls[i]); pause < least*time.Second || pause > least*time.Second*5/4 {
				t.Errorf("pause %d is %s, want about %d s", i+1, pause, least)
			}
		}
		s.Close(t.Context())
	})
}

// TestTheEndHasAPlace writes more than may be sent: the beginning and the end arrive, and the limit holds.
func TestTheEndHasAPlace(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1000, 10_000, 200_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &receiver{t: t}
				s := start(r, limit)
				for i := range 10_000 {
					s.Line("a.sh", "stdout", fmt.Appendf(nil, `"line" %d`, i))
					time.Sleep(time.Millisecond)
				}
				s.Close(t.Context())
				got := r.lines()
				if got[0] != `"line" 0` && limit > 1000 || got[len(got)-1] != `"line" 9999` {
					t.Errorf("from %q to %q, want the first and the last", got[0], got[len(got)-1])
				}
				if !strings.Contains(strings.Join(got, "\n"), "left out here") {
					t.Error("nothing says that lines are left out")
				}
				if int64(r.bytes) > limit || int64(r.bytes) < limit/3 {
					t.Errorf("%d bytes were sent, want most of %d", r.bytes, limit)
				}
			})
		})
	}
}

// TestAnyOutputArrives sends what scripts may write, among it lines longer than an update and bytes that are no text.
func TestAnyOutputArrives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		location := rapid.String().Draw(rt, "location")
		lines := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) string {
			return strings.Repeat(rapid.StringOf(rapid.RuneFrom([]rune{'a', 'ä', '"', '\\', 0, 7, '\n', '\u2028', '語'})).Draw(rt, "text"),
				rapid.SampledFrom([]int{1, 3, 1000}).Draw(rt, "times"))
		}), 1, 5).Draw(rt, "lines")
		r := &receiver{t: t}
		var p pending
		all := ""
		for _, l := range lines {
			p.push(1, location, "stdout", []byte(l))
			all += script.Text([]byte(l))
		}
		for seq := int64(1); len(p.lines) > 0; seq++ {
			room := rapid.IntRange(leastRoom, awsapi.MaxEnvelopePayload).Draw(rt, "room")
			payload := p.payload(seq, room)
			if payload == "" || len(payload) > room {
				rt.Fatalf("a payload of %d bytes, room for %d", len(payload), room)
			}
			if err := r.send(t.Context(), payload); err != nil {
				rt.Fatal(err)
			}
		}
		if p.size != 0 {
			rt.Errorf("%d bytes are counted in an empty queue", p.size)
		}
		if got := strings.Join(r.lines(), ""); got != all && p.lost.lines == 0 {
			rt.Errorf("got %q, want %q", got, all)
		}
	})
}
