package install

import (
	"fmt"
	"slices"
	"strings"
)

// Refusal is the error of a plan that does not stand, because of the host or because of the AppSpec.
type Refusal struct {
	Conflicts []Change // everything that stands in the way, at least one
}

// mostNamed is how many things a message names one by one: messages travel to the service, which cuts long ones.
const mostNamed = 10

// Error names up to ten conflicts. It begins with the first one's sentence, which is what people search for.
func (r *Refusal) Error() string {
	var reasons []string
	for i, c := range r.Conflicts[:min(len(r.Conflicts), mostNamed)] {
		if i > 0 && c.Advice != "" && c.Advice == r.Conflicts[i-1].Advice {
			reasons = append(reasons, c.Path+c.holder()) // the same sentence again
			continue
		}
		reasons = append(reasons, c.Reason+c.holder())
	}
	text := strings.Join(reasons, "; ")
	if more := len(r.Conflicts) - mostNamed; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	text += ". " + unchanged
	var advice []string
	for _, c := range r.Conflicts[:min(len(r.Conflicts), mostNamed)] {
		if c.Advice != "" && !slices.Contains(advice, c.Advice) {
			advice = append(advice, c.Advice)
			text += ". " + c.Advice
		}
	}
	return text
}

// unchanged is what people want to know first about a deployment that failed.
const unchanged = "Nothing was changed on this host"

// refusal is the error of a plan that has conflicts, else nil.
func (p *Plan) refusal() error {
	if len(p.conflicts) == 0 {
		return nil
	}
	return &Refusal{p.conflicts}
}

// refuse adds what is no conflict: path is where, and reason a whole sentence without its end.
func (p *Plan) refuse(path, reason string, args ...any) {
	p.conflicts = append(p.conflicts, Change{Action: Refused, Path: path, Reason: fmt.Sprintf(reason, args...)})
}

// unchangedError is any other error of planning.
type unchangedError struct{ err error }

func (e *unchangedError) Error() string { return e.err.Error() + ". " + unchanged }
func (e *unchangedError) Unwrap() error { return e.err }
