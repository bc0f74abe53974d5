package deploy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sentences of Why.Message.
const (
	manualStop = "The deployment was stopped on request."
	// tooMany is the sentence that people and their scripts know, word for word (users.md 1).
	tooMany = "The overall deployment failed because too many individual instances failed deployment, too few healthy instances" +
		" are available for deployment, or some instances in your deployment group are experiencing problems."
)

// Bounds of the message of a failed deployment, in bytes and in groups of equal failures.
const (
	maxMessage = 3500
	maxFirst   = 1000 // of the first failure: whoever deploys to one host reads nothing else
	maxReason  = 200  // of each group of equal failures
	maxGroups  = 5
)

// noTargets explains a plan without targets, of which so many hosts were left out.
func noTargets(upToDate int) string {
	if upToDate > 0 {
		return fmt.Sprintf("There is nothing to do: the deployment is for outdated hosts only, and %s that the tag filters of the"+
			" deployment group match run this revision already. Leave out --update-outdated-instances-only to deploy it again.",
			hosts(upToDate))
	}
	return "No registered host matches the tag filters of the deployment group: compare them with the tags of the hosts" +
		" (aws deploy list-on-premises-instances --registration-status Registered), then deploy again."
}

func tooManyTargets(e Excess) string {
	return fmt.Sprintf("The tag filters of the deployment group match %d hosts, and a deployment may have %d: split the group, or have the"+
		" operator of the server raise the limit (grapnel server --limit instances-per-deployment=%d).", e.Selected, e.Most, e.Selected)
}

func invalidHealth(minimum, targets int) string {
	return fmt.Sprintf("At least %d of %d targets must stay in service, so none can be deployed to:"+
		" choose a deployment config with a lower minimum, or add hosts.", minimum, targets)
}

func overLimit(limit time.Duration) string {
	return fmt.Sprintf("The deployment did not end within %s.", short(limit))
}

func notContinued(delay time.Duration) string {
	return fmt.Sprintf("Nobody continued the deployment within %s.", short(delay))
}

func activeAlarms(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = "<" + name + ">"
	}
	return "The deployment was stopped because of active alarms: " + strings.Join(quoted, ", ") + "."
}

// failed is a failed target as a message names it.
type failed struct {
	target string
	Failure
}

// healthWhy explains that too many targets failed: the known sentence, the first failure in full, equal failures counted,
// and what to do about them.
func (r *round) healthWhy() Why {
	failures := r.failures()
	why := Why{Code: CodeHealthConstraints, Message: tooMany}
	if len(failures) == 0 {
		return why
	}
	if !slices.ContainsFunc(failures, func(f failed) bool { return !f.AgentIssue }) {
		why.Code = CodeAgentIssue
	}
	parts := []string{tooMany, firstFailure(failures)}
	if len(failures) > 1 {
		parts = append(parts, groupFailures(failures))
	}
	parts = append(parts, hintsFor(failures)...)
	why.Message = clip(strings.Join(parts, " "), maxMessage)
	return why
}

// failures returns the failed targets, the earliest first.
func (r *round) failures() []failed {
	var all []failed
	for _, id := range r.order {
		if t := r.targets[id]; t.Status == TargetFailed && t.Failure != nil {
			all = append(all, failed{id, *t.Failure})
		}
	}
	slices.SortStableFunc(all, func(a, b failed) int { return a.At.Compare(b.At) })
	return all
}

func firstFailure(failures []failed) string {
	f := failures[0]
	text := f.summary(maxFirst)
	if f.AgentIssue {
		text = oneLine(f.Diagnostics.Message)
	}
	return fmt.Sprintf("First failure: %s: %s.", f.target, text)
}

// groupFailures counts equal failures, the most frequent first.
func groupFailures(failures []failed) string {
	var kinds []string
	count := map[string]int{}
	for _, f := range failures {
		kind := f.summary(maxReason)
		if count[kind] == 0 {
			kinds = append(kinds, kind)
		}
		count[kind]++
	}
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Compare(count[b], count[a]) })
	lines := make([]string, 0, maxGroups+1)
	for i, kind := range kinds {
		if i == maxGroups {
			lines = append(lines, fmt.Sprintf("%d other kinds of failure", len(kinds)-maxGroups))
			break
		}
		lines = append(lines, fmt.Sprintf("%s: %s", hosts(count[kind]), kind))
	}
	return "All failures: " + strings.Join(lines, "; ") + "."
}

func hosts(n int) string {
	if n == 1 {
		return "1 host"
	}
	return fmt.Sprintf("%d hosts", n)
}

// summary names event, script and reason of a failure, the reason in at most so many bytes. Equal failures on different
// hosts are named in equal words.
func (f Failure) summary(most int) string {
	if f.AgentIssue {
		return fmt.Sprintf("%s no answer from the agent", f.Event)
	}
	where := string(f.Event)
	if f.Diagnostics.ScriptName != "" {
		where += " " + f.Diagnostics.ScriptName
	}
	return strings.TrimSpace(where + " " + clip(f.Diagnostics.reason(), most))
}

// reason is the exit code with the last line of output, or else what was reported.
func (d Diagnostics) reason() string {
	text := d.ErrorCode
	if code := d.exitCode(); code != "" {
		text = "exit " + code
	} else if d.Message != "" {
		text += ": " + oneLine(d.Message)
	}
	if line := d.lastLine(); line != "" {
		text += ": " + line
	}
	return strings.TrimSuffix(text, ".")
}

// exitCode finds the exit code that the agent's message names (agent.md 4.7), "" if it names none.
func (d Diagnostics) exitCode() string {
	_, after, _ := strings.Cut(d.Message, "exit code ")
	digits := strings.TrimLeft(after, "0123456789")
	return after[:len(after)-len(digits)]
}

// lastLine returns the last line that a script wrote to stderr, or else to stdout (log lines of agent.md 9.6).
func (d Diagnostics) lastLine() string {
	for _, stream := range []string{"[stderr]", "[stdout]"} {
		for _, line := range slices.Backward(strings.Split(d.LogTail, "\n")) {
			if _, text, ok := strings.Cut(line, stream); ok && strings.TrimSpace(text) != "" {
				return strings.TrimSpace(text)
			}
		}
	}
	return ""
}

// oneLine joins the lines of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// clip shortens a text to at most n bytes, at the border of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
