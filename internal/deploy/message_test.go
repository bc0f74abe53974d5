package deploy

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"grapnel/internal/lifecycle"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		give Failure
		want string
	}{
		{"exit code and last stderr line", Failure{Event: lifecycle.AfterInstall, Diagnostics: Diagnostics{
			ErrorCode: "ScriptFailed", ScriptName: "scripts/x.sh",
			Message: "Script at specified location: scripts/x.sh run as user app failed with exit code 127",
			LogTail: "LifecycleEvent - AfterInstall\nScript - scripts/x.sh\n[stderr]node: not found\n[stderr] \n[stdout]bye\n",
		}}, "AfterInstall scripts/x.sh exit 127: node: not found"},
		{"stdout when stderr is empty", Failure{Event: lifecycle.Install, Diagnostics: Diagnostics{
			ErrorCode: "ScriptFailed", Message: "exit code 3", LogTail: "2026-03-01 12:00:00 [stdout]no licence",
		}}, "Install exit 3: no licence"},
		{"a signal has no exit code", Failure{Event: lifecycle.Install, Diagnostics: Diagnostics{
			ErrorCode: "ScriptFailed", ScriptName: "a.sh", Message: "Script a.sh failed with exit code ",
		}}, "Install a.sh ScriptFailed: Script a.sh failed with exit code"},
		{"lines are joined", Failure{Event: lifecycle.Install, Diagnostics: Diagnostics{
			ErrorCode: "UnknownError", Message: "disk full.\n  Free some.",
		}}, "Install UnknownError: disk full. Free some"},
		{"nothing reported", Failure{Event: lifecycle.Install}, "Install"},
		{"silence", Failure{Event: lifecycle.Install, AgentIssue: true, Diagnostics: Diagnostics{Message: "last seen at noon"}},
			"Install no answer from the agent"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.give.summary(maxReason); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// TestMessageIsBounded fails a thousand hosts for a thousand reasons of two thousand bytes each.
func TestMessageIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(onePhase(1000, Health{HostCount, 0}, lifecycle.Install), Facts{})
	s := w.load()
	if err := w.commit(s, Decide(s, w.now)); err != nil {
		t.Fatal(err)
	}
	for i, work := range w.openWork() {
		message := fmt.Sprint(i, strings.Repeat("é", 1000))
		w.complete(work, WorkFailed, Diagnostics{ErrorCode: "UnknownError", Message: message, LogTail: "[stderr]" + message})
	}
	d := Decide(w.load(), w.now.Add(time.Second))
	if d.Status != Failed || !strings.HasPrefix(d.Why.Message, tooMany) {
		t.Errorf("got %s %q", d.Status, d.Why.Message)
	}
	if n := len(d.Why.Message); n > maxMessage || !utf8.ValidString(d.Why.Message) {
		t.Errorf("message of %d bytes, want at most %d of valid UTF-8", n, maxMessage)
	}
	if !strings.Contains(d.Why.Message, "995 other kinds of failure") {
		t.Errorf("the rest is not counted: %q", d.Why.Message)
	}
}
