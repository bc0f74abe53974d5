package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/identity"
	"grapnel/internal/awsapi"
)

func (f *fake) operations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.order...)
}

// The order of calls per command is that of stock agents (agent.md 17), and each is made once.
func TestOrderOfCalls(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.run("DownloadBundle", h.put("d-A", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t)))
	var calls []string
	for _, operation := range h.operations() {
		if operation != "PollHostCommand" {
			calls = append(calls, operation)
		}
	}
	want := []string{"GetDeploymentSpecification", "PutHostCommandAcknowledgement", "PutHostCommandComplete"}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// A command that is handed over again while it runs, or after it has ended, is not run again.
func TestCommandHandedOverTwice(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc := h.put("d-TWICE", longHook(log, 1).zip(t))
	h.run("DownloadBundle", doc)
	id := h.send("AfterInstall", doc)
	waitFor(t, log)
	again := h.commandOf(id)
	h.handOver(again, again)
	h.end(id)
	h.handOver(again)
	h.wait("the second report", func() bool { return len(h.commands[id].completed) == 2 })
	if got := readFile(t, log); got != "started\nended\n" {
		t.Errorf("trace = %q, want the hook to have run once", got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.commands[id]; len(c.acknowledged) != 1 || c.completed[0] != c.completed[1] {
		t.Errorf("command = %+v, want one acknowledgement and the same report twice", c)
	}
}

// A completion whose reply is lost, or that finds no service, is sent again until it is answered.
func TestCompletionIsDelivered(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc := h.put("d-LOST", oneHook(trace(log, "ran"), "location: hook.sh").zip(t))
	h.run("DownloadBundle", doc)
	var lost, refused atomic.Bool
	h.mu.Lock()
	h.dropReply = func(operation string) bool {
		return operation == "PutHostCommandComplete" && lost.CompareAndSwap(false, true)
	}
	h.intercept = func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation != "PutHostCommandComplete" || !lost.Load() || !refused.CompareAndSwap(false, true) {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	h.mu.Unlock()
	id := h.send("AfterInstall", doc)
	h.wait("two reports", func() bool { return len(h.commands[id].completed) == 2 })
	if got := readFile(t, log); got != "AfterInstall ran\n" {
		t.Errorf("trace = %q, want the hook to have run once", got)
	}
	if !waitUntil(10*time.Second, func() bool { return !exists(h.path("root/ongoing-deployment/d-LOST")) }) {
		t.Error("the record of the command stays although the report was delivered")
	}
}

// Mistake 6 of users.md: SIGTERM kills the running hook, and nothing is reported.
func TestStopInAHook(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc := h.put("d-STOP", longHook(log, 1).zip(t))
	h.run("DownloadBundle", doc)
	id := h.send("AfterInstall", doc)
	waitFor(t, log)
	ended := make(chan error, 1)
	go func() { ended <- h.stop() }()
	h.wait("the held poll to be given up", func() bool { return h.polls == 0 })
	never := h.send("ValidateService", doc)
	if err := <-ended; err != nil {
		t.Errorf("the agent ended with %v", err)
	}
	if _, end := h.end(id); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("end = %+v, want success", end)
	}
	if got := readFile(t, log); got != "started\nended\n" {
		t.Errorf("trace = %q, want the hook to have ended by itself", got)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queue) != 1 || len(h.commands[never].acknowledged) != 0 {
		t.Error("a command was taken after the agent was told to stop")
	}
}

func TestStopWhileAPollIsHeld(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.wait("a held poll", func() bool { return h.polls == 1 })
	start := time.Now()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("stopping took %v, want it at once", took)
	}
}

// A hook that does not end in the time the configuration gives is ended, and its record stays for the next start.
func TestStopDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	h.cfg.KillAgentMaxWait = 100 * time.Millisecond
	h.start()
	log := h.path("trace")
	doc := h.put("d-SLOW", longHook(log, 600).zip(t))
	h.run("DownloadBundle", doc)
	id := h.send("AfterInstall", doc)
	waitFor(t, log)
	stop := h.stop
	h.stop = func() error { return nil }
	if err := stop(); !errors.Is(err, errKilled) {
		t.Errorf("the agent ended with %v, want errKilled", err)
	}
	h.stop = func() error { stop(); return nil } //nolint:errcheck // checked above
	if got := readFile(t, h.path("root/ongoing-deployment/d-SLOW")); got != id {
		t.Errorf("the record holds %q, want %q", got, id)
	}
}

// Mistake 3 of users.md: a panic in a command is swallowed, and the service waits for its timeout.
func TestPanicIsReported(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	a := h.newAgent()
	a.executor.Source = nil // a download panics
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for _, deployment := range []string{"d-ONE", "d-TWO"} { // the agent goes on
		end := h.run("DownloadBundle", h.put(deployment, nil))
		if end.ErrorCode != awsapi.CodeUnknownError {
			t.Errorf("end = %+v, want code 5", end)
		}
		wantContains(t, "message", end.Message, "a defect of the agent", "nil pointer")
	}
	wantContains(t, "log", h.log.String(), "download.go")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCommandsForOthersAreIgnored(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	doc := h.put("d-X", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))
	spoilt := func(spoil func(*awsapi.HostCommand)) string {
		id := h.send("DownloadBundle", doc)
		spoil(h.queue[len(h.queue)-1]) // nobody polls yet
		return id
	}
	ignored := []string{
		spoilt(func(c *awsapi.HostCommand) { c.HostIdentifier = aws.String(testHost + "0") }),
		spoilt(func(c *awsapi.HostCommand) { c.HostIdentifier = nil }),
		spoilt(func(c *awsapi.HostCommand) { c.CommandName = aws.String("") }),
		spoilt(func(c *awsapi.HostCommand) { c.HostCommandIdentifier = nil }),
	}
	taken := spoilt(func(c *awsapi.HostCommand) { c.HostIdentifier = aws.String("user/host-1") }) // a part is enough
	h.start()
	h.end(taken)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ignored {
		if c := h.commands[id]; len(c.acknowledged) > 0 || len(c.completed) > 0 {
			t.Errorf("%s was taken", id)
		}
	}
}

// offline is a network that is away: every connection is refused.
type offline struct {
	mu    sync.Mutex
	at    []time.Time
	reply func(n int) (int, string) // nil refuses
}

func (o *offline) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.at = append(o.at, time.Now())
	n := len(o.at)
	o.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if o.reply == nil {
		return nil, errors.New("connection refused")
	}
	status, body := o.reply(n)
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)), Request: r, Header: http.Header{}}, nil
}

// pollFor runs an agent against a network for a while, on the bubble's clock.
func pollFor(t *testing.T, network *offline, wait, d time.Duration) *Agent {
	cfg := config.Default()
	cfg.RootDir = filepath.Join(t.TempDir(), "root")
	cfg.WaitBetweenRuns = wait
	cfg.DeployControlEndpoint = "http://127.0.0.1:1"
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
	})
	a, err := New(Options{Config: cfg, Identity: identity.Identity{CommandEndpoint: "http://127.0.0.1:1", HostID: testHost, Region: "us-east-1", Credentials: keys}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a.service.client.HTTP = &http.Client{Transport: network}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := a.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPausesAfterPollErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{}
		pollFor(t, network, time.Second, 15*time.Minute)
		for i, want := range []time.Duration{10, 13, 17, 21, 27, 34, 44, 56, 71, 90, 90} {
			got := network.at[i+1].Sub(network.at[i])
			if got < want*time.Second || got > want*time.Second*11/10+time.Millisecond {
				t.Errorf("pause %d = %v, want %d s and at most a tenth more", i+1, got, want)
			}
		}
	})
}

// The pause between polls is for services that answer at once; one that has held the poll is asked again without it.
func TestPauseBetweenPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{reply: func(n int) (int, string) {
			if n > 2 {
				time.Sleep(45 * time.Second)
			}
			return 200, "{}"
		}}
		pollFor(t, network, 30*time.Second, 4*time.Minute)
		var gaps []time.Duration
		for i := range 4 {
			gaps = append(gaps, network.at[i+1].Sub(network.at[i]))
		}
		want := []time.Duration{30 * time.Second, 30 * time.Second, 45 * time.Second, 45 * time.Second}
		if diff := cmp.Diff(want, gaps); diff != "" {
			t.Errorf("time between polls (-want +got):\n%s", diff)
		}
	})
}

// While the service says that there are too many calls, all of them wait.
func TestThrottling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{reply: func(n int) (int, string) {
			if n <= 3 {
				return 429, `{"__type":"ThrottlingException"}`
			}
			time.Sleep(time.Hour)
			return 200, "{}"
		}}
		pollFor(t, network, 0, time.Minute)
		for i, want := range []time.Duration{1, 2, 4} {
			got := network.at[i+1].Sub(network.at[i])
			if got < want*time.Second || got > want*time.Second*5/4 {
				t.Errorf("pause %d = %v, want %d s and at most a quarter more", i+1, got, want)
			}
		}
	})
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	if answered(errors.New("refused")) || answered(nil) || !answered(&refusal{"no"}) {
		t.Error("a network error is no answer, a refusal is one")
	}
}

// A report that gets through shows that the service is back: the next poll does not wait for the end of its pause.
func TestReportEndsThePause(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc := h.put("d-BACK", longHook(log, 2).zip(t))
	h.run("DownloadBundle", doc)
	h.wait("a held poll", func() bool { return h.polls == 1 })
	var away atomic.Bool
	h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation != "PollHostCommand" || !away.CompareAndSwap(false, true) {
			return false
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	first := h.send("AfterInstall", doc) // the held poll takes it, and the next one fails
	if !waitUntil(20*time.Second, func() bool { return strings.Contains(h.log.String(), "polling failed") }) {
		t.Fatal("no poll failed")
	}
	next := h.send("ValidateService", doc)
	start := time.Now()
	h.end(first)
	h.end(next)
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("the next command was taken after %v, want it right after the report", took)
	}
}

// A report of long ago does not shorten the pause after a failure of now.
func TestPollThatSucceedsForgetsReports(t *testing.T) {
	t.Parallel()
	a := newHost(t, newFake(t)).newAgent()
	a.reported <- struct{}{}
	a.dispatch(t.Context(), nil, &pacer{})
	if len(a.reported) != 0 {
		t.Error("the report before the successful poll would end the next pause")
	}
}

// The service is away when a hook has ended and the agent is stopped: it ends soon, and the next start says how the hook
// ended.
func TestStopWhileTheServiceIsAway(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc := h.put("d-AWAY", oneHook(trace(log, "ran"), "location: hook.sh").zip(t))
	h.run("DownloadBundle", doc)
	h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation == "PutHostCommandComplete" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return operation == "PutHostCommandComplete"
	})
	id := h.send("AfterInstall", doc)
	if !waitUntil(20*time.Second, func() bool { return readReport(h.path("root/ongoing-deployment/.d-AWAY.report"), id) != nil }) {
		t.Fatal("the report is not on record")
	}
	start := time.Now()
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("stopping took %v, want a few seconds", took)
	}
	h.intercepting(nil)
	h.start()
	if _, end := h.end(id); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("after the restart the end is %+v, want success", end)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, log); got != "AfterInstall ran\n" {
		t.Errorf("trace = %q, want the hook to have run once", got)
	}
	if left := tree(t, h.path("root/ongoing-deployment")); len(left) != 1 {
		t.Errorf("records left: %v", left)
	}
}
