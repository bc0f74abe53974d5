package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/agent/config"
	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/identity"
	"grapnel/internal/agent/logfile"
	"grapnel/internal/awsapi"
)

// call is one request as the service got it.
type call struct {
	Operation string
	Input     map[string]any
}

// recordCalls has every call but polls written down.
func (f *fake) recordCalls() (calls func() []call) {
	var recorded []call
	f.intercepting(func(_ http.ResponseWriter, r *http.Request, operation string) bool {
		if operation == "PollHostCommand" || operation == "GetObject" {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false // the agent has given the call up
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		c := call{Operation: operation}
		if err := json.Unmarshal(body, &c.Input); err != nil {
			f.t.Errorf("%s: %v", operation, err)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		recorded = append(recorded, c)
		return false
	})
	return func() []call {
		f.mu.Lock()
		defer f.mu.Unlock()
		return recorded
	}
}

// The calls of a command are those of stock agents in their order, each made once, and none is made before there is a command.
//
// agent.md 16: 77, 82, 85, 115
// agent.md 17: 16
func TestCallsOfACommand(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	calls := h.recordCalls()
	h.start()
	doc := h.put("d-A", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))
	h.run("DownloadBundle", doc)
	h.run("ValidateService", doc) // a no-op
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	envelope := func(payload string) map[string]any { return map[string]any{"Format": "JSON", "Payload": payload} }
	want := []call{
		{"GetDeploymentSpecification", map[string]any{"DeploymentExecutionId": "arn/123456789012/DownloadBundle/1", "HostIdentifier": testHost}},
		{"PutHostCommandAcknowledgement", map[string]any{"HostCommandIdentifier": "command-1", "Diagnostics": envelope(`{"IsCommandNoop":false}`)}},
		{"PutHostCommandComplete", map[string]any{"HostCommandIdentifier": "command-1", "CommandStatus": "Succeeded",
			"Diagnostics": envelope(`{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}`)}},
		{"GetDeploymentSpecification", map[string]any{"DeploymentExecutionId": "arn/123456789012/ValidateService/2", "HostIdentifier": testHost}},
		{"PutHostCommandAcknowledgement", map[string]any{"HostCommandIdentifier": "command-2", "Diagnostics": envelope(`{"IsCommandNoop":true}`)}},
	}
	if diff := cmp.Diff(want, calls()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// A command that is handed over again while it runs, or after it has ended, is not run again.
//
// agent.md 16: 89
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

// SIGTERM killed the running hook, the report failed with a cancelled context, and the record of the command was removed.
//
// agent.md 16: 90, 199
// agent.md 17: 5
// users.md mistakes: 6
func TestMistake6StopInAHookLetsItEndAndReports(t *testing.T) {
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

// agent.md 17: 4
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
//
// agent.md 16: 110
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

// A panic in a command was swallowed, and the service waited for its timeout.
//
// users.md mistakes: 3
func TestMistake3PanicIsReported(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	a := h.newAgent()
	var err error
	if a.executor, err = executor.New(h.cfg, a.id, nil, nil); err != nil { // a download that has something to log panics
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	for _, deployment := range []string{"d-ONE", "d-TWO"} { // the agent goes on
		end := h.run("DownloadBundle", h.put(deployment, nil).with("ReuseArchiveFromDeploymentId", "d-GONE"))
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

// agent.md 16: 71-73
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
		spoilt(func(c *awsapi.HostCommand) { c.CommandName = nil }),
		spoilt(func(c *awsapi.HostCommand) { c.HostCommandIdentifier = nil }),
	}
	taken := spoilt(func(c *awsapi.HostCommand) { c.HostIdentifier = aws.String("user/host-1") }) // a part is enough
	calls := h.recordCalls()
	h.start()
	h.end(taken)
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	var specifications []any
	for _, c := range calls() {
		if c.Operation == "GetDeploymentSpecification" {
			specifications = append(specifications, c.Input["DeploymentExecutionId"])
		}
	}
	if diff := cmp.Diff([]any{"arn/123456789012/DownloadBundle/6"}, specifications); diff != "" {
		t.Errorf("specifications fetched (-want +got):\n%s", diff)
	}
	for line, want := range map[string]int{"ERROR .*ignored a command for another host": 2, "ERROR .*ignored a command without a name": 3} {
		if got := len(regexp.MustCompile(line).FindAllString(h.log.String(), -1)); got != want {
			t.Errorf("the log says %d times %q, want %d", got, line, want)
		}
	}
	for _, id := range ignored {
		if c := h.commands[id]; len(c.acknowledged) > 0 || len(c.completed) > 0 {
			t.Errorf("%s was taken", id)
		}
	}
}

// offline is a network that is away: every connection is refused.
type offline struct {
	mu       sync.Mutex
	at       []time.Time
	requests []*http.Request
	reply    func(n int) (int, string) // to the n-th request; status 0 refuses it, nil refuses all
	noKeys   func() error              // why there is nothing to sign with; nil = there are keys
	log      lockedBuffer
}

func (o *offline) RoundTrip(r *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.at = append(o.at, time.Now())
	o.requests = append(o.requests, r)
	n := len(o.at)
	o.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	if o.reply == nil {
		return nil, refused
	}
	status, body := o.reply(n)
	if status == 0 {
		return nil, refused
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: io.NopCloser(strings.NewReader(body)), Request: r, Header: http.Header{}}, nil
}

// offlineAgent prepares an agent for a network.
func offlineAgent(t *testing.T, network *offline, wait time.Duration) *Agent {
	cfg := config.Default()
	cfg.RootDir = filepath.Join(t.TempDir(), "root")
	cfg.WaitBetweenRuns = wait
	keys := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		if network.noKeys != nil {
			if err := network.noKeys(); err != nil {
				return aws.Credentials{}, err
			}
		}
		return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "s"}, nil
	})
	a, err := New(Options{Config: cfg, Identity: identity.Identity{CommandEndpoint: "http://127.0.0.1:1", HostID: testHost, Region: "us-east-1", Credentials: keys},
		Log: logfile.NewLogger(&network.log, "codedeploy-agent", false)})
	if err != nil {
		t.Fatal(err)
	}
	a.service.client.HTTP = &http.Client{Transport: network}
	return a
}

// pollFor runs an agent against a network for a while, on the bubble's clock.
func pollFor(t *testing.T, network *offline, wait, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := offlineAgent(t, network, wait).Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// wantPauses compares the times between requests with what they must be at least, and at most a tenth more.
func (o *offline) wantPauses(t *testing.T, seconds ...int) {
	t.Helper()
	for i, want := range seconds {
		least := time.Duration(want) * time.Second
		if got := o.at[i+1].Sub(o.at[i]); got < least || got > least*11/10+time.Millisecond {
			t.Errorf("pause %d = %v, want %v and at most a tenth more", i+1, got, least)
		}
	}
}

// agent.md 16: 74
func TestPausesAfterPollErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{}
		pollFor(t, network, time.Second, 15*time.Minute)
		network.wantPauses(t, 10, 13, 17, 21, 27, 34, 44, 56, 71, 90, 90)
	})
}

// agent.md 16: 75
func TestPollThatSucceedsEndsTheBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{reply: func(n int) (int, string) {
			if n == 4 {
				return 200, "{}"
			}
			return 0, ""
		}}
		pollFor(t, network, 5*time.Second, 2*time.Minute)
		network.wantPauses(t, 10, 13, 17, 5, 10, 13)
	})
}

// Whatever a poll fails of, the agent goes on, and its log says what it was.
//
// agent.md 16: 76
func TestNoFailureEndsThePolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		network := &offline{
			noKeys: func() error {
				if asked++; asked == 1 {
					return errors.New("the file is empty")
				}
				return nil
			},
			reply: func(n int) (int, string) {
				switch n {
				case 1:
					return 0, ""
				case 2:
					return 500, `{"__type":"ServerException","message":"out of order"}`
				case 3:
					return 400, `{"__type":"ClientException","message":"who is there?"}`
				case 4:
					return 200, "not JSON"
				}
				return 200, "{}"
			},
		}
		pollFor(t, network, 30*time.Second, 5*time.Minute)
		if got := len(network.requests); got < 8 {
			t.Errorf("%d polls, want four that fail and many more", got)
		}
		log := network.log.String()
		wantContains(t, "log", log, "no credentials: the file is empty", "check the keys in the on-premises file", "connection refused",
			"the service cannot be reached", "ServerException", "out of order", "ClientException", "who is there?")
		if got := strings.Count(log, "polling failed"); got != 5 {
			t.Errorf("the log tells of %d failures, want 5:\n%s", got, log)
		}
	})
}

// The pause between polls is for services that answer at once; one that has held the poll is asked again without it. An
// empty answer leads to nothing but the next poll.
//
// agent.md 16: 70
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
		for _, r := range network.requests {
			if target := r.Header.Get("X-Amz-Target"); target != awsapi.CommandPrefix+".PollHostCommand" {
				t.Errorf("an empty poll is followed by %s", target)
			}
		}
	})
}

// A poll that has brought a command is followed by the next at once, whatever the pause between polls: a deployment is many
// commands.
//
// agent.md 17: 3
func TestPollFollowsACommandAtOnce(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	h.cfg.WaitBetweenRuns = time.Hour
	h.start()
	h.mustDeploy(h.put("d-SEVEN", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t)))
}

// While the service says that there are too many calls, the same one is repeated after longer and longer pauses.
//
// agent.md 16: 91
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

// Calls that were not refused themselves wait too while another one is held back.
//
// agent.md 16: 91
func TestThrottlingHoldsEveryCallBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		network := &offline{reply: func(n int) (int, string) {
			if n == 1 {
				return 429, "{}"
			}
			return 200, "{}"
		}}
		a := offlineAgent(t, network, 0)
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := a.service.poll(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		calls.Go(func() {
			if err := a.service.complete(t.Context(), "c-1", succeeded("")); err != nil {
				t.Error(err)
			}
		})
		calls.Go(func() {
			if _, err := a.service.update(t.Context(), "c-1", "{}"); err != nil {
				t.Error(err)
			}
		})
		calls.Wait()
		if len(network.at) != 4 {
			t.Fatalf("%d requests, want the refused one, its repetition and two others", len(network.at))
		}
		for _, at := range network.at[1:] {
			if waited := at.Sub(network.at[0]); waited < time.Second {
				t.Errorf("a call waited %v, want it to wait with the one that was refused", waited)
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
