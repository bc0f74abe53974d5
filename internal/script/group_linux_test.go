package script

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"
)

// startGroup starts the named case as a script and waits until it has written its first line.
func startGroup(t *testing.T, name string) (pgid int, result <-chan Result) {
	t.Helper()
	c := self(t, name)
	c.Timeout = time.Minute
	got := record(t, &c)
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	<-got.wrote
	return got.pgid, done
}

// The orphan of a crashed agent is ended, TERM-proof or not.
func TestGroupKill(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"sleep", "ignore-term"} {
		pgid, done := startGroup(t, name)
		g, err := Group{}.Identify(pgid)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		var loaded Group
		if err := json.Unmarshal(stored, &loaded); err != nil || loaded != g || g.BootID == "" || g.StartTime == 0 {
			t.Errorf("%s: identity %+v became %+v, %v", name, g, loaded, err)
		}
		if killed, err := loaded.Kill(300 * time.Millisecond); !killed || err != nil {
			t.Errorf("%s: Kill = %v, %v", name, killed, err)
		}
		if r := <-done; r.Outcome != Failed || r.Signal == "" {
			t.Errorf("%s: result = %+v, want a signal", name, r)
		}
		if killed, err := loaded.Kill(0); killed || err != nil {
			t.Errorf("%s: second Kill = %v, %v", name, killed, err)
		}
	}
}

// A number that belongs to somebody else by now must not be signalled.
//
// agent.md 17: 6
func TestGroupKillSparesOthers(t *testing.T) {
	t.Parallel()
	pgid, _ := startGroup(t, "sleep")
	g, err := Group{}.Identify(pgid)
	if err != nil {
		t.Fatal(err)
	}
	otherBoot, otherStart := g, g
	otherBoot.BootID = "00000000-0000-0000-0000-000000000000"
	otherStart.StartTime++
	for _, other := range []Group{otherBoot, otherStart, {}, {PGID: -1}, {PGID: 1, BootID: g.BootID}, {PGID: 1 << 30, BootID: g.BootID}} {
		if killed, err := other.Kill(time.Millisecond); killed || err != nil {
			t.Errorf("%+v: Kill = %v, %v", other, killed, err)
		}
	}
	if !groupRuns(pgid) {
		t.Error("the group was ended")
	}
}

// While a script may still be signalled its number must not become another's, also when it has exited and only its output is
// waited for.
func TestNumberOfAnExitedScriptStaysTaken(t *testing.T) {
	t.Parallel()
	c := self(t, "leak-stdout")
	record(t, &c)
	ctx, cancel := context.WithCancel(t.Context())
	r, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Started(r.cmd.Process.Pid)
	r.follow()
	<-r.exited
	entry := fmt.Sprintf("/proc/%d", r.cmd.Process.Pid)
	if _, err := os.Stat(entry); err != nil {
		t.Errorf("the number is free while the script's output is waited for: %v", err)
	}
	cancel()
	r.wait(ctx)
	if _, err := os.Stat(entry); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the number stays taken for ever: %v", err)
	}
}

func TestIdentifyMissing(t *testing.T) {
	t.Parallel()
	if _, err := (Group{}).Identify(1 << 30); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error = %v, want ErrNotExist", err)
	}
}

// The name in /proc/PID/stat is the script's own choice and may look like the fields behind it.
func TestIdentifyReadsStrangeNames(t *testing.T) {
	t.Parallel()
	path := worldReadable(t) + "/a) Z 1 (b"
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho ready\nsleep 60\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := Command{Path: path, Timeout: time.Minute}
	got := record(t, &c)
	done := make(chan Result, 1)
	go func() { done <- Run(t.Context(), c) }()
	<-got.wrote
	g, err := Group{}.Identify(got.pgid)
	if err != nil || g.StartTime == 0 {
		t.Fatalf("Identify = %+v, %v", g, err)
	}
	if killed, err := g.Kill(time.Second); !killed || err != nil {
		t.Errorf("Kill = %v, %v", killed, err)
	}
	<-done
}
