package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"grapnel/internal/awsapi"
)

// textView shows a deployment to people.
type textView struct {
	timeline
	hosts   bool   // lines of output begin with their host
	current string // the script whose lines are being shown
}

func newTextView(out io.Writer, hosts bool) *textView {
	return &textView{timeline: timeline{out: out, style: styleFor(out)}, hosts: hosts}
}

// line shows a line of output, below the name of its script when another one wrote before.
func (v *textView) line(host, event string, l awsapi.LogLine) {
	name := ""
	if v.hosts {
		name = fmt.Sprintf("%-12s ", host)
	}
	if script := host + "/" + event + "/" + l.Script; l.Script != "" && script != v.current {
		v.current = script
		fmt.Fprintf(v.out, "  %s%-16s %s\n", name, event, l.Script)
	}
	bar := v.style.faint("|")
	if l.Stream == "stderr" {
		bar = v.style.bad("|")
	}
	fmt.Fprintf(v.out, "  %s  %s %s\n", name, bar, l.Text)
}

// event shows that an event has begun or ended.
func (v *textView) event(host string, e awsapi.LifecycleEvent) {
	if !ended(e.Status) {
		fmt.Fprintf(v.out, "  %-12s %-16s %s\n", host, awsapi.Value(e.LifecycleEventName), v.style.faint("started"))
		return
	}
	v.current = ""
	v.printEvent(host, e)
	v.printFailure(e)
}

// deployment shows how the deployment has ended; why is told by the command's error.
func (v *textView) deployment(info *awsapi.DeploymentInfo) {
	took := info.CompleteTime.Sub(info.CreateTime.Time).Round(time.Millisecond)
	if info.Status == awsapi.DeploymentStatusSucceeded {
		fmt.Fprintf(v.out, "  %s in %s%s\n", v.style.good("Succeeded"), took, without(info.DeploymentOverview))
		return
	}
	fmt.Fprintf(v.out, "  %s after %s\n", v.style.bad(string(info.Status)), took)
}

// without tells on how many hosts a deployment is not, "" when it is on all: it may succeed all the same.
func without(o *awsapi.DeploymentOverview) string {
	if o == nil || awsapi.Value(o.Failed)+awsapi.Value(o.Skipped) == 0 {
		return ""
	}
	return fmt.Sprintf(", but not on all hosts: %d failed, %d skipped", awsapi.Value(o.Failed), awsapi.Value(o.Skipped))
}

// jsonView shows a deployment to programs: an object per line.
type jsonView struct{ encoder *json.Encoder }

func newJSONView(out io.Writer) jsonView {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return jsonView{e}
}

// jsonLine is one line of --json. Type is log, event or deployment; what does not belong to it is absent.
type jsonLine struct {
	Type       string     `json:"type"`
	Time       *time.Time `json:"time,omitzero"` // when a line was written, when an event or the deployment has ended
	Deployment string     `json:"deployment,omitzero"`
	Host       string     `json:"host,omitzero"`
	Event      string     `json:"event,omitzero"`
	Status     string     `json:"status,omitzero"`
	Script     string     `json:"script,omitzero"`
	Stream     string     `json:"stream,omitzero"`
	Text       *string    `json:"text,omitzero"`
	ErrorCode  string     `json:"errorCode,omitzero"`
	Message    string     `json:"message,omitzero"`
}

func (v jsonView) line(host, event string, l awsapi.LogLine) {
	v.print(jsonLine{
		Type: "log", Time: moment(time.UnixMilli(l.Time)), Host: host, Event: event, Script: l.Script, Stream: l.Stream, Text: &l.Text,
	})
}

func (v jsonView) event(host string, e awsapi.LifecycleEvent) {
	shown := jsonLine{
		Type: "event", Time: moment(e.EndTime.Time), Host: host, Event: awsapi.Value(e.LifecycleEventName), Status: string(e.Status),
	}
	if d := e.Diagnostics; d != nil && e.Status == awsapi.LifecycleEventStatusFailed {
		shown.Script, shown.ErrorCode, shown.Message = awsapi.Value(d.ScriptName), string(d.ErrorCode), awsapi.Value(d.Message)
	}
	v.print(shown)
}

func (v jsonView) deployment(info *awsapi.DeploymentInfo) {
	shown := jsonLine{
		Type: "deployment", Time: moment(info.CompleteTime.Time), Deployment: awsapi.Value(info.DeploymentId), Status: string(info.Status),
	}
	if e := info.ErrorInformation; e != nil {
		shown.ErrorCode, shown.Message = string(e.Code), awsapi.Value(e.Message)
	}
	v.print(shown)
}

// moment is a time as programs read it, absent when there is none.
func moment(t time.Time) *time.Time {
	if t.UnixMilli() <= 0 {
		return nil
	}
	t = t.UTC()
	return &t
}

func (v jsonView) print(l jsonLine) {
	_ = v.encoder.Encode(l) // stdout is gone when it fails: there is nobody left to tell
}
