package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processes are those of one agent: a stock agent is two, each forked from the other.
type processes []int

// processesOf returns a process and all below it.
func processesOf(b *testing.B, pid int) processes {
	b.Helper()
	all := processes{pid}
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	check(b, err)
	for _, task := range tasks {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		if err != nil {
			continue // a thread that has ended
		}
		for child := range strings.FieldsSeq(string(children)) {
			n, err := strconv.Atoi(child)
			check(b, err)
			all = append(all, processesOf(b, n)...)
		}
	}
	return all
}

// sum adds up a field of a file of /proc, given in kB, over all processes, and returns megabytes.
func (p processes) sum(b *testing.B, file, field string) float64 {
	b.Helper()
	total := 0
	for _, pid := range p {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		check(b, err)
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, field+":"); ok {
				kilobytes, err := strconv.Atoi(strings.Fields(rest)[0])
				check(b, err)
				total += kilobytes
			}
		}
	}
	return float64(total) / 1024
}

// memory is in megabytes.
type memory struct{ rss, pss, anonymous, file float64 }

func (p processes) memory(b *testing.B) memory {
	b.Helper()
	return memory{
		rss:       p.sum(b, "status", "VmRSS"),
		pss:       p.sum(b, "smaps_rollup", "Pss"),
		anonymous: p.sum(b, "status", "RssAnon"),
		file:      p.sum(b, "status", "RssFile"),
	}
}

// peak is the most memory since forgetPeak.
func (p processes) peak(b *testing.B) float64 {
	b.Helper()
	return p.sum(b, "status", "VmHWM")
}

func (p processes) forgetPeak(b *testing.B) {
	b.Helper()
	for _, pid := range p {
		check(b, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0))
	}
}

// tick is the unit of the times in /proc/PID/stat, the same on every architecture that Go runs on.
const tick = time.Second / 100

// cpu is the time that the processes have used; their scripts are not counted.
func (p processes) cpu(b *testing.B) time.Duration {
	b.Helper()
	total := 0
	for _, pid := range p {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		check(b, err)
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:])) // from the third on
		for _, field := range fields[11:13] {                                               // utime and stime
			n, err := strconv.Atoi(field)
			check(b, err)
			total += n
		}
	}
	return time.Duration(total) * tick
}
