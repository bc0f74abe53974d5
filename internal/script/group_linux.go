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
	start, err := startTime(pgid)
	if err != nil {
		return Group{}, fmt.Errorf("identify process group %d: %w", pgid, err)
	}
	return Group{PGID: pgid, BootID: strings.TrimSpace(string(boot)), StartTime: start}, nil
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
	if endGroup(g.PGID, grace) {
		return true, nil
	}
	if now, err := Identify(g.PGID); err == nil && now == g {
		return true, fmt.Errorf("process group %d is still there after KILL", g.PGID)
	}
	return true, nil // what is left are zombies that nobody reaps, as in a container without an init
}

// startTime reads field 22 of /proc/PID/stat. The name in field 2 may hold blanks and parentheses, so counting starts after
// the last parenthesis. A zombie counts as ended.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, syscall.ESRCH) { // it ended between open and read
		return 0, fs.ErrNotExist
	}
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, start = 3 - 3, 22 - 3 // the first field here is the third of the line
	if len(fields) <= start {
		return 0, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	if fields[state] == "Z" {
		return 0, fs.ErrNotExist
	}
	return strconv.ParseUint(fields[start], 10, 64)
}
