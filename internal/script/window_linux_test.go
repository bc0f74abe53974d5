package script

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crash runs a crashing agent with a script, and returns what was on record and the numbers that the script wrote to $FIFO.
func crash(t *testing.T, script string) (Group, []int) {
	t.Helper()
	dir := t.TempDir()
	fifo, record := filepath.Join(dir, "fifo"), filepath.Join(dir, "record")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	agent := exec.Command(os.Args[0])
	agent.Env = append(os.Environ(), childCase+"=crashing-agent", "FIFO="+fifo, "RECORD="+record, "SCRIPT="+shell(t, "hook.sh", script).Path)
	if err := agent.Run(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the agent ended with %v, want killed", err)
	}
	said, err := os.ReadFile(fifo) // waits until the script opens it
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for field := range strings.FieldsSeq(string(said)) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
		pids = append(pids, pid)
	}
	stored, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	var g Group
	if err := json.Unmarshal(stored, &g); err != nil {
		t.Fatal(err)
	}
	return g, pids
}

// runs reports whether the process runs.
func runs(pid int) bool {
	_, err := readStat(pid)
	return err == nil
}

// An agent that is killed right after it has started a script leaves a script that it has no number of on record. The next
// start must find and end it, with what belongs to it, and must spare a daemon that it has started.
//
// agent.md 17: 6
func TestKillBetweenStartAndRecordLeavesNoOrphan(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid is not installed; apt-get install util-linux")
	}
	g, pids := crash(t, `#!/bin/sh
sleep 60 > /dev/null 2>&1 &
child=$!
setsid sleep 60 > /dev/null 2>&1 &
daemon=$!
while [ "$(cut -d ' ' -f 6 /proc/$daemon/stat)" != $daemon ]; do :; done
echo $$ $child $daemon > "$FIFO"
wait
`)
	script, child, daemon := pids[0], pids[1], pids[2]
	for name, other := range map[string]Group{
		"another boot":    {BootID: "00000000-0000-0000-0000-000000000000", ID: g.ID, Session: g.Session},
		"another ID":      {BootID: g.BootID, ID: g.ID[1:], Session: g.Session},
		"another session": {BootID: g.BootID, ID: g.ID, Session: g.Session + 1},
		"no ID":           {BootID: g.BootID, Session: g.Session},
	} {
		if killed, err := other.Kill(time.Millisecond); killed || err != nil {
			t.Errorf("%s: Kill = %v, %v", name, killed, err)
		}
	}
	if !runs(script) || !runs(child) {
		t.Fatal("the script was ended for another")
	}
	if killed, err := g.Kill(10 * time.Second); !killed || err != nil {
		t.Errorf("Kill = %v, %v", killed, err)
	}
	if runs(script) || runs(child) {
		t.Error("the orphan runs on")
	}
	if !runs(daemon) {
		t.Error("the daemon was ended")
	}
	if killed, err := g.Kill(time.Millisecond); killed || err != nil {
		t.Errorf("second Kill = %v, %v", killed, err)
	}
}

// A script that ended by itself while there was no agent may have left the application that it was there to start, in its
// own group as "nohup java &" does.
func TestWhatAnEndedScriptLeftIsSpared(t *testing.T) {
	t.Parallel()
	g, pids := crash(t, `#!/bin/sh
sleep 60 > /dev/null 2>&1 &
echo $$ $! > "$FIFO"
`)
	script, application := pids[0], pids[1]
	for deadline := time.Now().Add(30 * time.Second); runs(script); {
		if time.Now().After(deadline) {
			t.Fatal("the script does not end")
		}
	}
	if killed, err := g.Kill(time.Millisecond); killed || err != nil {
		t.Errorf("Kill = %v, %v", killed, err)
	}
	if !runs(application) {
		t.Error("the application was ended")
	}
}

// A script may die with the agent, of a signal when its output pipe breaks, or of the TERM of a start that is killed in its
// turn, and leave processes that hold on. The record of the group still finds them by what the script gave them. A daemon has
// left the session; a process without the ID is somebody else's.
//
// agent.md 17: 6
func TestOrphansOfADeadLeaderAreEnded(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("setsid is not installed; apt-get install util-linux")
	}
	g, pids := crash(t, `#!/bin/sh
(trap '' TERM; exec sleep 60) > /dev/null 2>&1 &
child=$!
env -u CODEDEPLOY_HOOK_ID sleep 60 > /dev/null 2>&1 &
other=$!
while tr '\0' '\n' < /proc/$other/environ | grep -q CODEDEPLOY_HOOK_ID=; do :; done
setsid sleep 60 > /dev/null 2>&1 &
daemon=$!
while [ "$(cut -d ' ' -f 6 /proc/$daemon/stat)" != $daemon ]; do :; done
echo $$ $child $other $daemon > "$FIFO"
wait
`)
	leader, child, other, daemon := pids[0], pids[1], pids[2], pids[3]
	g, err := g.Identify(leader)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(leader, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); runs(leader); {
		if time.Now().After(deadline) {
			t.Fatal("the script does not end")
		}
	}
	for name, change := range map[string]func(*Group){
		"another boot":    func(g *Group) { g.BootID = "00000000-0000-0000-0000-000000000000" },
		"another ID":      func(g *Group) { g.ID = g.ID[1:] },
		"no ID":           func(g *Group) { g.ID = "" },
		"another session": func(g *Group) { g.Session++ },
		"another group":   func(g *Group) { g.PGID = 1 << 30 },
	} {
		wrong := g
		change(&wrong)
		if killed, err := wrong.Kill(time.Millisecond); killed || err != nil {
			t.Errorf("%s: Kill = %v, %v", name, killed, err)
		}
	}
	if !runs(child) {
		t.Fatal("the orphan was ended for another")
	}
	if killed, err := g.Kill(300 * time.Millisecond); !killed || err != nil || runs(child) {
		t.Errorf("Kill = %v, %v, the orphan runs: %v", killed, err, runs(child))
	}
	if !runs(other) || !runs(daemon) {
		t.Errorf("what is not the script's runs: %v, the daemon runs: %v", runs(other), runs(daemon))
	}
	if killed, err := g.Kill(time.Millisecond); killed || err != nil {
		t.Errorf("second Kill = %v, %v", killed, err)
	}
}

// A script started by hand from a hook's environment carries its ID, and belongs to whoever runs it.
func TestOwnGroupIsNeverEnded(t *testing.T) {
	t.Parallel()
	own, err := Group{}.Identify(syscall.Getpgrp())
	if err != nil {
		t.Skipf("the leader of the tests' group has ended: %v", err)
	}
	if killed, err := own.Kill(time.Millisecond); killed || err == nil || !strings.Contains(err.Error(), fmt.Sprint(own.PGID)) {
		t.Errorf("Kill = %v, %v", killed, err)
	}
}
