package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/agent/source"
	"grapnel/internal/awsapi"
	"grapnel/internal/bundle"
)

// What the agent does after an acknowledgement depends on the status that the service answers (agent.md 4.4).
//
// agent.md 16: 78-81
func TestAcknowledgementDecides(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status string
		noop   bool
		runs   bool
		want   []string // statuses and messages of the completions
	}{
		{"Succeeded", false, false, nil},
		{"Succeeded", true, false, nil},
		{"Failed", false, false, nil},
		{"Failed", true, false, []string{"Succeeded Succeeded: CompletedNoopCommand"}},
		{"InProgress", false, true, []string{"Succeeded Succeeded: "}},
		{"", false, true, []string{"Succeeded Succeeded: "}},
		{"", true, false, []string{"Succeeded Succeeded: "}},
	} {
		t.Run(fmt.Sprintf("%s noop=%v", test.status, test.noop), func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			log := h.path("trace")
			doc := h.put("d-ACK", oneHook(trace(log, "ran"), "location: hook.sh").zip(t))
			h.run("DownloadBundle", doc)
			h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
				if operation != "PutHostCommandAcknowledgement" {
					return false
				}
				body := "{}"
				if test.status != "" {
					body = `{"CommandStatus":"` + test.status + `"}`
				}
				io.WriteString(w, body) //nolint:errcheck // the agent will show it
				return true
			})
			event := "AfterInstall"
			if test.noop {
				event = "ValidateService"
			}
			id := h.send(event, doc)
			h.wait("the command to be taken", func() bool { return len(h.queue) == 0 && h.polls == 1 })
			if err := h.stop(); err != nil { // waits for what is under way
				t.Fatal(err)
			}
			var got []string
			for _, c := range h.commands[id].completed {
				got = append(got, string(c.Status)+" "+c.Message)
			}
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("completions = %q, want %q", got, test.want)
			}
			if exists(log) != test.runs {
				t.Errorf("the hook ran: %v, want %v", exists(log), test.runs)
			}
			if exists(h.path("root/ongoing-deployment/d-ACK")) {
				t.Error("the record of the command stays")
			}
		})
	}
}

// Sixteen commands run at a time; one more is left to be handed over again.
//
// agent.md 16: 88
func TestManyCommandsAtATime(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	h.cfg.MaxRevisions = 2 * maxRunning
	h.start()
	gate := h.path("gate")
	revision := oneHook("#!/bin/sh\nwhile ! test -e "+gate+"; do sleep 0.05; done\n", "location: hook.sh", "timeout: 30").zip(t)
	var ids []string
	for i := range maxRunning {
		doc := h.put("d-"+strconv.Itoa(i), revision).with("DeploymentGroupId", "group-"+strconv.Itoa(i))
		if end := h.run("DownloadBundle", doc); end.ErrorCode != 0 {
			t.Fatal(end.Message)
		}
		ids = append(ids, h.send("AfterInstall", doc))
		h.wait("the command to run", func() bool { return len(h.commands[ids[i]].acknowledged) == 1 })
	}
	doc := h.put("d-MORE", revision).with("DeploymentGroupId", "group-more")
	more := h.send("AfterInstall", doc)
	if !waitUntil(20*time.Second, func() bool { return strings.Contains(h.log.String(), "too many commands at a time") }) {
		t.Error("the command beyond the limit was not left")
	}
	writeFile(t, gate, "")
	for _, id := range ids {
		if _, end := h.end(id); end.Status != awsapi.CommandStatusSucceeded {
			t.Errorf("%s ended with %+v", id, end)
		}
	}
	h.mu.Lock()
	if len(h.commands[more].acknowledged) != 0 {
		t.Error("the command beyond the limit was acknowledged")
	}
	h.mu.Unlock()
	h.handOver(h.commandOf(more))
	h.end(more)
}

// newAgent prepares an agent of the host without starting it.
func (h *host) newAgent() *Agent {
	h.t.Helper()
	log := logfile.NewLogger(h.log, "codedeploy-agent", true)
	id, err := identity.Load(h.t.Context(), identity.Options{Config: h.cfg, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	a, err := New(Options{Config: h.cfg, Identity: id, Log: log})
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

// nearlyOver is a command whose hour has passed but for so much time for its scripts.
func (h *host) nearlyOver(event string, left time.Duration) *commandRun {
	a := h.newAgent()
	return &commandRun{agent: a, cmd: command{name: event}, log: a.log, acknowledged: time.Now().Add(left + executor.ScriptMargin - eventLimit)}
}

// A hook that hangs is reported by the agent before the service gives the event up, however long its timeout. All scripts of
// an event share its time.
//
// agent.md 16: 192
func TestHookThatTakesTheWholeHour(t *testing.T) {
	t.Parallel()
	if eventLimit >= time.Hour || eventLimit-executor.ScriptMargin < time.Hour-time.Minute {
		t.Errorf("scripts have %v of an event, events %v; want a little less than an hour", eventLimit-executor.ScriptMargin, eventLimit)
	}
	h := newHost(t, newFake(t))
	spec := &specification{Deployment: &executor.Deployment{ID: "d-HANG", GroupID: "group-1", AppSpecFilename: "appspec.yml"}}
	oneHook("#!/bin/sh\necho hanging\nsleep 600\n", "location: hook.sh").write(t, h.archive("d-HANG"))
	end := h.nearlyOver("AfterInstall", time.Second).execute(t.Context(), spec)
	if end.diagnostics.ErrorCode != awsapi.CodeScriptTimedOut {
		t.Errorf("end = %+v, want code 3", end)
	}
	wantContains(t, "message", end.diagnostics.Message, "did not end within 1 seconds", "whatever the timeouts")
	wantContains(t, "log", end.diagnostics.Log, "[stdout]hanging\n")

	end = h.nearlyOver("AfterInstall", 0).execute(t.Context(), spec)
	if end.diagnostics.ErrorCode != awsapi.CodeScriptTimedOut {
		t.Errorf("end without any time = %+v, want code 3", end)
	}
	wantContains(t, "message", end.diagnostics.Message, "was not started", "an hour")
}

func TestDownloadThatTakesTheWholeHour(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	h.put("d-SLOW", nil)
	h.intercepting(func(_ http.ResponseWriter, r *http.Request, operation string) bool {
		if operation == "GetObject" {
			<-r.Context().Done()
		}
		return operation == "GetObject"
	})
	spec := &specification{Deployment: &executor.Deployment{ID: "d-SLOW", GroupID: "group-1", AppSpecFilename: "appspec.yml",
		Revision: source.Revision{S3: &source.S3{Bucket: "bundles", Key: "d-SLOW.zip", Type: bundle.Zip}}}}
	end := h.nearlyOver("DownloadBundle", time.Second-executor.ScriptMargin).execute(t.Context(), spec)
	if end.diagnostics.ErrorCode != awsapi.CodeUnknownError {
		t.Errorf("end = %+v, want code 5", end)
	}
	wantContains(t, "message", end.diagnostics.Message, "an hour", "s3://bundles/d-SLOW.zip")
}

// A service that has given a command up sends the next one of the group, of a rollback say, while the first still runs.
func TestLaterCommandEndsTheEarlierOfItsGroup(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc, other := h.put("d-GIVENUP", longHook(log, 600).zip(t)), h.path("other")
	elsewhere := h.put("d-ELSEWHERE", longHook(other, 2).zip(t)).with("DeploymentGroupId", "group-2")
	h.run("DownloadBundle", doc)
	h.run("DownloadBundle", elsewhere)
	unrelated := h.send("AfterInstall", elsewhere)
	id := h.send("AfterInstall", doc)
	waitFor(t, log+".pid")
	pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, log+".pid")))
	if err != nil {
		t.Fatal(err)
	}
	next := h.path("next")
	rollback := h.put("d-ROLLBACK", oneHook(fmt.Sprintf("#!/bin/sh\nkill -0 %d 2>/dev/null && echo beside > %[2]s || echo alone > %[2]s\n", pid, next), "location: hook.sh").zip(t))
	h.run("DownloadBundle", rollback)
	h.run("AfterInstall", rollback)
	if got := readFile(t, next); got != "alone\n" {
		t.Errorf("the later hook ran %s the earlier one", got)
	}
	_, end := h.end(id)
	wantContains(t, "message", end.Message, "a later command of the same deployment group")
	if _, end := h.end(unrelated); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("a command of another group ended with %+v", end)
	}
}

// A turn is only over when those before it are, also if its command has been given up while it waited.
func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var turns turns
		first, firstDone, err := turns.take(t.Context(), "g")
		if err != nil {
			t.Fatal(err)
		}
		second := make(chan error, 1)
		go func() { _, _, err := turns.take(t.Context(), "g"); second <- err }()
		synctest.Wait()
		if !errors.Is(context.Cause(first), errOvertaken) {
			t.Error("the first command was not ended")
		}
		third := make(chan func(), 1)
		go func() { _, done, _ := turns.take(t.Context(), "g"); third <- done }()
		if err := <-second; !errors.Is(err, errOvertaken) {
			t.Errorf("the second command got %v, want errOvertaken", err)
		}
		synctest.Wait()
		if len(third) > 0 {
			t.Fatal("the third command runs beside the first")
		}
		firstDone()
		(<-third)()
		if len(turns.latest) != 0 {
			t.Error("a turn is left")
		}
	})
}
