package script

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Identify returns the identity of the process group whose leader is pgid. It fails with an error that is fs.ErrNotExist
// when the leader has already ended.
func Identify(pgid int) (Group, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Group{}, fmt.Errorf("identify process group %d: %w", pgid, err)
	}
	leader, err := readStat(pgid)
	if err != nil {
		return Group{}, fmt.Errorf("identify process group %d: %w", pgid, err)
	}
	return Group{PGID: pgid, BootID: strings.TrimSpace(string(boot)), StartTime: leader.start}, nil
}

// Kill ends the group (TERM, grace, KILL) if it is still the one that was identified, and reports whether it was. If the
// boot, the leader or the leader's start differ, nothing is signalled and the answer is false without an error. A grace of 0
// is DefaultGrace.
func (g Group) Kill(grace time.Duration) (bool, error) {
	if g.PGID <= 1 {
		return false, nil // a damaged file must not make us signal every process (-1) or our own group (0)
	}
	now, err := Identify(g.PGID)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if now != g {
		return false, nil
	}
	if grace <= 0 {
		grace = DefaultGrace
	}
	if !endGroup(g.PGID, grace) {
		return true, fmt.Errorf("process group %d still runs after KILL", g.PGID)
	}
	return true, nil
}

// groupRuns reports whether a process of the group runs. Zombies do not count: where process 1 reaps slowly or never, as in
// many containers, they would make every ended group look alive.
func groupRuns(pgid int) bool {
	if errors.Is(syscall.Kill(-pgid, 0), syscall.ESRCH) {
		return false
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return true
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.pgid == pgid {
			return true
		}
	}
	return false
}

// stat is what we need of /proc/PID/stat.
type stat struct {
	pgid  int
	start uint64 // clock ticks since boot
}

// readStat reads fields 3, 5 and 22 of /proc/PID/stat. A process that is gone or a zombie is fs.ErrNotExist. The name in field
// 2 may hold blanks and parentheses, so counting starts after the last parenthesis.
func readStat(pid int) (stat, error) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, syscall.ESRCH) { // it ended between open and read
		return stat{}, fs.ErrNotExist
	}
	if err != nil {
		return stat{}, err
	}
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:])) // from the third on
	const state, pgrp, start = 0, 2, 19
	if len(fields) <= start {
		return stat{}, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	if fields[state] == "Z" || fields[state] == "X" {
		return stat{}, fs.ErrNotExist
	}
	var s stat
	_, err = fmt.Sscan(fields[pgrp]+" "+fields[start], &s.pgid, &s.start)
	return s, err
}
