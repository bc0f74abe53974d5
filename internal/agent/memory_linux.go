package agent

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// giveMemoryBack makes this process small until it has work again: free memory goes back to the kernel, and so do the pages
// of the program itself. Starting and deploying touch nearly all of the program, waiting for a poll about a third; what is
// needed comes back from the page cache when it is touched (docs/design/agent-memory.md has the figures).
func giveMemoryBack(log *slog.Logger) {
	debug.FreeOSMemory()
	file, err := os.Open("/proc/self/smaps")
	if err == nil {
		defer file.Close()
		err = unmapProgram(file)
	}
	if err != nil {
		log.Debug("the program's pages stay in memory", slog.Any("error", err))
	}
}

// unmapProgram gives up the pages of mappings that hold nothing but what is in the program's file: they cannot be written, and
// no page is a private copy, as relocated data would be.
func unmapProgram(smaps io.Reader) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var start, end uintptr // of a mapping that may be given up, 0 for others
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		line := lines.Bytes()
		var from, to uintptr
		var mode string
		if n, _ := fmt.Sscanf(string(line), "%x-%x %s", &from, &to, &mode); n == 3 {
			start = 0
			if mode[1] == '-' && bytes.HasSuffix(line, []byte(" "+self)) {
				start, end = from, to
			}
			continue
		}
		if start == 0 || !bytes.HasPrefix(line, []byte("Anonymous:")) {
			continue
		}
		if copied := bytes.TrimSpace(line[len("Anonymous:"):]); string(copied) == "0 kB" {
			if _, _, errno := unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED); errno != 0 {
				return fmt.Errorf("madvise: %w", errno)
			}
		}
	}
	return lines.Err()
}
