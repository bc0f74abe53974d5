package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/server"
)

// fleet is a server in this process with agents that run no scripts but say what scripts would write.
type fleet struct {
	t      *testing.T
	client *client
	agents map[string]*fakeAgent
}

// fakeAgent speaks the host-command protocol as a registered host.
type fakeAgent struct {
	t    *testing.T
	name string
	arn  string
	call func(operation string, in, out any)
	seq  int64
}

func newFleet(t *testing.T, names ...string) *fleet {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	s, err := server.New(ctx, server.Options{DataDir: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	root := aws.Credentials{AccessKeyID: s.Root().AccessKeyID, SecretAccessKey: s.Root().SecretAccessKey}
	f := &fleet{t: t, agents: map[string]*fakeAgent{}, client: &client{endpoint: s.URL(), region: "us-east-1", creds: root, http: http.DefaultClient}}
	for _, name := range names {
		f.agents[name] = f.register(name)
	}
	f.must("CreateApplication", &awsapi.CreateApplicationInput{ApplicationName: new("shop")}, nil)
	f.must("CreateDeploymentGroup", &awsapi.CreateDeploymentGroupInput{
		ApplicationName: new("shop"), DeploymentGroupName: new("web"), DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"),
		ServiceRoleArn: new("arn:aws:iam::000000000000:role/x"),
		OnPremisesInstanceTagFilters: []awsapi.TagFilter{
			{Key: new("fleet"), Value: new("web"), Type: awsapi.TagFilterTypeKeyAndValue},
		},
	}, nil)
	return f
}

func (f *fleet) register(name string) *fakeAgent {
	f.t.Helper()
	token := &awsapi.CreateJoinTokenInput{InstanceName: &name, Tags: []awsapi.Tag{{Key: new("fleet"), Value: new("web")}}}
	var made awsapi.CreateJoinTokenOutput
	if err := f.client.grapnel(f.t.Context(), "CreateJoinToken", token, &made); err != nil {
		f.t.Fatal(err)
	}
	var r awsapi.JoinOutput
	api := awsjson.Client{Endpoint: f.client.endpoint + awsapi.JoinPath}
	if err := api.Call(f.t.Context(), "Join", awsapi.JoinInput{Token: made.Token, Attempt: new("the attempt of " + name)}, &r); err != nil {
		f.t.Fatal(err)
	}
	host := &client{
		endpoint: f.client.endpoint, region: "us-east-1", http: http.DefaultClient,
		creds: aws.Credentials{AccessKeyID: *r.AccessKeyId, SecretAccessKey: *r.SecretAccessKey},
	}
	return &fakeAgent{t: f.t, name: name, arn: *r.IamUserArn, call: func(operation string, in, out any) {
		f.t.Helper()
		if err := host.json(f.t.Context(), awsapi.CommandService, awsapi.CommandPrefix+"."+operation, in, out); err != nil {
			f.t.Errorf("%s %s: %v", name, operation, err)
		}
	}}
}

func (f *fleet) must(operation string, in, out any) {
	f.t.Helper()
	if err := f.client.call(f.t.Context(), operation, in, out); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleet) deploy() (id string) {
	f.t.Helper()
	etag, err := f.client.put(f.t.Context(), "bundles", "app.zip", []byte("nobody reads it"))
	if err != nil {
		f.t.Fatal(err)
	}
	var created awsapi.CreateDeploymentOutput
	f.must("CreateDeployment", &awsapi.CreateDeploymentInput{
		ApplicationName: new("shop"), DeploymentGroupName: new("web"),
		Revision: &awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeS3, S3Location: &awsapi.S3Location{
			Bucket: new("bundles"), Key: new("app.zip"), BundleType: awsapi.BundleTypeZip, ETag: &etag,
		}},
	}, &created)
	return *created.DeploymentId
}

// take polls for the next command and acknowledges it.
func (a *fakeAgent) take() (work, event string) {
	a.t.Helper()
	var polled awsapi.PollHostCommandOutput
	a.call("PollHostCommand", awsapi.PollHostCommandInput{HostIdentifier: &a.arn}, &polled)
	if polled.HostCommand == nil {
		a.t.Errorf("%s: no command", a.name)
		return "", ""
	}
	work, event = *polled.HostCommand.HostCommandIdentifier, *polled.HostCommand.CommandName
	a.call("PutHostCommandAcknowledgement", awsapi.PutHostCommandAcknowledgementInput{HostCommandIdentifier: &work}, nil)
	a.seq = 0
	return work, event
}

// write sends lines as one update.
func (a *fakeAgent) write(work, script string, lines ...string) {
	a.t.Helper()
	a.seq++
	said := awsapi.UpdateDiagnostics{Seq: a.seq}
	for _, l := range lines {
		said.Lines = append(said.Lines, awsapi.LogLine{Time: 1_700_000_000_000, Script: script, Stream: "stdout", Text: l})
	}
	payload, err := json.Marshal(said)
	if err != nil {
		a.t.Error(err)
	}
	a.call("PostHostCommandUpdate", awsapi.PostHostCommandUpdateInput{
		HostCommandIdentifier: &work, Diagnostics: &awsapi.Envelope{Format: new("JSON"), Payload: new(string(payload))},
	}, nil)
}

func (a *fakeAgent) complete(work string, status awsapi.CommandStatus, payload string) {
	a.t.Helper()
	a.call("PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{
		HostCommandIdentifier: &work, CommandStatus: status, Diagnostics: &awsapi.Envelope{Format: new("JSON"), Payload: &payload},
	}, nil)
}

// succeed runs every command until it has completed one of the event, and writes in those that have hooks.
func (a *fakeAgent) succeed(until string) {
	for event := ""; event != until && !a.t.Failed(); {
		var work string
		work, event = a.take()
		if event == "AfterInstall" || event == "ValidateService" {
			a.write(work, "scripts/run.sh", event+" on "+a.name, "done")
		}
		a.complete(work, awsapi.CommandStatusSucceeded, `{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}`)
	}
}

// screen is what a command has printed so far, with a way to wait for a part of it.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *screen) waitFor(t *testing.T, text string) {
	t.Helper()
	for deadline := time.After(20 * time.Second); !strings.Contains(s.String(), text); {
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("%q did not appear in:\n%s", text, s)
		}
	}
}

// follow follows a deployment in the background.
func (f *fleet) follow(ctx context.Context, id, host string, json bool) (*screen, <-chan error) {
	out, ended := newScreen(), make(chan error, 1)
	flw := &follower{client: f.client, id: id, host: host, shown: map[string]awsapi.LifecycleEventStatus{}, notes: out, show: newTextView(out, host == "")}
	if json {
		flw.show = newJSONView(out)
	}
	go func() {
		err := flw.follow(ctx)
		fmt.Fprintf(out, "(the end: %v)\n", err)
		ended <- err
	}()
	return out, ended
}

// TestFollowShowsLinesWhileTheScriptRuns: users.md row 2. The script has not ended when its line is on the screen.
func TestFollowShowsLinesWhileTheScriptRuns(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1", "web-2")
	id := f.deploy()
	out, ended := f.follow(t.Context(), id, "", false)
	one, two := f.agents["web-1"], f.agents["web-2"]
	one.succeed("BeforeInstall")
	work, event := one.take()
	one.write(work, "scripts/install.sh", "unpacking of "+event)
	out.waitFor(t, "web-1          | unpacking of Install\n")
	one.complete(work, awsapi.CommandStatusSucceeded, "")
	one.succeed("ValidateService")
	two.succeed("ValidateService")
	if err := <-ended; err != nil {
		t.Errorf("followed to %v, want success", err)
	}
	got := out.String()
	for _, want := range []string{
		"  web-1        Install          scripts/install.sh\n", "AfterInstall on web-2\n", "ValidateService on web-1\n", "Succeeded in ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if line, end := strings.Index(got, "| unpacking"), strings.Index(got, "web-1        Install          Succeeded"); line > end {
		t.Errorf("an event's end is above its last line:\n%s", got)
	}
}

// TestFollowShowsThePastInItsOrder: the hosts' clocks are years behind, one host fails, and all is over.
func TestFollowShowsThePastInItsOrder(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1", "web-2")
	id := f.deploy()
	f.agents["web-1"].succeed("ValidateService")
	work, event := f.agents["web-2"].take()
	f.agents["web-2"].write(work, "stop.sh", "broken "+event)
	f.agents["web-2"].complete(work, awsapi.CommandStatusFailed, `{"error_code":4,"script_name":"stop.sh","message":"exit code 3","log":""}`)
	out, ended := f.follow(t.Context(), id, "", false)
	if err := <-ended; err != nil {
		t.Errorf("followed to %v, want success", err)
	}
	rest := out.String()
	for _, want := range []string{
		"web-1        Install          Succeeded", "| AfterInstall on web-1", "| done", "web-1        AfterInstall     Succeeded",
		"web-1        ApplicationStart Succeeded", "| ValidateService on web-1", "web-1        ValidateService  Succeeded",
		"| broken ", "ScriptFailed: exit code 3", "but not on all hosts: 1 failed, 0 skipped",
	} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q is missing, or not in its place, in:\n%s", want, out)
		}
		rest = after
	}
}

func TestLogsOfAHostThatTakesNoPart(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1", "web-2")
	id := f.deploy()
	f.agents["web-1"].take()
	l := logReader{client: f.client, id: id, host: "nope", line: plainLines(t.Output(), false)}
	if _, err := l.print(t.Context()); exitCode(err) != 1 || !strings.Contains(fmt.Sprint(err), "no host nope takes part") || !strings.Contains(fmt.Sprint(err), "web-1, web-2") {
		t.Errorf("exit %d with %v, want 1 and the hosts that do take part", exitCode(err), err)
	}
}

func TestFollowTellsHowItEnded(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1")
	agent := f.agents["web-1"]

	failed := f.deploy()
	out, ended := f.follow(t.Context(), failed, "", false)
	agent.succeed("Install")
	work, _ := agent.take()
	agent.write(work, "scripts/migrate.sh", "no such table")
	agent.complete(work, awsapi.CommandStatusFailed, `{"error_code":4,"script_name":"scripts/migrate.sh","message":"exit code 3","log":"[stderr]no such table\n"}`)
	err := <-ended
	if exitCode(err) != 1 || !strings.Contains(err.Error(), failed+": Failed: HEALTH_CONSTRAINTS") {
		t.Errorf("exit %d with %v, want 1 and why", exitCode(err), err)
	}
	if got := out.String(); !strings.Contains(got, "| no such table") || !strings.Contains(got, "ScriptFailed: exit code 3") {
		t.Errorf("the screen does not say what failed:\n%s", got)
	}

	stopped := f.deploy()
	work, _ = agent.take()
	f.must("StopDeployment", &awsapi.StopDeploymentInput{DeploymentId: &stopped}, nil)
	agent.complete(work, awsapi.CommandStatusSucceeded, "") // what has begun is not torn down
	out, ended = f.follow(t.Context(), stopped, "web-1", true)
	if err = <-ended; exitCode(err) != 3 {
		t.Errorf("exit %d with %v, want 3", exitCode(err), err)
	}
	for line := range strings.Lines(strings.TrimSuffix(out.String(), fmt.Sprintf("(the end: %v)\n", err))) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if !strings.Contains(out.String(), `"type":"deployment"`) {
		t.Errorf("the end is not among:\n%s", out)
	}
}

func TestFollowLeavesTheDeploymentRunning(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1")
	id := f.deploy()
	ctx, interrupt := context.WithCancel(t.Context())
	out, ended := f.follow(ctx, id, "", false)
	work, _ := f.agents["web-1"].take()
	f.agents["web-1"].write(work, "a.sh", "hello")
	out.waitFor(t, "hello")
	interrupt()
	if err := <-ended; exitCode(err) != 130 || !strings.Contains(err.Error(), "grapnel follow "+id) {
		t.Errorf("exit %d with %v, want 130 and how to see it again", exitCode(err), err)
	}
	var d awsapi.GetDeploymentOutput
	f.must("GetDeployment", &awsapi.GetDeploymentInput{DeploymentId: &id}, &d)
	if d.DeploymentInfo.Status != awsapi.DeploymentStatusInProgress {
		t.Errorf("the deployment is %s, want InProgress", d.DeploymentInfo.Status)
	}
}

func TestFollowOfNothingFails(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	_, ended := f.follow(t.Context(), "d-NONE00000", "", false)
	if err := <-ended; exitCode(err) != 1 || !strings.Contains(err.Error(), "DeploymentDoesNotExistException") {
		t.Errorf("exit %d with %v", exitCode(err), err)
	}
	f.client = &client{endpoint: "http://127.0.0.1:1", region: "us-east-1", creds: f.client.creds, http: http.DefaultClient}
	_, ended = f.follow(t.Context(), "d-NONE00000", "", false)
	if err := <-ended; exitCode(err) != 1 || !strings.Contains(err.Error(), "refused") {
		t.Errorf("where nobody listens: exit %d with %v, want an end at once", exitCode(err), err)
	}
}

// TestLogsPrintsWhatIsStored: more than one reply holds, host by host.
func TestLogsPrintsWhatIsStored(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "web-1", "web-2")
	id := f.deploy()
	var want []string
	var agents sync.WaitGroup
	for _, name := range []string{"web-1", "web-2"} {
		want = append(want, "--- "+name+" BeforeInstall a.sh")
		for i := range 200 {
			want = append(want, fmt.Sprintf("%s line %d", name, i))
		}
		want = append(want, "--- "+name+" AfterInstall scripts/run.sh", "AfterInstall on "+name, "done")
		agent := f.agents[name]
		agents.Go(func() {
			work, event := agent.take()
			for event != "BeforeInstall" && !t.Failed() {
				agent.complete(work, awsapi.CommandStatusSucceeded, "")
				work, event = agent.take()
			}
			for i := range 200 {
				agent.write(work, "a.sh", fmt.Sprintf("%s line %d", name, i))
			}
			agent.complete(work, awsapi.CommandStatusSucceeded, "")
			agent.succeed("AfterInstall")
		})
	}
	agents.Wait()
	for _, tt := range []struct {
		host, event string
		want        []string
	}{
		{"", "", want},
		{"web-2", "AfterInstall", []string{"--- web-2 AfterInstall scripts/run.sh", "AfterInstall on web-2", "done"}},
		{"", "ValidateService", nil},
	} {
		var out bytes.Buffer
		l := logReader{client: f.client, id: id, host: tt.host, event: tt.event, line: plainLines(&out, false)}
		if _, err := l.print(t.Context()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			got = append(got, strings.TrimSuffix(line, "\n"))
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("host %q event %q (-want +got):\n%s", tt.host, tt.event, diff)
		}
	}
}

func TestExitCodesOfMistakes(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"follow"}, {"follow", "a", "b"}, {"follow", "--hots", "x", "d-1"}, {"logs"}, {"logs", "--event"}} {
		var out, errs bytes.Buffer
		if code := Main(args, &out, &errs); code != 2 {
			t.Errorf("%q: exit %d, want 2: %s", args, code, errs.String())
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[other]\naws_access_key_id = A\naws_secret_access_key = B\n\n[default]\naws_access_key_id=C\naws_secret_access_key = D=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "AWS_ENDPOINT_URL=http://127.0.0.1:8700/"
	for _, tt := range []struct {
		name   string
		env    []string
		id     string
		secret string
		region string
		fails  string
	}{
		{"no address", nil, "", "", "", "AWS_ENDPOINT_URL is not set"},
		{"no key", []string{url, "HOME=/nowhere"}, "", "", "", "no access key"},
		{"keys", []string{url, "AWS_ACCESS_KEY_ID=E", "AWS_SECRET_ACCESS_KEY=F", "AWS_SHARED_CREDENTIALS_FILE=" + file}, "E", "F", "us-east-1", ""},
		{"file", []string{url, "AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_DEFAULT_REGION=eu-west-1"}, "C", "D=", "eu-west-1", ""},
		{"profile", []string{url, "AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_PROFILE=other", "AWS_REGION=eu-west-2"}, "A", "B", "eu-west-2", ""},
		{"no such profile", []string{url, "AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_PROFILE=none"}, "", "", "", "profile none"},
		{"no authority", []string{url, "AWS_SHARED_CREDENTIALS_FILE=" + file, "AWS_CA_BUNDLE=" + file}, "", "", "", "no certificate"},
	} {
		env := map[string]string{}
		for _, e := range tt.env {
			name, value, _ := strings.Cut(e, "=")
			env[name] = value
		}
		c, err := connect(func(name string) string { return env[name] })
		switch {
		case tt.fails != "":
			if exitCode(err) != 2 || !strings.Contains(fmt.Sprint(err), tt.fails) {
				t.Errorf("%s: exit %d with %v, want 2 and %q", tt.name, exitCode(err), err, tt.fails)
			}
		case err != nil:
			t.Errorf("%s: %v", tt.name, err)
		default:
			got := []string{c.endpoint, c.creds.AccessKeyID, c.creds.SecretAccessKey, c.region}
			if diff := cmp.Diff([]string{"http://127.0.0.1:8700", tt.id, tt.secret, tt.region}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

// TestPassing: what is worth waiting for.
func TestPassing(t *testing.T) {
	t.Parallel()
	for want, errs := range map[bool][]error{
		true:  {fmt.Errorf("connection refused"), &awsjson.Error{Name: "X", Status: 503}, &awsjson.Error{Name: awsjson.ThrottlingException, Status: 400}},
		false: {&awsjson.Error{Name: awsjson.AccessDeniedException, Status: 400}},
	} {
		for _, err := range errs {
			if got := passing(err); got != want {
				t.Errorf("%v: %t, want %t", err, got, want)
			}
		}
	}
}
