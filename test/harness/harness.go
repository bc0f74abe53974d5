// Package harness builds and runs the real programs for tests, as processes of their own that can be signalled and killed.
package harness

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/internal/awsapi"
)

// bin is the folder that the programs were built into.
var bin string

// Main is the TestMain of packages that use the harness: it builds both programs.
func Main(m *testing.M) {
	os.Exit(func() int {
		var err error
		if bin, err = os.MkdirTemp("", "grapnel-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(bin)
		build := exec.Command("go", "build", "-o", bin, "grapnel/cmd/grapnel", "grapnel/cmd/codedeploy-agent")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// Path returns the path of a program: grapnel or codedeploy-agent.
func Path(program string) string { return filepath.Join(bin, program) }

// Process is a running program.
type Process struct {
	*exec.Cmd
	Output *Buffer // stdout and stderr
	done   chan struct{}
}

// Start starts one of our programs; it is killed when the test ends.
func Start(t testing.TB, program string, env []string, args ...string) *Process {
	t.Helper()
	return StartCommand(t, exec.Command(Path(program), args...), env...)
}

// StartCommand starts any program with a clean environment and env; it is killed when the test ends.
func StartCommand(t testing.TB, cmd *exec.Cmd, env ...string) *Process {
	t.Helper()
	p := &Process{Cmd: cmd, Output: new(Buffer), done: make(chan struct{})}
	p.Env = append(cleanEnvironment(), env...)
	p.Stdout, p.Stderr = p.Output, p.Output
	if err := p.Cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.Wait(); close(p.done) }()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(cmd.Args, " "), tail(p.Output.String(), 6000))
		}
	})
	return p
}

// cleanEnvironment is this process's environment without what would point AWS clients anywhere.
func cleanEnvironment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") && !strings.HasPrefix(v, "GRAPNEL_") && !strings.HasPrefix(v, "SSL_CERT") {
			env = append(env, v)
		}
	}
	return env
}

// Kill ends the process as kill -9 does, and waits for its end.
func (p *Process) Kill() {
	p.Process.Kill()
	<-p.done
}

// Terminate sends SIGTERM and waits for the end; it returns the exit code, or fails the test after 20 s.
func (p *Process) Terminate(t testing.TB) int {
	t.Helper()
	p.Process.Signal(syscall.SIGTERM)
	return p.ExitCode(t)
}

// ExitCode waits for the end of the process.
func (p *Process) ExitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-p.done:
		return p.ProcessState.ExitCode()
	case <-time.After(20 * time.Second):
		t.Fatalf("the process did not end:\n%s", tail(p.Output.String(), 4000))
		return -1
	}
}

// Exited reports whether the process has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// Buffer is a bytes.Buffer for several goroutines.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Server is a running `grapnel server`.
type Server struct {
	*Process
	Dir string            // its data folder
	Env map[string]string // what its export lines say
	URL string

	codedeploy *codedeploy.Client
	s3         *s3.Client
}

// StartServer starts a server on a free port. Its data folder is kept between calls with the same dir.
func StartServer(t testing.TB, dir string, args ...string) *Server {
	t.Helper()
	args = append([]string{"server", "--data", dir, "--listen", "127.0.0.1:0"}, args...)
	s := &Server{Process: Start(t, "grapnel", nil, args...), Dir: dir, Env: map[string]string{}}
	Eventually(t, 30*time.Second, "the server to print its exports", func() bool {
		for scan := bufio.NewScanner(strings.NewReader(s.Output.String())); scan.Scan(); {
			if v, ok := strings.CutPrefix(scan.Text(), "export "); ok {
				name, value, _ := strings.Cut(v, "=")
				s.Env[name] = value
			}
		}
		if s.Exited() {
			t.Fatalf("the server ended:\n%s", s.Output.String())
		}
		return s.Env["AWS_DEFAULT_REGION"] != ""
	})
	s.URL = s.Env["AWS_ENDPOINT_URL"]
	return s
}

// Environ is the environment of a client of the server: what the server printed, and nothing else of AWS.
func (s *Server) Environ() []string {
	env := cleanEnvironment()
	for name, value := range s.Env {
		env = append(env, name+"="+value)
	}
	return env
}

// RootKey reads the root access key from the server's credentials file.
func (s *Server) RootKey(t testing.TB) aws.Credentials {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, "credentials"))
	if err != nil {
		t.Fatal(err)
	}
	var c aws.Credentials
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, "=")
		switch strings.TrimSpace(name) {
		case "aws_access_key_id":
			c.AccessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			c.SecretAccessKey = strings.TrimSpace(value)
		}
	}
	return c
}

// CodeDeploy returns the SDK client as root. There is one, because each keeps connections of its own open.
func (s *Server) CodeDeploy(t testing.TB) *codedeploy.Client {
	t.Helper()
	if s.codedeploy == nil {
		s.codedeploy = codedeploy.New(codedeploy.Options{
			Region: "us-east-1", BaseEndpoint: &s.URL, RetryMaxAttempts: 1, Credentials: s.rootProvider(t), HTTPClient: s.client(t),
		})
	}
	return s.codedeploy
}

// S3 returns the SDK client as root.
func (s *Server) S3(t testing.TB) *s3.Client {
	t.Helper()
	if s.s3 == nil {
		s.s3 = s3.New(s3.Options{Region: "us-east-1", BaseEndpoint: &s.URL, UsePathStyle: true, Credentials: s.rootProvider(t), HTTPClient: s.client(t)})
	}
	return s.s3
}

// client trusts what the server says that its clients must.
func (s *Server) client(t testing.TB) *http.Client {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if path := s.Env["AWS_CA_BUNDLE"]; path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(pem)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *Server) rootProvider(t testing.TB) aws.CredentialsProvider {
	t.Helper()
	k := s.RootKey(t)
	return credentials.NewStaticCredentialsProvider(k.AccessKeyID, k.SecretAccessKey, "")
}

// Host is a registered host: its folder and its files.
type Host struct {
	Name   string
	Dir    string
	Config string // path of the agent's configuration file
	ARN    string
}

// Register makes a host with `codedeploy-agent join`, in a folder of its own.
func Register(t testing.TB, s *Server, name string, tags map[string]string) *Host {
	t.Helper()
	create := exec.Command(Path("grapnel"), "token", "create", "--json", "--name", name)
	for key, value := range tags {
		create.Args = append(create.Args, "--tag", key+"="+value)
	}
	create.Env = s.Environ()
	out, err := create.Output()
	if err != nil {
		t.Fatalf("grapnel token create: %v", err)
	}
	var made awsapi.CreateJoinTokenOutput
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, name)
	h.configure(t, "")
	if join := Start(t, "codedeploy-agent", nil, "join", s.URL, "--token", *made.Token, "--config-file", h.Config); join.ExitCode(t) != 0 {
		t.Fatalf("codedeploy-agent join:\n%s", join.Output)
	}
	h.ARN = "arn:aws:iam::000000000000:user/AWS/CodeDeploy/" + name
	return h
}

// NewHost writes the two files of a host that is registered already.
func NewHost(t testing.TB, s *Server, name, arn, keyID, secret string) *Host {
	t.Helper()
	h := newHost(t, name)
	h.ARN = arn
	write(t, filepath.Join(h.Dir, "codedeploy.onpremises.yml"),
		fmt.Sprintf("region: us-east-1\niam_user_arn: %s\naws_access_key_id: %s\naws_secret_access_key: %s\n", arn, keyID, secret))
	h.Point(t, s.URL)
	return h
}

func newHost(t testing.TB, name string) *Host {
	t.Helper()
	dir := t.TempDir()
	return &Host{Name: name, Dir: dir, Config: filepath.Join(dir, "codedeployagent.yml")}
}

// Point writes the agent's configuration for a server's address.
func (h *Host) Point(t testing.TB, url string) {
	t.Helper()
	h.configure(t, fmt.Sprintf("deploy_control_endpoint: %[1]s\ns3_endpoint_override: %[1]s\n", url))
}

// configure writes the agent's configuration: the host's folders, and more.
func (h *Host) configure(t testing.TB, more string) {
	t.Helper()
	write(t, h.Config, fmt.Sprintf(`log_dir: %[1]s/log
pid_dir: %[1]s/pid
root_dir: %[1]s/root
on_premises_config_file: %[1]s/codedeploy.onpremises.yml
wait_between_runs: 0
%[2]s`, h.Dir, more))
}

// Start starts the host's agent.
func (h *Host) Start(t testing.TB, env ...string) *Process {
	t.Helper()
	return Start(t, "codedeploy-agent", env, "--config-file", h.Config, "start")
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Patience is how long a test waits for something that takes a moment on an idle machine.
const Patience = time.Minute

// Eventually asks again and again until it is told yes, and fails the test when that takes longer than within. It is for
// what another process does; time inside one process is for testing/synctest.
func Eventually(t testing.TB, within time.Duration, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !ask() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", within, what)
		}
	}
}

// Need skips the test when a program is missing, in one line that says how to install it.
func Need(t testing.TB, program, install string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("needs %s: %s", program, install)
	}
	return path
}
