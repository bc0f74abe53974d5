package local

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"grapnel/internal/script"
)

// status says how far something is.
type status string

const (
	statusStarted     status = "started"
	statusSkipped     status = "skipped" // has nothing to run
	statusSucceeded   status = "succeeded"
	statusFailed      status = "failed"
	statusInterrupted status = "interrupted" // by a signal; the host may be half deployed
)

// progress tells a person, or with --json a program, what happens. Its functions may be called concurrently. That nobody
// reads it any more is no reason to leave a host half deployed, so that they return no errors.
type progress interface {
	begin(started)
	event(happening)
	line(event, location, stream string, text []byte)
	end(outcome)
}

// The four kinds of lines of --json; each has a member "type" and a member "time" beside these.
type (
	// started is the first, of the type "start".
	started struct {
		Deployment      string   `json:"deployment"`
		DeploymentGroup string   `json:"deploymentGroup"`
		Location        string   `json:"location"`
		Folder          string   `json:"folder"` // of the deployment
		Events          []string `json:"events"` // in their order
	}
	// happening is of the type "event": the begin or the end of a lifecycle event. The end of one that fails is the outcome.
	happening struct {
		Event    string `json:"event"`
		Status   status `json:"status"`
		Previous string `json:"previous,omitempty"` // folder of the revision installed before, when its scripts are run
		Note     string `json:"note,omitempty"`     // what a person should know although it succeeded
	}
	// printed is of the type "line": one that a script printed.
	printed struct {
		Event  string `json:"event"`
		Script string `json:"script"` // location, as in the AppSpec
		Stream string `json:"stream"` // stdout or stderr
		Text   string `json:"text"`
	}
	// outcome is the last, of the type "end".
	outcome struct {
		Status     status `json:"status"`
		Code       int    `json:"code"`                 // 0, or as agents report it (agent.md 4.7)
		Event      string `json:"event,omitempty"`      // that failed
		Script     string `json:"script,omitempty"`     // that failed: its location, as in the AppSpec
		ScriptPath string `json:"scriptPath,omitempty"` // that failed
		Message    string `json:"message,omitempty"`
		Log        string `json:"log,omitempty"` // scripts.log
	}
)

func newProgress(out io.Writer, asJSON bool) progress {
	if asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		return &jsonProgress{encoder: encoder}
	}
	return &textProgress{out: out}
}

// jsonProgress writes a line of JSON for each thing that happens.
type jsonProgress struct {
	mu      sync.Mutex
	encoder *json.Encoder
}

// head begins every line of --json.
type head struct {
	Type string    `json:"type"` // start, event, line or end
	Time time.Time `json:"time"`
}

func (p *jsonProgress) write(line any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.encoder.Encode(line)
}

func now(kind string) head { return head{kind, time.Now().Round(time.Millisecond)} }

func (p *jsonProgress) begin(s started) {
	p.write(struct {
		head
		started
	}{now("start"), s})
}

func (p *jsonProgress) event(h happening) {
	p.write(struct {
		head
		happening
	}{now("event"), h})
}

func (p *jsonProgress) line(event, location, stream string, text []byte) {
	p.write(struct {
		head
		printed
	}{now("line"), printed{event, location, stream, script.Text(text)}})
}

func (p *jsonProgress) end(o outcome) {
	p.write(struct {
		head
		outcome
	}{now("end"), o})
}

// textProgress says what stock agents say, and more.
type textProgress struct {
	mu    sync.Mutex
	out   io.Writer
	since time.Time // the event under way began
}

func (p *textProgress) printf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format, args...)
}

func (p *textProgress) begin(s started) {
	p.printf("Deploying %s in the folder %s\n", s.Location, s.Folder)
}

func (p *textProgress) event(h happening) {
	switch h.Status {
	case statusSkipped:
		p.printf("%s: no scripts\n", h.Event)
	case statusStarted:
		p.since = time.Now()
		if h.Previous != "" {
			p.printf("%s: running the scripts of the revision installed before, in %s\n", h.Event, h.Previous)
		} else {
			p.printf("%s: running\n", h.Event)
		}
	case statusSucceeded:
		p.printf("%s: succeeded in %.1f s\n", h.Event, time.Since(p.since).Seconds())
		if h.Note != "" {
			p.printf("%s: %s\n", h.Event, h.Note)
		}
	}
}

func (p *textProgress) line(event, _, stream string, text []byte) {
	mark := ""
	if stream == script.Stderr {
		mark = "[stderr]"
	}
	p.printf("[%s]%s %s\n", event, mark, script.Text(text))
}

func (p *textProgress) end(o outcome) {
	switch {
	case o.Status == statusSucceeded:
		p.scriptsLog(o)
		p.printf("The AppSpec is valid and the local deployment succeeded\n")
		return
	case o.ScriptPath != "":
		p.printf("%s: failed\nThe local deployment failed in the script %s (code %d): %s\n", o.Event, o.ScriptPath, o.Code, o.Message)
	default:
		p.printf("%s: %s\nThe local deployment failed: %s\n", o.Event, o.Status, o.Message)
	}
	p.scriptsLog(o)
}

func (p *textProgress) scriptsLog(o outcome) {
	if o.Log != "" {
		p.printf("The scripts' output is in %s\n", o.Log)
	}
}
