package agent

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/smallstep/pkcs7"

	"grapnel/internal/agent/config"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/lifecycle"
)

// The fakes of this file are servers, not mocks: the agent's real requests cross a real connection, because what goes
// wrong between agent and service goes wrong there.

const testHost = "arn:aws:iam::123456789012:user/host-1"

// fake is a host-command service and an S3 endpoint.
type fake struct {
	t      testing.TB
	url    string
	signer *signingKey
	calls  *awsjson.Mux

	mu       sync.Mutex
	changed  *sync.Cond
	queue    []*awsapi.HostCommand
	specs    map[string]*awsapi.Envelope // by execution id
	objects  map[string][]byte           // by "bucket/key"
	commands map[string]*fakeCommand
	polls    int // held now
	order    []string
	serial   int
	// intercept sees every call before it is served; true means that it has answered.
	intercept func(w http.ResponseWriter, r *http.Request, operation string) bool
	// after runs once an operation has been served, before its reply is written; true drops the connection.
	dropReply func(operation string) bool
}

// fakeCommand is what the service knows of a command.
type fakeCommand struct {
	acknowledged []bool   // IsCommandNoop of each acknowledgement
	output       []string // of scripts, as it came up while they ran
	completed    []completion
}

type completion struct {
	Status awsapi.CommandStatus
	awsapi.CompletionDiagnostics
}

func newFake(t testing.TB) *fake {
	f := &fake{
		t: t, signer: newSigningKey(t), calls: awsjson.NewMux(awsjson.Options{Log: slog.New(slog.DiscardHandler)}),
		specs: map[string]*awsapi.Envelope{}, objects: map[string][]byte{}, commands: map[string]*fakeCommand{},
	}
	f.changed = sync.NewCond(&f.mu)
	target := func(operation string) string { return awsapi.CommandPrefix + "." + operation }
	awsjson.Handle(f.calls, target("PollHostCommand"), f.poll)
	awsjson.Handle(f.calls, target("GetDeploymentSpecification"), f.specification)
	awsjson.Handle(f.calls, target("PostHostCommandUpdate"), f.update)
	awsjson.Handle(f.calls, target("PutHostCommandAcknowledgement"), f.acknowledge)
	awsjson.Handle(f.calls, target("PutHostCommandComplete"), f.complete)
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	f.url = server.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	target := r.Header.Get("X-Amz-Target")
	if target == "" {
		f.object(w, r)
		return
	}
	operation := target[strings.LastIndexByte(target, '.')+1:]
	f.mu.Lock()
	f.order = append(f.order, operation)
	intercept, drop := f.intercept, f.dropReply
	f.mu.Unlock()
	if !strings.Contains(r.Header.Get("Authorization"), "/codedeploy-commands/aws4_request") {
		f.t.Errorf("%s is not signed for codedeploy-commands: %q", operation, r.Header.Get("Authorization"))
	}
	if got := r.Header.Get(awsapi.AgentVersionHeader); got != config.Version {
		f.t.Errorf("%s carries the version %q, want %q", operation, got, config.Version)
	}
	if intercept != nil && intercept(w, r, operation) {
		return
	}
	if drop != nil && drop(operation) {
		f.calls.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	f.calls.ServeHTTP(w, r)
}

// poll holds the caller until there is a command; real services hold for 45 s.
func (f *fake) poll(ctx context.Context, in *awsapi.PollHostCommandInput) (*awsapi.PollHostCommandOutput, error) {
	if *in.HostIdentifier != testHost {
		return nil, awsjson.Errorf(awsapi.ClientException, "unknown host %s", *in.HostIdentifier)
	}
	stop := context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls++
	f.changed.Broadcast()
	defer func() { f.polls--; f.changed.Broadcast() }()
	for len(f.queue) == 0 {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f.changed.Wait()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	cmd := f.queue[0]
	f.queue = f.queue[1:]
	return &awsapi.PollHostCommandOutput{HostCommand: cmd}, nil
}

func (f *fake) specification(_ context.Context, in *awsapi.GetDeploymentSpecificationInput) (*awsapi.GetDeploymentSpecificationOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	envelope, ok := f.specs[*in.DeploymentExecutionId]
	if !ok {
		return nil, awsjson.Errorf(awsapi.ClientException, "no specification for %s", *in.DeploymentExecutionId)
	}
	return &awsapi.GetDeploymentSpecificationOutput{
		DeploymentSystem:        aws.String("CodeDeploy"),
		DeploymentSpecification: &awsapi.DeploymentSpecification{GenericEnvelope: envelope},
	}, nil
}

func (f *fake) acknowledge(_ context.Context, in *awsapi.PutHostCommandAcknowledgementInput) (*awsapi.PutHostCommandAcknowledgementOutput, error) {
	var said awsapi.AcknowledgementDiagnostics
	if err := json.Unmarshal([]byte(*in.Diagnostics.Payload), &said); err != nil {
		return nil, awsjson.Errorf(awsapi.ClientException, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.commands[*in.HostCommandIdentifier]
	c.acknowledged = append(c.acknowledged, said.IsCommandNoop)
	f.changed.Broadcast()
	if said.IsCommandNoop {
		return &awsapi.PutHostCommandAcknowledgementOutput{CommandStatus: awsapi.CommandStatusSucceeded}, nil
	}
	return &awsapi.PutHostCommandAcknowledgementOutput{CommandStatus: awsapi.CommandStatusInProgress}, nil
}

func (f *fake) update(_ context.Context, in *awsapi.PostHostCommandUpdateInput) (*awsapi.PostHostCommandUpdateOutput, error) {
	var said awsapi.UpdateDiagnostics
	if err := json.Unmarshal([]byte(*in.Diagnostics.Payload), &said); err != nil {
		return nil, awsjson.Errorf(awsapi.ClientException, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.commands[*in.HostCommandIdentifier]
	for _, line := range said.Lines {
		c.output = append(c.output, line.Script+" "+line.Stream+": "+line.Text)
	}
	f.changed.Broadcast()
	return &awsapi.PostHostCommandUpdateOutput{CommandStatus: awsapi.CommandStatusInProgress}, nil
}

func (f *fake) complete(_ context.Context, in *awsapi.PutHostCommandCompleteInput) (*awsapi.PutHostCommandCompleteOutput, error) {
	if n := len(*in.Diagnostics.Payload); n > awsapi.MaxEnvelopePayload {
		return nil, awsjson.Errorf(awsapi.ClientException, "payload of %d bytes", n)
	}
	done := completion{Status: in.CommandStatus}
	if err := json.Unmarshal([]byte(*in.Diagnostics.Payload), &done.CompletionDiagnostics); err != nil {
		return nil, awsjson.Errorf(awsapi.ClientException, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.commands[*in.HostCommandIdentifier]
	c.completed = append(c.completed, done)
	f.changed.Broadcast()
	return nil, nil
}

// object serves a GET of S3, ranges included.
func (f *fake) object(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	data, ok := f.objects[strings.TrimPrefix(r.URL.Path, "/")]
	intercept := f.intercept
	f.mu.Unlock()
	if intercept != nil && intercept(w, r, "GetObject") {
		return
	}
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		return
	}
	w.Header().Set("ETag", etagOf(data))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

func etagOf(data []byte) string {
	sum := md5.Sum(data)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// put stores an object and returns the specification of a deployment of it.
func (f *fake) put(deployment string, data []byte) specDoc {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := deployment + ".zip"
	f.objects["bundles/"+key] = data
	return specDoc{
		"DeploymentId": "arn:aws:codedeploy:us-east-1:123456789012:deployment/" + deployment, "DeploymentGroupId": "group-1",
		"DeploymentGroupName": "web", "ApplicationName": "shop", "DeploymentCreator": "user", "DeploymentType": "IN_PLACE",
		"HostIdentifier": testHost, "ExpiresAt": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"Revision": map[string]any{"RevisionType": "S3", "S3Revision": map[string]any{
			"Bucket": "bundles", "Key": key, "BundleType": "zip", "ETag": strings.Trim(etagOf(data), `"`), "Version": nil,
		}},
	}
}

// specDoc is the signed document of a deployment.
type specDoc map[string]any

func (d specDoc) with(key string, value any) specDoc {
	d = maps.Clone(d)
	d[key] = value
	return d
}

func (d specDoc) without(key string) specDoc {
	d = maps.Clone(d)
	delete(d, key)
	return d
}

func (d specDoc) id() string { return shortID(d["DeploymentId"].(string)) }

// send queues a command and returns its identifier.
func (f *fake) send(event string, doc specDoc) string {
	content, err := json.Marshal(doc)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.sendEnvelope(event, f.signer.sign(f.t, content))
}

func (f *fake) sendEnvelope(event string, envelope *awsapi.Envelope) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	id := fmt.Sprintf("command-%d", f.serial)
	execution := fmt.Sprintf("arn/123456789012/%s/%d", event, f.serial)
	f.specs[execution] = envelope
	f.commands[id] = &fakeCommand{}
	f.queue = append(f.queue, &awsapi.HostCommand{
		HostIdentifier: aws.String(testHost), HostCommandIdentifier: &id, DeploymentExecutionId: &execution,
		CommandName: &event, Nonce: new(int64(1)),
	})
	f.changed.Broadcast()
	return id
}

// wait blocks until condition holds for what the service knows.
func (f *fake) wait(what string, condition func() bool) {
	f.t.Helper()
	late := time.AfterFunc(20*time.Second, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.t.Errorf("waited in vain for %s", what)
		f.changed.Broadcast()
	})
	defer late.Stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for !condition() && !f.t.Failed() {
		f.changed.Wait()
	}
	if f.t.Failed() {
		f.t.FailNow()
	}
}

// intercepting has every call seen by fn before it is served.
func (f *fake) intercepting(fn func(w http.ResponseWriter, r *http.Request, operation string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = fn
}

// handOver queues commands once more, or changed.
func (f *fake) handOver(commands ...*awsapi.HostCommand) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, commands...)
	f.changed.Broadcast()
}

// end waits for a command's end and returns it; a no-op has no completion.
func (f *fake) end(id string) (noop bool, end completion) {
	f.t.Helper()
	f.mu.Lock()
	c := f.commands[id]
	f.mu.Unlock()
	f.wait("the end of "+id, func() bool {
		noop = len(c.acknowledged) > 0 && c.acknowledged[0]
		if !noop && len(c.completed) > 0 {
			end = c.completed[0]
		}
		return noop || len(c.completed) > 0
	})
	return noop, end
}

// run sends a command and waits for its end.
func (f *fake) run(event string, doc specDoc) completion {
	f.t.Helper()
	noop, end := f.end(f.send(event, doc))
	if noop {
		return completion{Status: "noop"}
	}
	return end
}

// deploy runs the events of an in-place deployment up to the first that fails, and returns how each ended.
func (f *fake) deploy(doc specDoc) map[string]completion {
	f.t.Helper()
	ends := map[string]completion{}
	for _, event := range lifecycle.InPlace {
		end := f.run(string(event), doc)
		ends[string(event)] = end
		if end.Status == awsapi.CommandStatusFailed {
			break
		}
	}
	return ends
}

// mustDeploy deploys and fails the test when an event fails.
func (f *fake) mustDeploy(doc specDoc) map[string]completion {
	f.t.Helper()
	ends := f.deploy(doc)
	for event, end := range ends {
		if end.Status == awsapi.CommandStatusFailed {
			f.t.Fatalf("%s of %s failed: %d %s\n%s", event, doc.id(), end.ErrorCode, end.Message, end.Log)
		}
	}
	return ends
}

// host is one agent and what it sees of its machine.
type host struct {
	*fake
	t    testing.TB
	cfg  config.Config
	dir  string // everything is below it
	log  *lockedBuffer
	stop func() error
}

// newHost prepares a host without starting its agent.
func newHost(t testing.TB, f *fake) *host {
	dir := t.TempDir()
	cfg := config.Default()
	cfg.RootDir = filepath.Join(dir, "root")
	cfg.LogDir = filepath.Join(dir, "log")
	cfg.PIDDir = filepath.Join(dir, "pid")
	cfg.OnPremisesConfigFile = filepath.Join(dir, "onpremises.yml")
	cfg.DeployControlEndpoint, cfg.S3EndpointOverride = f.url, f.url
	cfg.WaitBetweenRuns = 0
	writeFile(t, cfg.OnPremisesConfigFile, "region: us-east-1\niam_user_arn: "+testHost+
		"\naws_access_key_id: AKIDEXAMPLE\naws_secret_access_key: hush\n")
	return &host{fake: f, t: t, cfg: cfg, dir: dir, log: &lockedBuffer{}}
}

// startHost starts an agent against a fresh service.
func startHost(t testing.TB) *host {
	h := newHost(t, newFake(t))
	h.start()
	return h
}

// start runs the agent until the test ends or stop is called.
func (h *host) start() {
	h.t.Helper()
	a := h.newAgent()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	h.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	h.t.Cleanup(func() {
		if err := h.stop(); err != nil {
			h.t.Errorf("the agent ended with %v", err)
		}
		if h.t.Failed() {
			h.t.Logf("agent's log:\n%s", h.log)
		}
	})
}

// path names a file of the host.
func (h *host) path(elements ...string) string {
	return filepath.Join(append([]string{h.dir}, elements...)...)
}

func (h *host) archive(deployment string) string {
	return filepath.Join(h.cfg.RootDir, "group-1", deployment, "deployment-archive")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// signingKey signs specifications as the service does.
type signingKey struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newSigningKey(t testing.TB) *signingKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// Expired on purpose: the certificate's dates must not count (agent.md 5.1).
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"},
		NotBefore: time.Now().AddDate(-2, 0, 0), NotAfter: time.Now().AddDate(-1, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &signingKey{key, cert}
}

func (s *signingKey) fingerprint() string {
	sum := sha256.Sum256(s.cert.Raw)
	return hex.EncodeToString(sum[:])
}

func (s *signingKey) sign(t testing.TB, content []byte) *awsapi.Envelope {
	t.Helper()
	signed, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	signed.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := signed.AddSigner(s.cert, s.key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	der, err := signed.Finish()
	if err != nil {
		t.Fatal(err)
	}
	payload := string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: der}))
	return &awsapi.Envelope{Format: aws.String(awsapi.FormatPKCS7), Payload: &payload}
}

// files of a bundle by path; those that begin with "#!" are executable.
type files map[string]string

func (f files) zip(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(f)) {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(modeOf(f[name]))
		entry, err := w.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := entry.Write([]byte(f[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write lays the files out below dir.
func (f files) write(t testing.TB, dir string) {
	t.Helper()
	for name, content := range f {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), modeOf(content)); err != nil {
			t.Fatal(err)
		}
	}
}

func modeOf(content string) fs.FileMode {
	if strings.HasPrefix(content, "#!") {
		return 0o755
	}
	return 0o644
}

func writeFile(t testing.TB, path, content string) {
	t.Helper()
	files{filepath.Base(path): content}.write(t, filepath.Dir(path))
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func wantContains(t testing.TB, what, got string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(got, part) {
			t.Errorf("%s = %q\nwant it to contain %q", what, got, part)
		}
	}
}

// waitUntil asks for a condition of another process or goroutine for at most d.
func waitUntil(d time.Duration, condition func() bool) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.After(d)
	for !condition() {
		select {
		case <-tick.C:
		case <-end:
			return false
		}
	}
	return true
}
