package agent

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"grapnel/internal/agent/logfile"
)

// The pages of the running program are given up, and the program goes on. What is written or copied stays.
func TestMemoryGoesBack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	giveMemoryBack(logfile.NewLogger(&out, "codedeploy-agent", true))
	if out.Len() > 0 {
		t.Errorf("the log says %q", out.String())
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Address 0x1 is never mapped at a page's start: madvise fails where it is asked to give a mapping up.
	for mapping, given := range map[string]bool{
		"1-2 r-xp 0 0:0 1 " + self + "\nAnonymous: 0 kB\n":         true,
		"1-2 r--p 0 0:0 1 " + self + "\nAnonymous: 4 kB\n":         false, // relocated
		"1-2 rw-p 0 0:0 1 " + self + "\nAnonymous: 0 kB\n":         false,
		"1-2 r-xp 0 0:0 1 /usr/lib/libc.so.6\nAnonymous: 0 kB\n":   false,
		"1-2 rw-p 0 0:0 0 [heap]\nRss: 8 kB\nAnonymous:    0 kB\n": false,
	} {
		if err := unmapProgram(strings.NewReader(mapping)); (err != nil) != given {
			t.Errorf("%q: %v, want it given up: %v", mapping, err, given)
		}
	}
}
