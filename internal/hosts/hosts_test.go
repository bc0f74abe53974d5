package hosts_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/smallstep/pkcs7"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/deploy"
	"grapnel/internal/hosts"
	"grapnel/internal/lifecycle"
	"grapnel/internal/logs"
	"grapnel/internal/seal"
	"grapnel/internal/sqlstore"
	"grapnel/internal/store"
)

const deployment = "d-TEST00001"

var web1, web2 = caller("web-1"), caller("web-2")

func caller(name string) hosts.Caller {
	return hosts.Caller{Name: name, ARN: "arn:aws:iam::000000000000:user/" + name}
}

// server is a Service on a real store with two hosts and one deployment to both of them.
type server struct {
	*hosts.Service
	t      *testing.T
	store  *sqlstore.Store
	logs   *logs.Service
	signer *hosts.Signer
	woken  chan string
}

func newServer(t *testing.T) *server {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	s := &server{t: t, store: db, signer: newSigner(t, db), woken: make(chan string, 100)}
	s.logs = logs.New(logs.Options{Store: db, Authorize: func(context.Context, string) error { return nil }, Log: log})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.logs.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	s.Service = hosts.New(hosts.Options{
		Store: db, Signer: s.signer, Region: "us-east-1", Account: "000000000000", Logs: s.logs, Log: log,
		Wake: func(id string) { s.woken <- id },
	})
	at := awsapi.At(time.Now().UTC().Truncate(time.Microsecond))
	for _, err := range []error{
		db.CreateApplication(t.Context(), store.Application{Info: awsapi.ApplicationInfo{
			ApplicationId: new("app-id"), ApplicationName: new("app"), CreateTime: at,
		}}),
		db.CreateGroup(t.Context(), store.Group{Info: awsapi.DeploymentGroupInfo{
			ApplicationName: new("app"), DeploymentGroupId: new("group-id"), DeploymentGroupName: new("group"),
			DeploymentConfigName: new("CodeDeployDefault.AllAtOnce"),
		}}),
		db.RegisterHost(t.Context(), store.Host{Info: awsapi.InstanceInfo{InstanceName: &web1.Name, IamUserArn: &web1.ARN, RegisterTime: at}}),
		db.RegisterHost(t.Context(), store.Host{Info: awsapi.InstanceInfo{InstanceName: &web2.Name, IamUserArn: &web2.ARN, RegisterTime: at}}),
		db.CreateDeployment(t.Context(), store.Deployment{
			Info: awsapi.DeploymentInfo{
				DeploymentId: new(deployment), ApplicationName: new("app"), DeploymentGroupName: new("group"), CreateTime: at,
				Creator: awsapi.DeploymentCreatorUser, FileExistsBehavior: awsapi.FileExistsBehaviorRetain,
				Revision: &awsapi.RevisionLocation{RevisionType: awsapi.RevisionLocationTypeS3, S3Location: &awsapi.S3Location{
					Bucket: new("bundles"), Key: new("app.zip"), BundleType: awsapi.BundleTypeZip, ETag: new(`"abc"`),
				}},
			},
			GroupID: "group-id", RevisionKey: "key", Plan: plan(), Status: deploy.Created,
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func plan() deploy.Plan {
	step := deploy.Step{Event: lifecycle.ApplicationStop, By: lifecycle.Host, Acknowledge: 5 * time.Minute, Timeout: time.Hour}
	install := step
	install.Event = lifecycle.Install
	return deploy.Plan{Limit: 8 * time.Hour, Phases: []deploy.Phase{{
		Targets: []string{"web-1", "web-2"}, Steps: []deploy.Step{step, install}, Health: deploy.Health{Type: deploy.HostCount},
	}}}
}

func newSigner(t *testing.T, secrets store.Secrets) *hosts.Signer {
	t.Helper()
	key, err := seal.LoadOrCreateKey(filepath.Join(t.TempDir(), "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := hosts.LoadSigner(t.Context(), secrets, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// issue does one round of the engine.
func (s *server) issue() {
	s.t.Helper()
	state, err := s.store.Load(s.t.Context(), deployment)
	if err != nil {
		s.t.Fatal(err)
	}
	at := time.Now().UTC().Truncate(time.Microsecond)
	if err := s.store.Commit(s.t.Context(), store.Round{State: state, Decision: deploy.Decide(state, at), At: at}); err != nil {
		s.t.Fatal(err)
	}
	s.Issued([]string{"web-1", "web-2"})
}

func (s *server) poll(ctx context.Context, c hosts.Caller) (*awsapi.HostCommand, error) {
	out, err := s.PollHostCommand(ctx, c, &awsapi.PollHostCommandInput{HostIdentifier: &c.ARN})
	if err != nil {
		return nil, err
	}
	return out.HostCommand, nil
}

// take polls for a command that must be there.
func (s *server) take(c hosts.Caller) string {
	s.t.Helper()
	command, err := s.poll(s.t.Context(), c)
	if err != nil || command == nil {
		s.t.Fatalf("poll: got %v, %v, want a command", command, err)
	}
	return *command.HostCommandIdentifier
}

func (s *server) acknowledge(c hosts.Caller, work string, noop bool) awsapi.CommandStatus {
	s.t.Helper()
	payload, _ := json.Marshal(awsapi.AcknowledgementDiagnostics{IsCommandNoop: noop})
	out, err := s.PutHostCommandAcknowledgement(s.t.Context(), c, &awsapi.PutHostCommandAcknowledgementInput{
		HostCommandIdentifier: &work, Diagnostics: &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: new(string(payload))},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return out.CommandStatus
}

func (s *server) complete(c hosts.Caller, work string, status awsapi.CommandStatus, payload string) {
	s.t.Helper()
	if _, err := s.PutHostCommandComplete(s.t.Context(), c, &awsapi.PutHostCommandCompleteInput{
		HostCommandIdentifier: &work, CommandStatus: status, Diagnostics: &awsapi.Envelope{Format: new(awsapi.FormatJSON), Payload: &payload},
	}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) command(work string) store.Command {
	s.t.Helper()
	c, err := s.store.Command(s.t.Context(), work)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// listen serves the host's end over a real connection.
func (s *server) listen(c hosts.Caller) *awsjson.Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(w, r.WithContext(hosts.WithCaller(r.Context(), c)))
	}))
	s.t.Cleanup(server.Close)
	return &awsjson.Client{Endpoint: server.URL, HTTP: server.Client()}
}

func TestConversation(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{awsapi.CommandPrefix, awsapi.CommandPrefixSecure} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.issue()
			client := s.listen(web1)
			call := func(operation string, in, out any) {
				t.Helper()
				if err := client.Call(t.Context(), prefix+"."+operation, in, out); err != nil {
					t.Fatalf("%s: %v", operation, err)
				}
			}
			var polled awsapi.PollHostCommandOutput
			call("PollHostCommand", awsapi.PollHostCommandInput{HostIdentifier: &web1.ARN}, &polled)
			got := polled.HostCommand
			if parts := strings.Split(*got.DeploymentExecutionId, "/"); len(parts) != 4 || parts[2] != deployment {
				t.Errorf("DeploymentExecutionId %q, want four parts with %s as the third", *got.DeploymentExecutionId, deployment)
			}
			want := &awsapi.HostCommand{
				HostIdentifier: &web1.ARN, HostCommandIdentifier: new(deploy.WorkID(deployment, 0, 0, "web-1")),
				DeploymentExecutionId: got.DeploymentExecutionId, CommandName: new("ApplicationStop"), Nonce: new(int64(1)),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
			var spec awsapi.GetDeploymentSpecificationOutput
			call("GetDeploymentSpecification", awsapi.GetDeploymentSpecificationInput{
				DeploymentExecutionId: got.DeploymentExecutionId, HostIdentifier: &web1.ARN,
			}, &spec)
			if *spec.DeploymentSystem != "CodeDeploy" {
				t.Errorf("DeploymentSystem %q, want CodeDeploy", *spec.DeploymentSystem)
			}
			var ack awsapi.PutHostCommandAcknowledgementOutput
			call("PutHostCommandAcknowledgement", awsapi.PutHostCommandAcknowledgementInput{HostCommandIdentifier: got.HostCommandIdentifier}, &ack)
			if ack.CommandStatus != awsapi.CommandStatusInProgress {
				t.Errorf("acknowledgement answered %s, want InProgress", ack.CommandStatus)
			}
			var update awsapi.PostHostCommandUpdateOutput
			call("PostHostCommandUpdate", awsapi.PostHostCommandUpdateInput{HostCommandIdentifier: got.HostCommandIdentifier}, &update)
			if update.CommandStatus != awsapi.CommandStatusInProgress {
				t.Errorf("update answered %s, want InProgress", update.CommandStatus)
			}
			call("PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{
				HostCommandIdentifier: got.HostCommandIdentifier, CommandStatus: awsapi.CommandStatusSucceeded,
			}, nil)
			if got := s.command(*got.HostCommandIdentifier); got.Status != deploy.WorkSucceeded {
				t.Errorf("Work is %s after its completion, want Succeeded", got.Status)
			}
			if woken := <-s.woken; woken != deployment {
				t.Errorf("woken: %s, want %s", woken, deployment)
			}
		})
	}
}

func TestIdlePollEndsAfterTheHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		command, err := s.poll(t.Context(), web1)
		if command != nil || err != nil || time.Since(start) != 45*time.Second {
			t.Errorf("S188: got %v, %v after %s, want nothing after 45s", command, err, time.Since(start))
		}
	})
}

func TestNewWorkEndsAPollAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		go func() {
			time.Sleep(20 * time.Second)
			s.issue()
		}()
		command, err := s.poll(t.Context(), web1)
		if command == nil || err != nil || time.Since(start) != 20*time.Second {
			t.Errorf("S188: got %v, %v after %s, want a command after 20s", command, err, time.Since(start))
		}
	})
}

// A name may belong to another host by the time that a held poll is woken.
func TestAPollDoesNotOutliveItsRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		refused := make(chan error, 1)
		go func() {
			command, err := s.poll(t.Context(), web1)
			if command != nil {
				err = fmt.Errorf("got %s", *command.HostCommandIdentifier)
			}
			refused <- err
		}()
		synctest.Wait()
		if _, err := s.store.DeregisterHost(t.Context(), web1.Name, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.issue()
		if err := <-refused; err == nil || !strings.Contains(err.Error(), "was deregistered") {
			t.Errorf("the held poll ended with %v", err)
		}
	})
}

// TestAPollBeforeTheReprieveLooksAgain: after an outage a poll may come before the deadlines of Work are put off.
func TestAPollBeforeTheReprieveLooksAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.issue()
		time.Sleep(10 * time.Minute) // no server runs; the Work is overdue
		start := time.Now()
		go func() {
			synctest.Wait()
			if err := s.store.Reprieve(t.Context(), time.Now().Add(5*time.Minute)); err != nil {
				t.Error(err)
			}
			s.Reprieved()
		}()
		if command, err := s.poll(t.Context(), web1); command == nil || err != nil || time.Since(start) != 0 {
			t.Errorf("got %v, %v after %s, want the command at once", command, err, time.Since(start))
		}
	})
}

func TestTwoPollsOfAHostShareItsWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		got := make(chan *awsapi.HostCommand, 2)
		for range 2 {
			go func() {
				command, _ := s.poll(t.Context(), web1)
				got <- command
			}()
		}
		synctest.Wait()
		s.issue()
		first := <-got
		s.acknowledge(web1, *first.HostCommandIdentifier, false)
		if second := <-got; second != nil {
			t.Errorf("both polls got a command: %s and %s", *first.HostCommandIdentifier, *second.HostCommandIdentifier)
		}
	})
}

func TestPollsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			if command, err := s.poll(t.Context(), web1); command != nil || err != nil {
				t.Errorf("poll: got %v, %v, want nothing", command, err)
			}
		}()
		time.Sleep(time.Second)
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		<-ended
		if held := time.Since(start); held != time.Second {
			t.Errorf("the poll was held for %s, want 1s", held)
		}
	})
}

func TestNothingIsHandedToWhoHasGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			_, err := s.poll(ctx, web1)
			ended <- err
		}()
		synctest.Wait()
		cancel()
		s.issue()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("poll: %v, want that its caller went away", err)
		}
		if got := s.command(deploy.WorkID(deployment, 0, 0, "web-1")); got.Handovers != 0 {
			t.Errorf("the Work was handed over %d times, want never", got.Handovers)
		}
	})
}

// brokenPipe is a connection whose other end has gone.
type brokenPipe struct{ http.ResponseWriter }

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestReplyThatDoesNotGetOut(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	body, _ := json.Marshal(awsapi.PollHostCommandInput{HostIdentifier: &web1.ARN})
	r := httptest.NewRequestWithContext(hosts.WithCaller(t.Context(), web1), http.MethodPost, "/", strings.NewReader(string(body)))
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", awsapi.CommandPrefix+".PollHostCommand")
	s.ServeHTTP(brokenPipe{httptest.NewRecorder()}, r)
	work := s.take(web1) // at once, not after 30 s
	if got := s.command(work).Handovers; got != 2 {
		t.Errorf("handed over %d times, want 2", got)
	}
}

func TestHandedOverAgainWhenNobodyAcknowledges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.issue()
		start := time.Now()
		work := s.take(web1)
		if again := s.take(web1); again != work {
			t.Errorf("second hand-over: %s, want %s", again, work)
		}
		if after := time.Since(start).Truncate(time.Second); after != 30*time.Second {
			t.Errorf("handed over again after %s, want 30s", after)
		}
		// Two executions know of it now: only one of them may run it.
		for i, want := range []awsapi.CommandStatus{awsapi.CommandStatusInProgress, awsapi.CommandStatusSucceeded, awsapi.CommandStatusSucceeded} {
			if got := s.acknowledge(web1, work, false); got != want {
				t.Errorf("acknowledgement %d answered %s, want %s", i+1, got, want)
			}
		}
		if command, _ := s.poll(t.Context(), web1); command != nil {
			t.Errorf("handed over after it was acknowledged: %s", *command.HostCommandIdentifier)
		}
	})
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		noop   bool
		before func(s *server, work string)
		want   []awsapi.CommandStatus // of three acknowledgements
		ends   deploy.WorkStatus
		woken  int
	}{
		{"repeated because its reply was lost", false, nil,
			[]awsapi.CommandStatus{awsapi.CommandStatusInProgress, awsapi.CommandStatusInProgress, awsapi.CommandStatusInProgress}, deploy.WorkRunning, 0},
		{"a no-op", true, nil,
			[]awsapi.CommandStatus{awsapi.CommandStatusSucceeded, awsapi.CommandStatusSucceeded, awsapi.CommandStatusSucceeded}, deploy.WorkSucceeded, 1},
		{"S185 past its due time", false, func(*server, string) { time.Sleep(5 * time.Minute) },
			[]awsapi.CommandStatus{awsapi.CommandStatusFailed, awsapi.CommandStatusFailed, awsapi.CommandStatusFailed}, deploy.WorkPending, 0},
		{"S190 of a stopped deployment", false, func(s *server, _ string) {
			if err := s.store.StopDeployment(s.t.Context(), deployment, deploy.Stop{At: time.Now()}); err != nil {
				s.t.Fatal(err)
			}
			s.issue()
		}, []awsapi.CommandStatus{awsapi.CommandStatusFailed, awsapi.CommandStatusFailed, awsapi.CommandStatusFailed}, deploy.WorkSkipped, 0},
		{"after it has failed", false, func(s *server, work string) { s.complete(web1, work, awsapi.CommandStatusFailed, "") },
			[]awsapi.CommandStatus{awsapi.CommandStatusFailed, awsapi.CommandStatusFailed, awsapi.CommandStatusFailed}, deploy.WorkFailed, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				s.issue()
				work := s.take(web1)
				if tt.before != nil {
					tt.before(s, work)
				}
				for i, want := range tt.want {
					if got := s.acknowledge(web1, work, tt.noop); got != want {
						t.Errorf("acknowledgement %d answered %s, want %s", i+1, got, want)
					}
				}
				if got := s.command(work).Status; got != tt.ends {
					t.Errorf("Work is %s, want %s", got, tt.ends)
				}
				if got := len(s.woken); got != tt.woken {
					t.Errorf("the engine was woken %d times, want %d", got, tt.woken)
				}
			})
		})
	}
}

// agent.md 17: 16
func TestCompletionCountsOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	work := s.take(web1)
	s.acknowledge(web1, work, false)
	s.complete(web1, work, awsapi.CommandStatusFailed, `{"error_code":4,"script_name":"a.sh","message":"first","log":""}`)
	s.complete(web1, work, awsapi.CommandStatusSucceeded, `{"error_code":0,"script_name":"","message":"second","log":""}`)
	if got := s.command(work); got.Status != deploy.WorkFailed || got.Message != "first" {
		t.Errorf("Work is %s with %q, want what was said first", got.Status, got.Message)
	}
	if got := len(s.woken); got != 1 {
		t.Errorf("the engine was woken %d times, want once", got)
	}
}

func TestDiagnostics(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 3000) // two bytes each
	failed, succeeded := awsapi.CommandStatusFailed, awsapi.CommandStatusSucceeded
	tests := []struct {
		name    string
		status  awsapi.CommandStatus
		payload string
		want    deploy.Diagnostics
	}{
		{"success", succeeded, `{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}`, deploy.Diagnostics{ErrorCode: "Success", Message: "Succeeded: "}},
		{"script missing", failed, `{"error_code":1,"script_name":"a.sh","message":"m","log":"l"}`, deploy.Diagnostics{ErrorCode: "ScriptMissing", ScriptName: "a.sh", Message: "m", LogTail: "l"}},
		{"not executable", failed, `{"error_code":2}`, deploy.Diagnostics{ErrorCode: "ScriptNotExecutable"}},
		{"timed out", failed, `{"error_code":3}`, deploy.Diagnostics{ErrorCode: "ScriptTimedOut"}},
		{"script failed", failed, `{"error_code":4}`, deploy.Diagnostics{ErrorCode: "ScriptFailed"}},
		{"other", failed, `{"error_code":5}`, deploy.Diagnostics{ErrorCode: "UnknownError"}},
		{"outputs left open", failed, `{"error_code":6}`, deploy.Diagnostics{ErrorCode: "UnknownError"}},
		{"after restart", failed, `{"error_code":7}`, deploy.Diagnostics{ErrorCode: "UnknownError"}},
		{"out of range", failed, `{"error_code":99}`, deploy.Diagnostics{ErrorCode: "UnknownError"}},
		{"the word", failed, `{"error_code":"Unknown","message":"m"}`, deploy.Diagnostics{ErrorCode: "UnknownError", Message: "m"}},
		{"code and status differ", failed, `{"error_code":0}`, deploy.Diagnostics{ErrorCode: "UnknownError"}},
		{"status and code differ", succeeded, `{"error_code":4}`, deploy.Diagnostics{ErrorCode: "Success"}},
		{"no payload", failed, ``, deploy.Diagnostics{ErrorCode: "UnknownError"}},
		{"no JSON", failed, `Segmentation fault`, deploy.Diagnostics{ErrorCode: "UnknownError", Message: "Segmentation fault"}},
		{"cut short", failed, `{"error_code":4,"message":"m`, deploy.Diagnostics{ErrorCode: "UnknownError", Message: `{"error_code":4,"message":"m`}},
		{"wrong types", failed, `{"error_code":4,"script_name":[1],"message":"m","log":7}`, deploy.Diagnostics{ErrorCode: "ScriptFailed", Message: "m"}},
		{"NUL", failed, `{"error_code":4,"message":"a\u0000b"}`, deploy.Diagnostics{ErrorCode: "ScriptFailed", Message: "ab"}},
		{"long log", failed, `{"error_code":4,"log":"x` + long + `"}`, deploy.Diagnostics{ErrorCode: "ScriptFailed", LogTail: long[:4096]}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.issue()
			work := s.take(web1)
			s.complete(web1, work, tt.status, tt.payload)
			if diff := cmp.Diff(tt.want, s.command(work).Diagnostics); diff != "" {
				t.Errorf("diagnostics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	polled, err := s.PollHostCommand(t.Context(), web1, &awsapi.PollHostCommandInput{HostIdentifier: &web1.ARN})
	if err != nil {
		t.Fatal(err)
	}
	work, execution := polled.HostCommand.HostCommandIdentifier, polled.HostCommand.DeploymentExecutionId
	client, noHost := s.listen(web2), s.listen(hosts.Caller{})
	anonymous := httptest.NewServer(s)
	t.Cleanup(anonymous.Close)
	tests := []struct {
		name      string
		client    *awsjson.Client
		operation string
		in        any
		want      string
	}{
		{"another host's poll", client, "PollHostCommand", awsapi.PollHostCommandInput{HostIdentifier: &web1.ARN}, "not the caller"},
		{"a part of the own ARN", client, "PollHostCommand", awsapi.PollHostCommandInput{HostIdentifier: new(web2.ARN[:len(web2.ARN)-1])}, "not the caller"},
		{"no identifier", client, "PollHostCommand", awsapi.PollHostCommandInput{}, "missing"},
		{"another host's acknowledgement", client, "PutHostCommandAcknowledgement", awsapi.PutHostCommandAcknowledgementInput{HostCommandIdentifier: work}, "no command"},
		{"another host's completion", client, "PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{HostCommandIdentifier: work, CommandStatus: awsapi.CommandStatusFailed}, "no command"},
		{"another host's update", client, "PostHostCommandUpdate", awsapi.PostHostCommandUpdateInput{HostCommandIdentifier: work}, "no command"},
		{"another host's specification", client, "GetDeploymentSpecification", awsapi.GetDeploymentSpecificationInput{DeploymentExecutionId: execution, HostIdentifier: &web2.ARN}, "not one that host web-2 was given"},
		{"a specification in another's name", client, "GetDeploymentSpecification", awsapi.GetDeploymentSpecificationInput{DeploymentExecutionId: execution, HostIdentifier: &web1.ARN}, "not the caller"},
		{"two parts", client, "GetDeploymentSpecification", awsapi.GetDeploymentSpecificationInput{DeploymentExecutionId: new("a/b"), HostIdentifier: &web2.ARN}, "four parts"},
		{"unknown command", client, "PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{HostCommandIdentifier: new("x"), CommandStatus: awsapi.CommandStatusFailed}, "no command x"},
		{"no ending", client, "PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{HostCommandIdentifier: work, CommandStatus: awsapi.CommandStatusInProgress}, "Succeeded or Failed"},
		{"odd acknowledgement", client, "PutHostCommandAcknowledgement", awsapi.PutHostCommandAcknowledgementInput{HostCommandIdentifier: work, Diagnostics: &awsapi.Envelope{Payload: new("yes")}}, "IsCommandNoop"},
		{"no host", noHost, "PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{HostCommandIdentifier: work, CommandStatus: awsapi.CommandStatusFailed}, "no command"},
		{"nobody", &awsjson.Client{Endpoint: anonymous.URL, HTTP: anonymous.Client()}, "PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{HostCommandIdentifier: work, CommandStatus: awsapi.CommandStatusFailed}, "only a registered host"},
	}
	for _, tt := range tests {
		err := tt.client.Call(t.Context(), awsapi.CommandPrefix+"."+tt.operation, tt.in, nil)
		var got *awsjson.Error
		if !errors.As(err, &got) || got.Name != awsapi.ClientException || got.Status != http.StatusBadRequest || !strings.Contains(got.Message, tt.want) {
			t.Errorf("%s: got %v, want a ClientException with %q", tt.name, err, tt.want)
		}
	}
	if got := s.command(*work).Status; got != deploy.WorkPending {
		t.Errorf("the Work is %s, want it untouched", got)
	}
}

func TestTroubleWithTheStoreIsTheServersFault(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	client := s.listen(web1)
	s.store.Close()
	err := client.Call(t.Context(), awsapi.CommandPrefix+".PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{
		HostCommandIdentifier: new("x"), CommandStatus: awsapi.CommandStatusFailed,
	}, nil)
	var got *awsjson.Error
	if !errors.As(err, &got) || got.Name != awsapi.ServerException || got.Status != http.StatusInternalServerError {
		t.Errorf("got %v, want a ServerException with status 500", err)
	}
}

// specification fetches the specification for a host that has been handed a command.
func (s *server) specification(c hosts.Caller) string {
	s.t.Helper()
	command, err := s.poll(s.t.Context(), c)
	if err != nil || command == nil {
		s.t.Fatalf("poll: got %v, %v, want a command", command, err)
	}
	out, err := s.GetDeploymentSpecification(s.t.Context(), c, &awsapi.GetDeploymentSpecificationInput{
		DeploymentExecutionId: command.DeploymentExecutionId, HostIdentifier: &c.ARN,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if got := *out.DeploymentSpecification.GenericEnvelope.Format; got != awsapi.FormatPKCS7 {
		s.t.Errorf("format %q, want %q", got, awsapi.FormatPKCS7)
	}
	return *out.DeploymentSpecification.GenericEnvelope.Payload
}

// agent.md 17: 2, 15
func TestSpecification(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	payload := s.specification(web1)
	block, _ := pem.Decode([]byte(payload))
	message, err := pkcs7.Parse(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := message.Verify(); err != nil {
		t.Errorf("verify: %v", err)
	}
	if got := message.Signers[0].DigestAlgorithm.Algorithm; !got.Equal(pkcs7.OIDDigestAlgorithmSHA256) {
		t.Errorf("digest algorithm %v, want SHA-256", got)
	}
	var got map[string]any
	if err := json.Unmarshal(message.Content, &got); err != nil {
		t.Fatal(err)
	}
	if expires, err := time.Parse(time.RFC3339, got["ExpiresAt"].(string)); err != nil || !expires.After(time.Now()) {
		t.Errorf("ExpiresAt %v, want a time to come", got["ExpiresAt"])
	}
	delete(got, "ExpiresAt")
	want := map[string]any{
		"DeploymentId": deployment, "DeploymentGroupId": "group-id", "DeploymentGroupName": "group", "ApplicationName": "app",
		"DeploymentCreator": "user", "DeploymentType": "IN_PLACE", "HostIdentifier": web1.ARN,
		"LogStream":            map[string]any{"MaxBytes": float64(10 << 20)},
		"AgentActionOverrides": map[string]any{"AgentOverrides": map[string]any{"FileExistsBehavior": "RETAIN"}},
		"Revision": map[string]any{"RevisionType": "S3", "S3Revision": map[string]any{
			"Bucket": "bundles", "Key": "app.zip", "BundleType": "zip", "ETag": `"abc"`,
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("specification (-want +got):\n%s", diff)
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, start := newServer(t), time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		seen := func() time.Duration {
			h, err := s.store.Host(t.Context(), "web-1")
			if err != nil {
				t.Fatal(err)
			}
			return h.LastSeen.Sub(start).Truncate(time.Second)
		}
		go s.poll(t.Context(), web1)
		for _, at := range []struct{ now, want time.Duration }{
			{1500 * time.Millisecond, time.Second}, // soon after it came
			{19 * time.Second, time.Second},        // not with every tick
			{23 * time.Second, 21 * time.Second},   // again while the poll is held
		} {
			time.Sleep(at.now - time.Since(start))
			if got := seen(); got != at.want {
				t.Errorf("after %s it was seen at %s, want %s", at.now, got, at.want)
			}
		}
		time.Sleep(time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := seen(); got != 24*time.Second {
			t.Errorf("after the end it was seen at %s, want 24s", got)
		}
	})
}

func TestAgentVersionIsText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.issue()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"HostIdentifier":"`+web1.ARN+`"}`))
		r.Header.Set("X-Amz-Target", awsapi.CommandPrefix+".PollHostCommand")
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set(awsapi.AgentVersionHeader, "1.8\xff\x00"+strings.Repeat("ä", 100))
		s.ServeHTTP(httptest.NewRecorder(), r.WithContext(hosts.WithCaller(r.Context(), web1)))
		time.Sleep(time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		h, err := s.store.Host(t.Context(), "web-1")
		if err != nil {
			t.Fatal(err)
		}
		if want := "1.8" + strings.Repeat("ä", 63); h.Agent != want {
			t.Errorf("the agent's version is kept as %q, want %q", h.Agent, want)
		}
	})
}
