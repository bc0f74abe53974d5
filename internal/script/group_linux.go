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

// Identify returns the identity of the process group whose leader is pgid. It fails with an error that is fs.ErrNotExist
// when the leader has already ended.
func Identify(pgid int) (Group, error) { return Group{}.Identify(pgid) }

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
// was. If the boot, the leader or the leader's start differ, or no leader carries the ID, nothing is signalled and the answer
// is false without an error. A grace of 0 is DefaultGrace.
func (g Group) Kill(grace time.Duration) (bool, error) {
	pgid, err := g.find()
	if err != nil || pgid == 0 {
		return false, err
	}
	if pgid == syscall.Getpgrp() {
		return false, fmt.Errorf("process group %d on record is the agent's own; nothing was ended", pgid)
	}
	if grace <= 0 {
		grace = DefaultGrace
	}
	if !endGroup(pgid, grace) {
		return true, fmt.Errorf("process group %d still runs after KILL", pgid)
	}
	return true, nil
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
