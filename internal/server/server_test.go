package server_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/server"
	"grapnel/internal/sigv4"
)

// start runs a server in this process until the test ends.
func start(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := server.Options{DataDir: filepath.Join(t.TempDir(), "data"), Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000"}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, o)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	return s
}

// request is a request as a test writes it down.
type request struct {
	key            sigv4.Credentials
	service        string // that it is signed for; "" sends it unsigned
	region         string // "" means us-east-1
	target         string
	method         string // "" means POST
	path           string // "" means /
	form           string
	json           string // body of a target; "" means {}
	unsignedTarget bool   // the target is added after signing
	at             time.Duration
}

// send returns the status and the body of the reply.
func (q request) send(t *testing.T, s *server.Server) (int, string) {
	t.Helper()
	body := q.form
	if q.target != "" {
		body = cmp.Or(q.json, "{}")
	}
	r, err := http.NewRequest(cmp.Or(q.method, http.MethodPost), s.URL()+cmp.Or(q.path, "/"), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if q.target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		if !q.unsignedTarget {
			r.Header.Set("X-Amz-Target", q.target)
		}
	}
	if q.form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	if q.service != "" {
		hash := sha256.Sum256([]byte(body))
		if err := sigv4.Sign(r, q.key, cmp.Or(q.region, "us-east-1"), q.service, hex.EncodeToString(hash[:]), time.Now().Add(q.at)); err != nil {
			t.Fatal(err)
		}
	}
	if q.unsignedTarget {
		r.Header.Set("X-Amz-Target", q.target)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(reply)
}

// TestWhoMayDoWhat is the table of the issue: root everything, a host its own, everybody else nothing; and each protocol's
// own names for what is wrong with a signature.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	root := s.Root()
	host, _ := register(t, s, "web-1")
	wrong := sigv4.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: "wrong wrong wrong wrong wrong wrong wrong"}
	unknown := sigv4.Credentials{AccessKeyID: "AKIAUNKNOWNUNKNOWN00", SecretAccessKey: root.SecretAccessKey}
	const (
		list = "CodeDeploy_20141006.ListApplications"
		poll = "CodeDeployCommandService_v20141006.PutHostCommandComplete"
		user = "Action=ListUsers&Version=2010-05-08"
		self = "Action=GetCallerIdentity&Version=2011-06-15"
		logs = "Grapnel_20261122.GetDeploymentLog"
	)
	tests := []struct {
		name   string
		send   request
		status int
		want   string // in the body
	}{
		{"root lists applications", request{key: root, service: "codedeploy", target: list}, 200, `"applications":[]`},
		{"root lists buckets", request{key: root, service: "s3", method: "GET"}, 200, "ListAllMyBucketsResult"},
		{"root lists users", request{key: root, service: "iam", form: user}, 200, "web-1"},
		{"root reads logs", request{key: root, service: "grapnel", target: logs, json: `{"deploymentId":"d-NONE"}`}, 400, "DeploymentDoesNotExistException"},
		{"any region is fine for s3", request{key: root, service: "s3", region: "eu-west-1", method: "GET"}, 200, "ListAllMyBucketsResult"},
		{"any region is fine for sts", request{key: root, service: "sts", region: "aws-global", form: self}, 200, ":root"},
		{"another region is not for codedeploy", request{key: root, service: "codedeploy", region: "eu-west-1", target: list}, 400, "AWS_REGION"},

		{"a host asks who it is", request{key: host, service: "sts", form: self}, 200, "user/AWS/CodeDeploy/web-1"},
		{"a host may use the host protocol", request{key: host, service: "codedeploy-commands", target: poll}, 400, "CommandStatus"},
		{"a host lists no applications", request{key: host, service: "codedeploy", target: list}, 400, "AccessDeniedException"},
		{"a host reads no logs", request{key: host, service: "grapnel", target: logs}, 400, "AccessDeniedException"},
		{"a host lists no buckets", request{key: host, service: "s3", method: "GET"}, 403, "AccessDenied"},
		{"a host reads no other bundle", request{key: host, service: "s3", method: "GET", path: "/bundles/app.zip"}, 403, "AccessDenied"},
		{"a host writes no bundle", request{key: host, service: "s3", method: "PUT", path: "/bundles/app.zip"}, 403, "AccessDenied"},
		{"a host lists no users", request{key: host, service: "iam", form: user}, 403, "AccessDenied"},
		{"root is no host", request{key: root, service: "codedeploy-commands", target: poll}, 400, "ClientException"},

		{"a target of another service", request{key: root, service: "codedeploy", target: poll}, 400, "UnknownOperationException"},
		{"a host cannot pass its command off as another's", request{key: host, service: "codedeploy-commands", target: list}, 400, "UnknownOperationException"},
		{"a signature for codedeploy reads no logs", request{key: root, service: "codedeploy", target: logs}, 400, "UnknownOperationException"},
		{"a target for s3", request{key: root, service: "s3", target: list}, 403, "SignatureDoesNotMatch"},
		{"a target that is not signed", request{key: root, service: "codedeploy", target: list, unsignedTarget: true}, 400, "InvalidSignatureException"},
		{"a service that is not here", request{key: root, service: "dynamodb", target: list}, 400, "InvalidSignatureException"},

		{"unsigned logs", request{target: logs}, 400, "MissingAuthenticationTokenException"},
		{"unsigned JSON", request{target: list}, 400, "MissingAuthenticationTokenException"},
		{"unsigned form", request{form: user}, 403, "MissingAuthenticationToken"},
		{"unsigned S3", request{method: "GET", path: "/bundles/app.zip"}, 403, "AccessDenied"},
		{"a URL signed with version 2", request{method: "GET", path: "/bundles/app.zip?AWSAccessKeyId=x&Signature=y&Expires=1"}, 403, "signature_version s3v4"},
		{"wrong secret, JSON", request{key: wrong, service: "codedeploy", target: list}, 400, "InvalidSignatureException"},
		{"wrong secret, form", request{key: wrong, service: "iam", form: user}, 403, "SignatureDoesNotMatch"},
		{"wrong secret, S3", request{key: wrong, service: "s3", method: "GET"}, 403, "SignatureDoesNotMatch"},
		{"unknown key, JSON", request{key: unknown, service: "codedeploy", target: list}, 400, "UnrecognizedClientException"},
		{"unknown key, form", request{key: unknown, service: "iam", form: user}, 403, "InvalidClientTokenId"},
		{"unknown key, S3", request{key: unknown, service: "s3", method: "GET"}, 403, "InvalidAccessKeyId"},
		{"six minutes late, JSON", request{key: root, service: "codedeploy", target: list, at: -6 * time.Minute}, 400, "Signature expired"},
		{"six minutes late, S3", request{key: root, service: "s3", method: "GET", at: -6 * time.Minute}, 200, ""},
		{"sixteen minutes late, S3", request{key: root, service: "s3", method: "GET", at: -16 * time.Minute}, 403, "RequestTimeTooSkewed"},

		{"health", request{method: "GET", path: "/healthz"}, 200, "ok"},
		{"readiness", request{method: "GET", path: "/readyz"}, 200, "ok"},
		{"metrics", request{method: "GET", path: "/metrics"}, 200, "grapnel_http_request_seconds"},

		{"the agent, where there are no packages", request{method: "GET", path: "/latest/install"}, 404, "make packages"},
		{"the agent as an object", request{method: "GET", path: "/aws-codedeploy-eu-west-1/latest/install"}, 404, "NoSuchKey"},
		{"a host reads the agent", request{key: host, service: "s3", method: "GET", path: "/aws-codedeploy-us-east-1/latest/install"}, 404, "NoSuchKey"},
		{"a wrong secret reads it not", request{key: wrong, service: "s3", method: "GET", path: "/aws-codedeploy-us-east-1/latest/install"}, 403, "SignatureDoesNotMatch"},
		{"nothing else is in that bucket", request{method: "GET", path: "/aws-codedeploy-eu-west-1/other"}, 403, "AccessDenied"},
		{"no other bucket is open", request{method: "GET", path: "/aws-codedeploy-mine/latest/install"}, 403, "AccessDenied"},
		{"nobody writes the agent", request{method: "PUT", path: "/aws-codedeploy-eu-west-1/latest/install"}, 403, "AccessDenied"},
		{"the authority, where there is none", request{method: "GET", path: "/latest/ca.pem"}, 404, "certificate"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			status, body := test.send.send(t, s)
			if status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("got %d %s\nwant %d with %q", status, body, test.status, test.want)
			}
		})
	}
}

// register has a host join.
func register(t *testing.T, s *server.Server, name string) (key sigv4.Credentials, arn string) {
	t.Helper()
	_, body := request{
		key: s.Root(), service: awsapi.GrapnelService, target: awsapi.GrapnelPrefix + ".CreateJoinToken", json: `{"instanceName":"` + name + `"}`,
	}.send(t, s)
	var made awsapi.CreateJoinTokenOutput
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	var r awsapi.JoinOutput
	api := awsjson.Client{Endpoint: s.URL() + awsapi.JoinPath}
	if err := api.Call(t.Context(), "Join", awsapi.JoinInput{Token: made.Token, Attempt: new("the attempt of " + name)}, &r); err != nil {
		t.Fatal(err)
	}
	return sigv4.Credentials{AccessKeyID: *r.AccessKeyId, SecretAccessKey: *r.SecretAccessKey}, *r.IamUserArn
}

// TestABodyIsReadAfterItsHeadersAreAuthenticated: a client that waits for "100 Continue" before it sends a bundle must not
// hear it when its key is wrong, and must when it is right.
func TestABodyIsReadAfterItsHeadersAreAuthenticated(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	root := s.Root()
	if status, body := (request{key: root, service: "s3", method: "PUT", path: "/bundles"}).send(t, s); status != 200 {
		t.Fatalf("the bucket: %d %s", status, body)
	}
	for secret, want := range map[string]bool{root.SecretAccessKey: true, strings.Repeat("wrong", 8): false} {
		asked := false
		body := readerFunc(func([]byte) (int, error) { asked = true; return 0, io.EOF })
		r, err := http.NewRequest(http.MethodPut, s.URL()+"/bundles/app.zip", io.NopCloser(body))
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 6 << 20
		r.Header.Set("Expect", "100-continue")
		r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		key := sigv4.Credentials{AccessKeyID: root.AccessKeyID, SecretAccessKey: secret}
		if err := sigv4.Sign(r, key, "us-east-1", "s3", "UNSIGNED-PAYLOAD", time.Now()); err != nil {
			t.Fatal(err)
		}
		client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}}
		if resp, err := client.Do(r); err == nil { // the body is shorter than announced, so a right key fails later
			resp.Body.Close()
		}
		if asked != want {
			t.Errorf("with the secret %q the body was asked for: %t", secret, asked)
		}
	}
}

// TestAStalledUploadIsAnswered: the connection of a client that stops in the middle of an upload is given up.
func TestAStalledUploadIsAnswered(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	root := s.Root()
	if status, body := (request{key: root, service: "s3", method: "PUT", path: "/bundles"}).send(t, s); status != 200 {
		t.Fatalf("the bucket: %d %s", status, body)
	}
	r, err := http.NewRequest(http.MethodPut, s.URL()+"/bundles/app.zip", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	if err := sigv4.Sign(r, root, "us-east-1", "s3", "UNSIGNED-PAYLOAD", time.Now()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /bundles/app.zip HTTP/1.1\r\nHost: %s\r\nContent-Length: 1000\r\n", r.URL.Host)
	r.Header.Write(conn)
	fmt.Fprint(conn, "\r\nabc")
	conn.SetReadDeadline(time.Now().Add(time.Minute))
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(reply, "HTTP/1.1 4") {
		t.Errorf("the reply is %q, %v", reply, err)
	}
}

// TestAnEmptyUploadIsToldToContinue: botocore asks also where there is no body, and hangs in its next upload on the
// connection if it is not told.
func TestAnEmptyUploadIsToldToContinue(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PUT /bundles/empty HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n")
	reply, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.HasPrefix(reply, "HTTP/1.1 100 ") {
		t.Errorf("the first line is %q, %v", reply, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// waitUntilHeld waits until the server holds the poll of a host that it knows.
func waitUntilHeld(t *testing.T, ctx context.Context, s *server.Server) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		_, body := request{method: "GET", path: "/metrics"}.send(t, s)
		if strings.Contains(body, "grapnel_hosts_held_polls 1") {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	t.Fatal("the poll did not arrive")
}

// TestSelfSigned: a client that trusts ca.pem alone reaches the server by name, by address and by bucket host, and the
// authority stays the same over restarts.
//
// agent.md 17: 1
func TestSelfSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var before []byte
	for _, which := range []string{"first", "second"} {
		t.Run(which, func(t *testing.T) {
			s := start(t, func(o *server.Options) { o.DataDir, o.TLS, o.Domain = dir, "self-signed", "grapnel.test" })
			ca, err := os.ReadFile(server.CAFile(dir))
			if err != nil {
				t.Fatal(err)
			}
			if before != nil && !bytes.Equal(before, ca) {
				t.Error("the second start made another authority")
			}
			before = ca
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(ca)
			address := strings.TrimPrefix(s.URL(), "https://")
			for _, name := range []string{"127.0.0.1", "localhost", "grapnel.test", "bundles.grapnel.test"} {
				conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: name})
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				conn.Close()
			}
			if !strings.HasPrefix(s.Environment()[4], "AWS_CA_BUNDLE=") {
				t.Errorf("the environment lacks the authority: %v", s.Environment())
			}
		})
	}
}

// TestTheAuthoritysKeyMayBeKeptElsewhere: it is needed to make certificates only, and a lost one must not quietly become
// an authority that no host trusts.
func TestTheAuthoritysKeyMayBeKeptElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	self := func(o *server.Options) { o.DataDir, o.TLS = dir, "self-signed" }
	t.Run("first", func(t *testing.T) { start(t, self) })
	remove := func(name string) {
		if err := os.Remove(filepath.Join(dir, "tls", name)); err != nil {
			t.Fatal(err)
		}
	}
	remove("ca-key.pem")
	t.Run("without the key", func(t *testing.T) { start(t, self) })
	remove("cert.pem")
	o := server.Options{Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000"}
	self(&o)
	if _, err := server.New(context.Background(), o); err == nil || !strings.Contains(err.Error(), "restore its files") {
		t.Errorf("a certificate is needed and its authority's key is gone: %v", err)
	}
}

// TestDrainingLetsPollsReturn: a server that stops does not wait for agents whose polls it holds.
func TestDrainingLetsPollsReturn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := server.New(ctx, server.Options{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	key, arn := register(t, s, "web-1")
	polled := make(chan string, 1)
	go func() {
		_, body := request{
			key: key, service: "codedeploy-commands", target: "CodeDeployCommandService_v20141006.PollHostCommand",
			json: `{"HostIdentifier":"` + arn + `"}`,
		}.send(t, s)
		polled <- body
	}()
	waitUntilHeld(t, ctx, s)
	began := time.Now()
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("draining took %s", took)
	}
	if body := <-polled; body != "{}" {
		t.Errorf("the held poll was answered %q", body)
	}
}

// TestADeregisteredHostsPollEndsAtOnce: nobody may wait with the identity of a host that is gone.
func TestADeregisteredHostsPollEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	key, arn := register(t, s, "web-1")
	polled := make(chan string, 1)
	go func() {
		_, body := request{
			key: key, service: "codedeploy-commands", target: "CodeDeployCommandService_v20141006.PollHostCommand",
			json: `{"HostIdentifier":"` + arn + `"}`,
		}.send(t, s)
		polled <- body
	}()
	waitUntilHeld(t, t.Context(), s)
	began := time.Now()
	if status, body := (request{
		key: s.Root(), service: "codedeploy", target: "CodeDeploy_20141006.DeregisterOnPremisesInstance", json: `{"instanceName":"web-1"}`,
	}).send(t, s); status != 200 {
		t.Fatalf("deregister: %d %s", status, body)
	}
	if body := <-polled; !strings.Contains(body, "host web-1 was deregistered") {
		t.Errorf("the held poll was answered %q", body)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the held poll ended after %s", took)
	}
}

// TestStrangersNameNoMetrics: every new label costs memory for good, so nobody may make one up.
func TestStrangersNameNoMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	host, _ := register(t, s, "web-1")
	for _, q := range []request{
		{method: "MADEUP1"},
		{method: "MADEUP2", key: host, service: "s3"},
		{key: host, service: "s3", target: ".MADEUP3"},
		{key: host, service: "codedeploy-commands", target: "CodeDeployCommandService_v20141006.MADEUP4"},
		{key: s.Root(), service: "codedeploy", target: "CodeDeploy_20141006.MADEUP5"},
	} {
		q.send(t, s)
	}
	if _, metrics := (request{method: "GET", path: "/metrics"}).send(t, s); strings.Contains(metrics, "MADEUP") {
		t.Errorf("a sender named a metric:\n%s", metrics)
	}
}

// TestOneServerPerFolder: two servers on one SQLite file would each believe that they alone decide.
func TestOneServerPerFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, func(o *server.Options) { o.DataDir = dir })
	_, err := server.New(context.Background(), server.Options{
		DataDir: dir, Listen: "127.0.0.1:0", Region: "us-east-1", AccountID: "000000000000",
	})
	if err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server on the folder: %v", err)
	}
}
