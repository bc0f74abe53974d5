package logfile

import (
	"bytes"
	"log/slog"
	"regexp"
	"testing"
	"time"
)

// agent.md 16: 200
func TestLogLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := NewLogger(&out, "codedeploy-agent", false)
	log.Debug("unseen")
	log.With(slog.String("id", "c-1")).Warn("two\nlines", slog.Duration("after", 1234567*time.Microsecond))
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d WARN  \[codedeploy-agent\(\d+\)\]: two\n  lines id="c-1" after="1.235s"\n$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got %q, want %v", out.String(), want)
	}
}
