package hosts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
)

// update sends output of a command as an agent would, over a real connection.
func update(t *testing.T, agent *awsjson.Client, work, payload string) (awsapi.CommandStatus, error) {
	t.Helper()
	var out awsapi.PostHostCommandUpdateOutput
	err := agent.Call(t.Context(), awsapi.CommandPrefix+".PostHostCommandUpdate", awsapi.PostHostCommandUpdateInput{
		HostCommandIdentifier: &work, Diagnostics: &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: &payload},
	}, &out)
	return out.CommandStatus, err
}

// log returns what the server shows of the test's deployment: "host event script stream: text".
func (s *server) log(t *testing.T) []string {
	t.Helper()
	out, err := s.logs.GetDeploymentLog(t.Context(), &awsapi.GetDeploymentLogInput{DeploymentId: new(deployment)})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range out.Chunks {
		for _, l := range c.Lines {
			lines = append(lines, fmt.Sprintf("%s %s %s %s: %s", c.Host, c.Event, l.Script, l.Stream, l.Text))
		}
	}
	return lines
}

// TestOutputArrivesWhileTheScriptRuns is the conversation of an agent of ours whose update's reply is lost once.
func TestOutputArrivesWhileTheScriptRuns(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	agent := s.listen(web1)
	work := s.take(web1)
	first := `{"seq":1,"log":[{"t":1,"script":"stop.sh","stream":"stdout","text":"stopping \u001b[31m\u0000\tred\r"}]}`
	if _, err := update(t, agent, work, first); err == nil {
		t.Error("output was taken before the acknowledgement")
	}
	s.acknowledge(web1, work, false)
	for _, payload := range []string{first, first, `{"seq":2,"log":[{"t":2,"script":"stop.sh","stream":"stderr","text":"größer"}]}`} {
		if status, err := update(t, agent, work, payload); err != nil || status != awsapi.CommandStatusInProgress {
			t.Fatalf("update: %s, %v, want InProgress", status, err)
		}
	}
	want := []string{"web-1 ApplicationStop stop.sh stdout: stopping [31m\tred", "web-1 ApplicationStop stop.sh stderr: größer"}
	if diff := cmp.Diff(want, s.log(t)); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	s.complete(web1, work, awsapi.CommandStatusSucceeded, "")
	if status, err := update(t, agent, work, `{"seq":3,"log":[{"t":3,"stream":"stdout","text":"late"}]}`); err != nil || status != awsapi.CommandStatusSucceeded {
		t.Errorf("after the end: %s, %v, want Succeeded", status, err)
	}
	if diff := cmp.Diff(want, s.log(t)); diff != "" {
		t.Errorf("log after a late update (-want +got):\n%s", diff)
	}
}

func TestUpdatesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	work := s.take(web1)
	s.acknowledge(web1, work, false)
	agent, other := s.listen(web1), s.listen(web2)
	line := `{"t":1,"stream":"stdout","text":"x"}`
	for _, tt := range []struct {
		name    string
		agent   *awsjson.Client
		work    string
		payload string
		want    string
	}{
		{"of another host", other, work, `{"seq":1,"log":[` + line + `]}`, "host web-2 has no command"},
		{"of no command", agent, "unknown", `{"seq":1,"log":[` + line + `]}`, "host web-1 has no command"},
		{"no JSON", agent, work, `Segmentation fault`, "must be"},
		{"no number", agent, work, `{"log":[` + line + `]}`, "counted from 1"},
		{"too long", agent, work, `{"seq":1,"log":[{"t":1,"text":"` + strings.Repeat("x", awsapi.MaxEnvelopePayload) + `"}]}`, "may have 8192"},
	} {
		_, err := update(t, tt.agent, tt.work, tt.payload)
		var refused *awsjson.Error
		if !errors.As(err, &refused) || refused.Name != awsapi.ClientException || !strings.Contains(refused.Message, tt.want) {
			t.Errorf("%s: %v, want a ClientException with %q", tt.name, err, tt.want)
		}
	}
	if got := s.log(t); len(got) != 0 {
		t.Errorf("stored: %q", got)
	}
	if status, err := update(t, agent, work, ""); err != nil || status != awsapi.CommandStatusInProgress {
		t.Errorf("one that only asks: %s, %v, want InProgress", status, err)
	}
}

// TestAGivenUpCommandIsToldSo: the deployment was stopped while the script writes.
func TestAGivenUpCommandIsToldSo(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	work := s.take(web1)
	s.acknowledge(web1, work, false)
	if err := s.store.Complete(t.Context(), work, deploy.WorkFailed, deploy.Diagnostics{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if status, err := update(t, s.listen(web1), work, `{"seq":1,"log":[{"t":1,"stream":"stdout","text":"x"}]}`); err != nil || status != awsapi.CommandStatusFailed {
		t.Errorf("answered %s, %v, want Failed", status, err)
	}
}
