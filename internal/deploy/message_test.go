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

// TestWhatIsSaid looks for words that a message must have, or must not.
func TestWhatIsSaid(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	plan := Plan{Phases: []Phase{{
		Targets: []string{"h1"}, Health: Health{HostCount, 0},
		Steps: []Step{{Event: lifecycle.ApplicationStop, Acknowledge: 5 * time.Minute, Timeout: time.Hour}},
	}}}
	state := func(status WorkStatus, due time.Time, d Diagnostics) State {
		return State{
			ID: "d-1", Plan: plan, Status: InProgress, CreatedAt: start, Targets: []Target{{ID: "h1", Status: TargetInProgress}},
			Work: []Work{{ID: "w", Target: "h1", Event: lifecycle.ApplicationStop, Status: status, IssuedAt: start, Due: due, Diagnostics: d}},
		}
	}
	tests := []struct {
		name, want, not string
		give            State
	}{
		{"a deadline that was put off", "did not take ApplicationStop within 5m;", "13h", state(WorkPending, start.Add(13*time.Hour), Diagnostics{})},
		{"advice about the script", "belongs to the previous revision", "nothing", state(WorkFailed, start, Diagnostics{
			ErrorCode: "ScriptFailed", ScriptName: "stop.sh"})},
		{"a refused specification", "ApplicationStop UnknownError: signature", "previous revision", state(WorkFailed, start, Diagnostics{
			ErrorCode: "UnknownError", Message: "signature"})},
		{"every host is up to date", "2 hosts that the tag filters", "No registered host", State{ID: "d-1", Status: Created, Plan: Plan{UpToDate: 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := Decide(tt.give, start.Add(14*time.Hour)).Why.Message
			if !strings.Contains(got, tt.want) || strings.Contains(got, tt.not) {
				t.Errorf("got %q, want it with %q and without %q", got, tt.want, tt.not)
			}
		})
	}
}
