package agent

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapnel/internal/awsapi"
)

// What the agent does after an acknowledgement depends on the status that the service answers (agent.md 4.4).
func TestAcknowledgementDecides(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status string
		noop   bool
		runs   bool
		want   []string // messages of the completions
	}{
		{"Succeeded", false, false, nil},
		{"Succeeded", true, false, nil},
		{"Failed", false, false, nil},
		{"Failed", true, false, []string{"Succeeded: CompletedNoopCommand"}},
		{"InProgress", false, true, []string{"Succeeded: "}},
		{"", false, true, []string{"Succeeded: "}},
		{"", true, false, []string{"Succeeded: "}},
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
				got = append(got, c.Message)
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
func TestManyCommandsAtATime(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	h.cfg.MaxRevisions = 2 * maxRunning
	h.start()
	gate := h.path("gate")
	revision := oneHook("#!/bin/sh\nwhile ! test -e "+gate+"; do sleep 0.05; done\n", "location: hook.sh", "timeout: 30").zip(t)
	var ids []string
	for i := range maxRunning {
		doc := h.put("d-"+strconv.Itoa(i), revision)
		if end := h.run("DownloadBundle", doc); end.ErrorCode != 0 {
			t.Fatal(end.Message)
		}
		ids = append(ids, h.send("AfterInstall", doc))
		h.wait("the command to run", func() bool { return len(h.commands[ids[i]].acknowledged) == 1 })
	}
	doc := h.put("d-MORE", revision)
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
