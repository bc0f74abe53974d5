package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"grapnel/internal/agent/config"
)

// State is how a check ended.
type State string

// States of a check. Skipped is what could not be looked at, for a reason that is another check's, or is not there to be looked at.
const (
	OK      State = "ok"
	Warning State = "warning"
	Failed  State = "failed"
	Skipped State = "skipped"
)

// Result is what a check found.
type Result struct {
	Check  string   `json:"check"`
	State  State    `json:"state"`
	Seen   []string `json:"seen"`             // facts: names, addresses, numbers, dates
	Advice []string `json:"advice,omitempty"` // what to do about what is not ok
}

func (r *Result) saw(format string, args ...any) {
	r.Seen = append(r.Seen, fmt.Sprintf(format, args...))
}

// skip ends a check that has nothing to look at.
func (r *Result) skip(format string, args ...any) {
	r.State = Skipped
	r.saw(format, args...)
}

// warn adds what may hurt one day, and what to do about it.
func (r *Result) warn(seen, advice string) {
	if r.State != Failed {
		r.State = Warning
	}
	r.add(seen, advice)
}

// fail adds what keeps the agent from its work, and what to do about it.
func (r *Result) fail(seen, advice string) {
	r.State = Failed
	r.add(seen, advice)
}

func (r *Result) add(seen, advice string) {
	r.Seen = append(r.Seen, seen)
	if !slices.Contains(r.Advice, advice) {
		r.Advice = append(r.Advice, advice)
	}
}

// summary counts results by state.
type summary struct {
	OK       int `json:"ok"`
	Warnings int `json:"warnings"`
	Failed   int `json:"failed"`
	Skipped  int `json:"skipped"`
}

func count(results []Result) summary {
	var s summary
	for _, r := range results {
		switch r.State {
		case OK:
			s.OK++
		case Warning:
			s.Warnings++
		case Failed:
			s.Failed++
		case Skipped:
			s.Skipped++
		}
	}
	return s
}

// String tells the counts in a line, and leaves out what there is none of.
func (s summary) String() string {
	warnings := "warnings"
	if s.Warnings == 1 {
		warnings = "warning"
	}
	parts := []string{fmt.Sprintf("%d ok", s.OK)}
	for _, c := range []struct {
		n    int
		what string
	}{{s.Warnings, warnings}, {s.Failed, "failed"}, {s.Skipped, "skipped"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

// text writes results for people: a line each, told as soon as it is known, and the advice below it.
type text struct {
	w     io.Writer
	width int // of the longest name of a check
}

// marks begin the lines; what is not as it should be stands out.
var marks = map[State]string{OK: "ok", Warning: "WARN", Failed: "FAIL", Skipped: "skip"}

func widest(checks []check) int {
	width := 0
	for _, c := range checks {
		width = max(width, utf8.RuneCountInString(c.name))
	}
	return width
}

func (t text) line(r Result) {
	fmt.Fprintf(t.w, "%-4s  %-*s  %s\n", marks[r.State], t.width, r.Check, oneLine(strings.Join(r.Seen, "; ")))
	for _, advice := range r.Advice {
		fmt.Fprintf(t.w, "      %-*s  → %s\n", t.width, "", oneLine(advice))
	}
}

// oneLine keeps errors of several lines, and what strangers sent, from breaking the table.
func oneLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, s)
}

func (t text) end(s summary) { fmt.Fprintf(t.w, "\n%s\n", s) }

func writeJSON(w io.Writer, results []Result, s summary) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(struct { // a reader that has gone needs nothing more
		Version string   `json:"agentVersion"`
		Checks  []Result `json:"checks"`
		Summary summary  `json:"summary"`
	}{config.Version, results, s})
}
