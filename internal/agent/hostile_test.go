package agent

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/script"
)

// A proxy's login page is no answer of the service: the report is sent again.
func TestLoginPageIsNoDelivery(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	doc := h.put("d-LOGIN", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))
	var pages atomic.Int32
	h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation != "PutHostCommandComplete" || pages.Add(1) > 2 {
			return false
		}
		if pages.Load() == 1 {
			io.WriteString(w, "<html>please log in</html>")
		} else {
			http.Redirect(w, &http.Request{Method: "GET"}, "/login", http.StatusFound)
		}
		return true
	})
	id := h.send("DownloadBundle", doc)
	h.wait("the report after two login pages", func() bool { return len(h.commands[id].completed) == 1 })
}

// A signed request, with the session token in its headers, goes nowhere but to the service, whatever the service answers.
func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		io.WriteString(w, "{}")
	}))
	t.Cleanup(stranger.Close)
	h := newHost(t, newFake(t))
	var polls atomic.Int32
	h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation == "PollHostCommand" {
			polls.Add(1)
			w.Header().Set("Location", stranger.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
		return operation == "PollHostCommand"
	})
	h.start()
	if !waitUntil(20*time.Second, func() bool { return strings.Contains(h.log.String(), "polling failed") }) {
		t.Error("the redirect counts as a poll that succeeded")
	}
	if asked.Load() > 0 {
		t.Error("the request was sent to a stranger")
	}
}

// A service that hands an ended command out again and again is polled at once only the first time.
func TestEndedCommandHandedOutForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{reply: func(int) (int, string) {
			return http.StatusOK, `{"HostCommand":{"HostIdentifier":"` + testHost + `","HostCommandIdentifier":"c","DeploymentExecutionId":"a/b/c/d","CommandName":"Install"}}`
		}}
		pollFor(t, network, 10*time.Second, time.Minute)
		if n := len(network.at); n > 100 {
			t.Errorf("%d calls in a minute", n)
		}
	})
}

// A clock that jumps makes a record stale: nobody asks about the command any more, but its script must not go on.
func TestStaleRecordEndsItsScript(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	sleeper := exec.Command("sleep", "600")
	sleeper.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- sleeper.Wait() }()
	group, err := script.Group{}.Identify(sleeper.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	tr := newTracker(h.cfg)
	if err := tr.begin(t.Context(), "d-OLD", "c-old"); err != nil {
		t.Fatal(err)
	}
	if err := tr.script("d-OLD", group); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(filepath.Join(tr.dir, "d-OLD"), old, old); err != nil {
		t.Fatal(err)
	}
	h.start()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		sleeper.Process.Kill() //nolint:errcheck // the test has failed
		t.Error("the script of a stale record goes on")
	}
	if !waitUntil(10*time.Second, func() bool { return len(tree(t, tr.dir)) == 1 }) {
		t.Errorf("left: %v", tree(t, tr.dir))
	}
}

func TestAddressIsShownWithoutItsPassword(t *testing.T) {
	t.Parallel()
	if got := shown("https://user:hush@deploy.example:8700"); strings.Contains(got, "hush") || !strings.Contains(got, "deploy.example:8700") {
		t.Errorf("shown as %q", got)
	}
}
