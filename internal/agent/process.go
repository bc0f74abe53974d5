package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process identifies the leader of a process group beyond doubt: numbers are used again, but not with the same start time
// in the same boot.
type process struct {
	Group     int    `json:"process_group"`
	BootID    string `json:"boot_id"`
	StartTime string `json:"start_time"` // clock ticks since boot, as in /proc/<pid>/stat
}

// identify describes the process that leads a group and has its number.
func identify(group int) (process, error) {
	boot, err := bootID()
	if err != nil {
		return process{}, err
	}
	stat, err := readStat(strconv.Itoa(group))
	if err != nil {
		return process{}, fmt.Errorf("cannot tell when a script started: %w", err)
	}
	return process{Group: group, BootID: boot, StartTime: stat.startTime}, nil
}

func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// running reports whether the group's leader is still the same process. If it has ended, what it left behind may be the
// very program that it was to start, and nothing tells the group from another.
func (p process) running() bool {
	now, err := identify(p.Group)
	if err != nil || now != p {
		return false
	}
	stat, err := readStat(strconv.Itoa(p.Group))
	return err == nil && stat.group == p.Group && stat.alive()
}

// orphanGrace is the time between TERM and KILL.
const orphanGrace = 5 * time.Second

// end ends the whole group: TERM, grace, KILL.
func (p process) end() error {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := syscall.Kill(-p.Group, signal); errors.Is(err, syscall.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("cannot end process group %d: %w", p.Group, err)
		}
		if waitUntil(orphanGrace, func() bool { return !groupAlive(p.Group) }) {
			return nil
		}
	}
	return fmt.Errorf("process group %d is still there after KILL", p.Group)
}

// waitUntil asks for a condition for at most d. The kernel tells nobody but the parent that a process ended, so there is
// nothing to wait on.
func waitUntil(d time.Duration, condition func() bool) bool {
	const pause = 20 * time.Millisecond
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(pause) {
		if condition() {
			return true
		}
	}
	return condition()
}

// groupAlive passes over zombies: their parent may never collect them, in a container without init for example.
func groupAlive(group int) bool {
	pids, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return false
	}
	for _, path := range pids {
		if stat, err := readStat(filepath.Base(path)); err == nil && stat.group == group && stat.alive() {
			return true
		}
	}
	return false
}

// procStat is the part of /proc/<pid>/stat that matters here (proc(5)).
type procStat struct {
	state     string
	group     int
	startTime string
}

func (s procStat) alive() bool { return s.state != "Z" && s.state != "X" }

func readStat(pid string) (procStat, error) {
	data, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return procStat{}, err
	}
	// The second field is the name in parentheses, which may hold anything, also parentheses and spaces.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	const state, group, startTime = 3 - 3, 5 - 3, 22 - 3 // field numbers of proc(5), from the third on
	if len(fields) <= startTime {
		return procStat{}, fmt.Errorf("/proc/%s/stat is too short", pid)
	}
	pgrp, err := strconv.Atoi(fields[group])
	if err != nil {
		return procStat{}, fmt.Errorf("/proc/%s/stat: %w", pid, err)
	}
	return procStat{state: fields[state], group: pgrp, startTime: fields[startTime]}, nil
}
