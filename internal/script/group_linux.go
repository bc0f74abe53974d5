package script

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Announce returns the identity of a group that does not exist yet.
func Announce() (Group, error) {
	boot, err := bootID()
	if err != nil {
		return Group{}, fmt.Errorf("announce a process group: %w", err)
	}
	session, err := unix.Getsid(0)
	if err != nil {
		return Group{}, fmt.Errorf("announce a process group: %w", err)
	}
	return Group{BootID: boot, ID: rand.Text(), Session: session}, nil
}

// Identify returns g with what tells the group whose leader is pgid from all others. It fails with an error that is
// fs.ErrNotExist when the leader has already ended.
func (g Group) Identify(pgid int) (Group, error) {
	boot, err := bootID()
	if err != nil {
		return Group{}, fmt.Errorf("identify process group %d: %w", pgid, err)
	}
	leader, err := readStat(pgid)
	if err != nil {
		return Group{}, fmt.Errorf("identify process group %d: %w", pgid, err)
	}
	g.PGID, g.BootID, g.StartTime = pgid, boot, leader.start
	return g, nil
}

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// Kill ends the group (TERM, grace, KILL) if it is still the one that was identified or announced, and reports whether it
// was. Where the leader of an identified group is gone, each of its processes must be in the session and carry the ID. If
// the boot or all that differ, nothing is signalled and the answer is false without an error. A grace of 0 is DefaultGrace.
func (g Group) Kill(grace time.Duration) (bool, error) {
	if grace <= 0 {
		grace = DefaultGrace
	}
	pgid, err := g.find()
	switch {
	case err != nil:
		return false, err
	case pgid == 0:
		return g.killOrphans(grace)
	case pgid == syscall.Getpgrp():
		return false, fmt.Errorf("process group %d on record is the agent's own; nothing was ended", pgid)
	case !endGroup(pgid, grace):
		return true, fmt.Errorf("process group %d still runs after KILL", pgid)
	}
	return true, nil
}

// killOrphans ends what a leader has left that died with the agent, of a signal when its output broke off, or at an
// earlier Kill that did not get to its end.
func (g Group) killOrphans(grace time.Duration) (bool, error) {
	if boot, err := bootID(); err != nil || boot != g.BootID || g.ID == "" || g.PGID <= 1 || g.PGID == syscall.Getpgrp() {
		return false, err
	}
	if n, err := g.signalOrphans(syscall.SIGTERM); err != nil || n == 0 {
		return false, err
	}
	gone := func() bool { n, err := g.signalOrphans(0); return err == nil && n == 0 }
	if waitUntil(gone, grace) {
		return true, nil
	}
	killed := func() bool { n, err := g.signalOrphans(syscall.SIGKILL); return err == nil && n == 0 }
	if !waitUntil(killed, grace) {
		return true, fmt.Errorf("processes of group %d still run after KILL", g.PGID)
	}
	return true, nil
}

// signalOrphans signals each process of the group that is in its session and carries its ID, and returns how many there are.
func (g Group) signalOrphans(signal syscall.Signal) (n int, err error) {
	err = eachProcess(func(p process) bool {
		if p.pgid != g.PGID || p.session != g.Session || !carries(p.pid, g.ID) {
			return true
		}
		handle, err := os.FindProcess(p.pid)
		if err != nil {
			return true
		}
		defer handle.Release()
		if again, err := readStat(p.pid); err == nil && again == p { // so the handle is that process's, not of a new one with its number
			n++
			_ = handle.Signal(signal) // what it does not reach is counted again
		}
		return true
	})
	return n, err
}

// find returns the number of the group, 0 when its leader does not run.
func (g Group) find() (int, error) {
	switch {
	case g.PGID == 0 && g.ID != "":
		return g.findAnnounced()
	case g.PGID <= 1:
		return 0, nil // a damaged file must not make us signal every process (-1) or our own group (0)
	}
	now, err := g.Identify(g.PGID)
	if errors.Is(err, fs.ErrNotExist) || err == nil && now != g {
		return 0, nil
	}
	return g.PGID, err
}

// findAnnounced looks through all processes for the leader of a group that was announced but never identified. Scripts start
// jobs in groups of their own, so the oldest is it.
func (g Group) findAnnounced() (int, error) {
	boot, err := bootID()
	if err != nil || boot != g.BootID {
		return 0, err
	}
	var leader process
	err = eachProcess(func(p process) bool {
		isLeader := p.pid == p.pgid && p.session == g.Session && p.pid != os.Getpid() && carries(p.pid, g.ID)
		if isLeader && (leader.pid == 0 || p.start < leader.start) {
			leader = p
		}
		return true
	})
	return leader.pid, err
}

// carries reports whether the process was started with this ID in its environment.
func carries(pid int, id string) bool {
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+marker+"="+id+"\x00"))
}

// groupRuns reports whether a process of the group runs. Zombies do not count: where process 1 reaps slowly or never, as in
// many containers, they would make every ended group look alive.
func groupRuns(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return false
	}
	runs := false
	err := eachProcess(func(p process) bool {
		runs = p.pgid == pgid
		return !runs
	})
	return runs || err != nil
}

// process is what we need of /proc/PID/stat.
type process struct {
	pid, pgid, session int
	start              uint64 // clock ticks since boot
}

// eachProcess calls visit with every process that is no zombie, until it returns false. Processes that end meanwhile are
// left out.
func eachProcess(visit func(process) bool) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if p, err := readStat(pid); err == nil && !visit(p) {
			return nil
		}
	}
	return nil
}

// readStat reads fields 3, 5, 6 and 22 of /proc/PID/stat. A process that is gone or a zombie is fs.ErrNotExist. The name in
// field 2 may hold blanks and parentheses, so counting starts after the last parenthesis.
func readStat(pid int) (process, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, syscall.ESRCH) { // it ended between open and read
		return process{}, fs.ErrNotExist
	}
	if err != nil {
		return process{}, err
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // from the third on
	const state, pgrp, session, start = 0, 2, 3, 19
	if len(fields) <= start {
		return process{}, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return process{}, fs.ErrNotExist
	}
	p := process{pid: pid}
	_, err = fmt.Sscan(fields[pgrp]+" "+fields[session]+" "+fields[start], &p.pgid, &p.session, &p.start)
	return p, err
}
