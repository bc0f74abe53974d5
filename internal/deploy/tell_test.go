package deploy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"grapnel/internal/lifecycle"
)

// tell says in sentences what a decision changes.
func tell(s State, d Decision, now time.Time) string {
	if d.Empty(s) && d.Wake.IsZero() {
		return "nothing to do\n"
	}
	text := tellTargets(d, true) + tellIssue(d, func(Work) bool { return true }) + tellPhase(s, d) + tellEnd(d)
	if text == "" {
		text = "nothing to do now\n"
	}
	if !d.Wake.IsZero() {
		text += fmt.Sprintf("looks again in %s\n", short(d.Wake.Sub(now)))
	}
	return text
}

// tellBriefly leaves out what happens between a target's first event and its end.
func tellBriefly(s State, d Decision, _ time.Time) string {
	begins := func(w Work) bool { return w.Step == 0 }
	return tellTargets(d, false) + tellIssue(d, begins) + tellPhase(s, d) + tellEnd(d)
}

func tellTargets(d Decision, withdrawn bool) string {
	var out strings.Builder
	for _, c := range d.Settle {
		if withdrawn && c.Status == WorkSkipped {
			fmt.Fprintf(&out, "Work %s is taken back\n", c.ID)
		}
	}
	for _, status := range []TargetStatus{TargetReady, TargetSucceeded, TargetSkipped} {
		var names []string
		for _, c := range d.Targets {
			if c.Status == status {
				names = append(names, c.ID)
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(&out, "%s: %s\n", status, spelt(names))
		}
	}
	return out.String() + tellFailures(d)
}

// tellFailures names hosts that failed for the same reason together.
func tellFailures(d Decision) string {
	var reasons []string
	names := map[string][]string{}
	for _, c := range d.Targets {
		if c.Failure == nil {
			continue
		}
		diagnosis := strings.TrimSuffix(c.Failure.Diagnostics.ErrorCode+": "+c.Failure.Diagnostics.Message, ": ")
		reason := fmt.Sprintf("at %s (%s)", c.Failure.Event, diagnosis)
		if names[reason] == nil {
			reasons = append(reasons, reason)
		}
		names[reason] = append(names[reason], c.ID)
	}
	var out strings.Builder
	for _, reason := range reasons {
		fmt.Fprintf(&out, "Failed: %s %s\n", spelt(names[reason]), reason)
	}
	return out.String()
}

func tellIssue(d Decision, tellable func(Work) bool) string {
	var events []lifecycle.Event
	names := map[lifecycle.Event][]string{}
	for _, w := range d.Issue {
		if !tellable(w) {
			continue
		}
		if !slices.Contains(events, w.Event) {
			events = append(events, w.Event)
		}
		names[w.Event] = append(names[w.Event], w.Target)
	}
	var out strings.Builder
	for _, e := range events {
		fmt.Fprintf(&out, "%s goes to %s\n", e, spelt(names[e]))
	}
	return out.String()
}

func tellPhase(s State, d Decision) string {
	if d.Phase == s.Phase {
		return ""
	}
	return fmt.Sprintf("the phase is now %q\n", s.Plan.Phases[d.Phase].Name)
}

func tellEnd(d Decision) string {
	var out strings.Builder
	if d.Status != "" {
		fmt.Fprintln(&out, strings.TrimSpace(fmt.Sprintf("the deployment is %s %s", d.Status, d.Why.Code)))
	}
	if d.Why.Message != "" {
		fmt.Fprintln(&out, wrap(d.Why.Message))
	}
	if d.Rollback {
		fmt.Fprintln(&out, "a rollback is created")
	}
	if d.RollbackMessage != "" {
		fmt.Fprintln(&out, wrap(d.RollbackMessage))
	}
	return out.String()
}

// wrap indents a text and breaks it into lines of about 110 characters.
func wrap(text string) string {
	var out strings.Builder
	width := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
			out.WriteString("    ")
		case width+len(word) > 106:
			out.WriteString("\n    ")
			width = 0
		default:
			out.WriteString(" ")
			width++
		}
		out.WriteString(word)
		width += len(word)
	}
	return out.String()
}

func (st *stage) targets(command) (string, error) {
	var out strings.Builder
	fmt.Fprintf(&out, "the deployment is %s\n", st.w.state.Status)
	for _, status := range []TargetStatus{
		TargetPending, TargetInProgress, TargetReady, TargetSucceeded, TargetFailed, TargetSkipped,
	} {
		var names []string
		for _, t := range st.w.state.Targets {
			if t.Status == status {
				names = append(names, t.ID)
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(&out, "%s: %s\n", status, spelt(names))
		}
	}
	return out.String(), nil
}

func (st *stage) events(c command) (string, error) {
	var out strings.Builder
	for _, name := range c.args {
		for i, p := range st.w.state.Plan.Phases {
			if !slices.Contains(p.Targets, name) {
				continue
			}
			for _, v := range Events(st.w.state.Plan, i, *st.w.target(name), st.w.history(name), st.w.ended[name]) {
				fmt.Fprintln(&out, tellEvent(v))
			}
		}
	}
	return out.String(), nil
}

func tellEvent(v EventView) string {
	text := fmt.Sprintf("%-16s %-10s", v.Event, v.Status)
	for _, at := range []struct {
		name string
		time time.Time
	}{{"issued", v.IssuedAt}, {"started", v.StartedAt}, {"ended", v.EndedAt}} {
		when := "-"
		if !at.time.IsZero() {
			when = short(at.time.Sub(epoch))
		}
		text += fmt.Sprintf("  %s %-6s", at.name, when)
	}
	return strings.TrimRight(text+"  "+v.ErrorCode, " ")
}
