package script

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxHolders bounds the list of processes in one message.
const maxHolders = 10

// holders lists the processes, except our own, that have the other end of pipe open. Processes that we may not look into
// are left out.
func holders(pipe *os.File) []string {
	info, err := pipe.Stat()
	if err != nil {
		return nil
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	target := fmt.Sprintf("pipe:[%d]", stat.Ino)
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []string
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() || !holds(p.Name(), target) {
			continue
		}
		found = append(found, fmt.Sprintf("%s (%d)", processName(p.Name()), pid))
		if len(found) == maxHolders {
			break
		}
	}
	return found
}

// holds reports whether one of the process's open files is target.
func holds(pid, target string) bool {
	dir := filepath.Join("/proc", pid, "fd")
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, f := range files {
		if link, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && link == target {
			return true
		}
	}
	return false
}

// processName returns the name of a process as ps shows it, "?" when it has just ended.
func processName(pid string) string {
	name, err := os.ReadFile(filepath.Join("/proc", pid, "comm"))
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(name))
}
