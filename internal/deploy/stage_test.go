package deploy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/lifecycle"
)

// stage is where a scenario plays: one world, and the decision that is held back between "look" and "commit".
type stage struct {
	w    *world
	held *heldDecision
}

type heldDecision struct {
	state    State
	decision Decision
}

// verbs are the commands of a scenario.
var verbs = map[string]func(*stage, command) (string, error){
	"group":    (*stage).group,    // hosts=9 min-healthy=FLEET_PERCENT:50 events=.. rollback=failure,stop,alarm last-good=d-0 excess=3/2 ..
	"phase":    (*stage).phase,    // one more phase: hosts=h1..h3 min-healthy=.. events=.. delay=5m approval
	"decide":   (*stage).decide,   // decide and commit
	"look":     (*stage).look,     // decide, hold the decision back
	"commit":   (*stage).commit,   // commit what was held back
	"crash":    (*stage).crash,    // decide, then lose the decision
	"ack":      (*stage).ack,      // h1 h2: their agents take what was handed out
	"noop":     (*stage).noop,     // h1: its agent has nothing to do for the event
	"complete": (*stage).complete, // h1 h2: their events end well
	"report":   (*stage).report,   // h1 code=ScriptFailed ..: its event ends badly
	"succeed":  (*stage).succeed,  // h1..h3: all their events of the phase end well, deciding in between
	"fail":     (*stage).fail,     // h2 AfterInstall code=.. exit=.. script=.. stderr="..": up to that event well, then not
	"advance":  (*stage).advance,  // 5m: time passes, with a decision whenever one was asked for
	"outage":   (*stage).outage,   // 5m: time passes while the engine is down
	"seen":     (*stage).seen,     // h1: its agent polls
	"stop":     (*stage).stop,     // an operator stops the deployment; rollback=true|false
	"alarm":    (*stage).alarm,    // names of active alarms
	"approve":  (*stage).approve,  // an operator lets the current phase begin
	"targets":  (*stage).targets,  // where every target stands
	"events":   (*stage).events,   // h1: its lifecycle events as an API shows them
}

// command is one line of a scenario: a verb, words, and key=value settings.
type command struct {
	verb string
	args []string
	set  map[string]string
}

func (st *stage) play(line string) (string, error) {
	c, err := parseCommand(line)
	if err != nil {
		return "", err
	}
	do := verbs[c.verb]
	if do == nil {
		return "", fmt.Errorf("no such verb")
	}
	if st.w == nil && c.verb != "group" {
		return "", fmt.Errorf("a scenario begins with a group")
	}
	return do(st, c)
}

func parseCommand(line string) (command, error) {
	c := command{set: map[string]string{}}
	for line != "" {
		word := line[:strings.IndexAny(line+" ", " ")]
		if key, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(value, `"`) {
			quoted, err := strconv.QuotedPrefix(line[len(key)+1:])
			if err != nil {
				return c, err
			}
			word = key + "=" + quoted
			c.set[key], _ = strconv.Unquote(quoted)
		} else if ok {
			c.set[key] = value
		} else if c.verb == "" {
			c.verb = word
		} else {
			c.args = append(c.args, word)
		}
		line = strings.TrimLeft(line[len(word):], " ")
	}
	return c, nil
}

func (c command) duration(key string, otherwise time.Duration) (time.Duration, error) {
	if c.set[key] == "" {
		return otherwise, nil
	}
	return time.ParseDuration(c.set[key])
}

// hosts reads names and ranges such as h1..h4.
func hostNames(words []string) ([]string, error) {
	var names []string
	for _, word := range words {
		from, to, ok := strings.Cut(word, "..")
		if !ok {
			names = append(names, word)
			continue
		}
		first, err := strconv.Atoi(strings.TrimPrefix(from, "h"))
		if err != nil {
			return nil, err
		}
		last, err := strconv.Atoi(strings.TrimPrefix(to, "h"))
		if err != nil {
			return nil, err
		}
		for i := first; i <= last; i++ {
			names = append(names, fmt.Sprint("h", i))
		}
	}
	return names, nil
}

// spelt writes names, three or more in a row as a range.
func spelt(names []string) string {
	number := func(i int) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(names[i], "h"))
		return n
	}
	var words []string
	for i := 0; i < len(names); {
		j := i
		for j+1 < len(names) && number(j+1) == number(j)+1 {
			j++
		}
		if j-i >= 2 {
			words = append(words, names[i]+".."+names[j])
		} else {
			words = append(words, names[i:j+1]...)
		}
		i = j + 1
	}
	return strings.Join(words, " ")
}

func parseHealth(s string) (Health, error) {
	kind, value, _ := strings.Cut(s, ":")
	if value == "" {
		return Health{Type: HealthType(kind), Value: 1}, nil
	}
	n, err := strconv.Atoi(value)
	return Health{Type: HealthType(kind), Value: n}, err
}

func (c command) phase(names []string) (Phase, error) {
	health, err := parseHealth(c.set["min-healthy"])
	if err != nil {
		return Phase{}, err
	}
	ack, err := c.duration("ack", 5*time.Minute)
	if err != nil {
		return Phase{}, err
	}
	timeout, err := c.duration("timeout", time.Hour)
	if err != nil {
		return Phase{}, err
	}
	delay, err := c.duration("delay", 0)
	if err != nil {
		return Phase{}, err
	}
	events := lifecycle.InPlace
	if list := c.set["events"]; list != "" {
		events = nil
		for e := range strings.SplitSeq(list, ",") {
			events = append(events, lifecycle.Event(e))
		}
	}
	gate := Gate{Delay: delay, Approval: slices.Contains(c.args, "approval"), Termination: slices.Contains(c.args, "termination")}
	p := Phase{Name: c.set["name"], Targets: names, Health: health, Gate: gate}
	for _, e := range events {
		info, _ := lifecycle.Lookup(e)
		ignore := info.Ignorable && slices.Contains(c.args, "ignore-stop-failures")
		p.Steps = append(p.Steps, Step{Event: e, By: info.Runner, Acknowledge: ack, Timeout: timeout, IgnoreFailure: ignore})
	}
	return p, nil
}

func (st *stage) group(c command) (string, error) {
	n, err := strconv.Atoi(c.set["hosts"])
	if err != nil {
		return "", err
	}
	limit, err := c.duration("limit", 8*time.Hour)
	if err != nil {
		return "", err
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("h", i+1)
	}
	phase, err := c.phase(names)
	if err != nil {
		return "", err
	}
	plan := Plan{Phases: []Phase{phase}, Limit: limit}
	if excess := c.set["excess"]; excess != "" {
		if _, err := fmt.Sscanf(excess, "%d/%d", &plan.Excess.Selected, &plan.Excess.Most); err != nil {
			return "", err
		}
	}
	for event := range strings.SplitSeq(c.set["rollback"], ",") {
		switch event {
		case "failure":
			plan.Rollback.OnFailure = true
		case "stop":
			plan.Rollback.OnStop = true
		case "alarm":
			plan.Rollback.OnAlarm = true
		}
	}
	st.w = newWorld(plan, Facts{LastGood: c.set["last-good"], RollbackOf: c.set["rollback-of"]})
	return "", nil
}

func (st *stage) phase(c command) (string, error) {
	names, err := hostNames(strings.Split(c.set["hosts"], ","))
	if err != nil {
		return "", err
	}
	phase, err := c.phase(names)
	if err != nil {
		return "", err
	}
	plan := st.w.state.Plan
	plan.Phases = append(plan.Phases, phase)
	st.w = newWorld(plan, st.w.state.Facts)
	return "", nil
}

func (st *stage) decide(command) (string, error) { return st.round(tell) }

// round decides and commits once, and says what came of it in the words of say.
func (st *stage) round(say func(State, Decision, time.Time) string) (string, error) {
	s := st.w.load()
	d := Decide(s, st.w.now)
	if err := st.w.commit(s, d); err != nil {
		return "", err
	}
	return say(s, d, st.w.now), nil
}

func (st *stage) look(command) (string, error) {
	s := st.w.load()
	st.held = &heldDecision{s, Decide(s, st.w.now)}
	return "decided, but not committed yet:\n" + tell(s, st.held.decision, st.w.now), nil
}

func (st *stage) commit(command) (string, error) {
	if st.held == nil {
		return "", fmt.Errorf("nothing is held back: look first")
	}
	if err := st.w.commit(st.held.state, st.held.decision); err != nil {
		return "refused: what it was based on has " + err.Error() + "\n", nil
	}
	return "committed\n", nil
}

func (st *stage) crash(command) (string, error) {
	s := st.w.load()
	Decide(s, st.w.now)
	return "the engine decided and crashed; nothing was committed\n", nil
}

// each calls do with the open Work of every named host.
func (st *stage) each(c command, do func(*Work) string) (string, error) {
	names, err := hostNames(c.args)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, name := range names {
		if work := st.w.open(name); work != nil {
			out.WriteString(do(work))
		} else {
			fmt.Fprintf(&out, "%s has nothing to do\n", name)
		}
	}
	return out.String(), nil
}

func (st *stage) ack(c command) (string, error) {
	return st.each(c, func(w *Work) string {
		st.w.acknowledge(w, false)
		if w.Status != WorkRunning {
			return fmt.Sprintf("%s is too late for %s\n", w.Target, w.Event)
		}
		return fmt.Sprintf("%s runs %s\n", w.Target, w.Event)
	})
}

func (st *stage) noop(c command) (string, error) {
	return st.each(c, func(w *Work) string {
		st.w.acknowledge(w, true)
		return fmt.Sprintf("%s has no script for %s: %s\n", w.Target, w.Event, w.Status)
	})
}

func (st *stage) complete(c command) (string, error) {
	return st.each(c, func(w *Work) string {
		st.w.complete(w, WorkSucceeded, Diagnostics{ErrorCode: success})
		return ""
	})
}

func (st *stage) report(c command) (string, error) {
	return st.each(c, func(w *Work) string {
		st.w.complete(w, WorkFailed, c.diagnostics())
		return ""
	})
}

// diagnostics is what an agent says of a failed script (agent.md 4.7).
func (c command) diagnostics() Diagnostics {
	d := Diagnostics{ErrorCode: c.set["code"], ScriptName: c.set["script"], Message: c.set["message"]}
	if d.ErrorCode == "" {
		d.ErrorCode = "ScriptFailed"
	}
	if exit := c.set["exit"]; exit != "" {
		d.Message = fmt.Sprintf("Script %s failed with exit code %s", d.ScriptName, exit)
	}
	if line := c.set["stderr"]; line != "" {
		d.LogTail = "Script - " + d.ScriptName + "\n[stdout]starting\n[stderr]" + line + "\n"
	}
	return d
}

// succeed plays all that is left of the phase for the named hosts, in step, and tells only what matters to the group.
func (st *stage) succeed(c command) (string, error) {
	names, err := hostNames(c.args)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for phase := st.w.state.Phase; ; {
		busy := false
		for _, name := range names {
			if work := st.w.open(name); work != nil && work.Phase == phase {
				busy = true
				st.w.complete(work, WorkSucceeded, Diagnostics{ErrorCode: success})
			}
		}
		if !busy {
			return out.String(), nil
		}
		said, err := st.round(tellBriefly)
		if err != nil {
			return "", err
		}
		out.WriteString(said)
	}
}

// fail plays the named hosts up to an event and fails them there.
func (st *stage) fail(c command) (string, error) {
	if len(c.args) < 2 {
		return "", fmt.Errorf("want hosts and an event")
	}
	names, err := hostNames(c.args[:len(c.args)-1])
	if err != nil {
		return "", err
	}
	event := lifecycle.Event(c.args[len(c.args)-1])
	var out strings.Builder
	for failed := 0; failed < len(names); {
		for _, name := range names {
			work := st.w.open(name)
			switch {
			case work == nil:
			case work.Event == event:
				failed++
				st.w.complete(work, WorkFailed, c.diagnostics())
			default:
				st.w.complete(work, WorkSucceeded, Diagnostics{ErrorCode: success})
			}
		}
		said, err := st.round(tellBriefly)
		if err != nil {
			return "", err
		}
		if out.WriteString(said); st.w.state.Status.Terminal() {
			break
		}
	}
	return out.String(), nil
}

func (st *stage) advance(c command) (string, error) {
	if len(c.args) != 1 {
		return "", fmt.Errorf("want a duration")
	}
	d, err := time.ParseDuration(c.args[0])
	if err != nil {
		return "", err
	}
	until := st.w.now.Add(d)
	var out strings.Builder
	for wake := st.w.wake; !wake.IsZero() && !wake.After(until); wake = st.w.wake {
		st.w.now = wake
		said, err := st.round(tell)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "after %s:\n%s", short(wake.Sub(epoch)), said)
	}
	st.w.now = until
	return out.String(), nil
}

func (st *stage) outage(c command) (string, error) {
	if len(c.args) != 1 {
		return "", fmt.Errorf("want a duration")
	}
	d, err := time.ParseDuration(c.args[0])
	st.w.now = st.w.now.Add(d)
	return "", err
}

func (st *stage) seen(c command) (string, error) {
	names, err := hostNames(c.args)
	for _, name := range names {
		st.w.target(name).LastSeen = st.w.now
	}
	return "", err
}

func (st *stage) stop(c command) (string, error) {
	if st.w.state.Status.Terminal() {
		return "too late: the deployment has ended\n", nil
	}
	stop := &Stop{At: st.w.now}
	if wish := c.set["rollback"]; wish != "" {
		stop.Rollback = new(wish == "true")
	}
	st.w.fact(func(f *Facts) { f.Stop = stop })
	return "", nil
}

func (st *stage) alarm(c command) (string, error) {
	st.w.fact(func(f *Facts) { f.Alarms = c.args })
	return "", nil
}

func (st *stage) approve(command) (string, error) {
	st.w.fact(func(f *Facts) { f.Approved = st.w.state.Phase + 1 })
	return "", nil
}
