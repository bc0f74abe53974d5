package join

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"grapnel/internal/agent/config"
	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
)

// server is a server that hosts join, and that knows of a key only its id.
type server struct {
	*httptest.Server
	t     *testing.T
	token string

	mu       sync.Mutex
	name     string // that the token names
	attempts []string
	host     string
	keys     []string // that it accepts
	made     int
	lose     int                      // replies that will not arrive
	spoil    func(*awsapi.JoinOutput) // changes an answer
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	sum := sha256.Sum256(s.Certificate().Raw)
	s.token = "gjt.1.secret." + base64.RawURLEncoding.EncodeToString(sum[:])
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out, err := s.serve(r)
	switch {
	case s.lose > 0:
		s.lose--
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			s.t.Error(err)
			return
		}
		conn.Close()
	case err != nil:
		awsjson.WriteError(w, err)
	default:
		if err := json.NewEncoder(w).Encode(out); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *server) serve(r *http.Request) (any, *awsjson.Error) {
	if r.URL.Path == awsapi.JoinPath {
		var in awsapi.JoinInput
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			return nil, awsjson.Errorf(awsjson.SerializationException, "%v", err)
		}
		return s.join(in)
	}
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(credential, "/")
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !slices.Contains(s.keys, key) {
		return nil, awsjson.Errorf(awsjson.UnrecognizedClientException, "The security token included in the request is invalid.")
	}
	if operation != "RotateHostKey" {
		return nil, awsjson.Errorf(awsapi.ClientException, "there is no such deployment")
	}
	var in awsapi.RotateHostKeyInput
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, awsjson.Errorf(awsjson.SerializationException, "%v", err)
	}
	s.keys = []string{key}
	if awsapi.Value(in.Retire) {
		return struct{}{}, nil
	}
	out := awsapi.RotateHostKeyOutput{AccessKeyId: new(s.newKey()), SecretAccessKey: new("secret/" + s.keys[1])}
	if s.spoil != nil {
		answer := awsapi.JoinOutput{AccessKeyId: out.AccessKeyId, SecretAccessKey: out.SecretAccessKey}
		s.spoil(&answer)
		out.AccessKeyId, out.SecretAccessKey = answer.AccessKeyId, answer.SecretAccessKey
	}
	return out, nil
}

func (s *server) newKey() string {
	s.made++
	key := fmt.Sprintf("AKIA%016d", s.made)
	s.keys = append(s.keys, key)
	return key
}

func (s *server) join(in awsapi.JoinInput) (any, *awsjson.Error) {
	attempt, name := awsapi.Value(in.Attempt), cmp.Or(awsapi.Value(in.InstanceName), s.name)
	switch {
	case awsapi.Value(in.Token) != s.token, len(s.attempts) > 0 && attempt != s.attempts[0]:
		return nil, awsjson.Errorf(awsapi.InvalidInputException, "the token was used")
	case name == "":
		return nil, awsjson.Errorf(awsapi.InstanceNameRequiredException, "the host needs a name")
	}
	s.attempts, s.host, s.keys = append(s.attempts, attempt), name, nil
	key := s.newKey()
	out := awsapi.JoinOutput{
		InstanceName: &name, IamUserArn: new("arn:aws:iam::000000000000:user/AWS/CodeDeploy/" + name), AccessKeyId: &key,
		SecretAccessKey: new("secret/" + key), Region: new("us-east-1"), SpecificationSigner: new(strings.Repeat("ab", 32)),
	}
	if s.spoil != nil {
		s.spoil(&out)
	}
	return out, nil
}

// machine is a host's folder with a configuration file in it.
type machine struct {
	t                *testing.T
	dir, config, ids string
}

const comment = "# The folders of this machine."

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t, dir, filepath.Join(dir, "conf", "codedeployagent.yml"), filepath.Join(dir, "conf", "onpremises.yml")}
	if err := os.Mkdir(filepath.Dir(m.config), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write(m.config, fmt.Sprintf("%s\n:root_dir: %[2]s/root\nlog_dir: %[2]s/log\npid_dir: %[2]s/pid\non_premises_config_file: %[3]s\ns3_endpoint_override: http://other # was\n",
		comment, dir, m.ids))
	return m
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(path string) string {
	m.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(data)
}

// run runs a command line of this machine, and returns the exit code and all that was said.
func (m *machine) run(main func(args []string, out *bytes.Buffer) int, args ...string) (exit int, said string) {
	m.t.Helper()
	var out bytes.Buffer
	exit = main(append(args, "--config-file", m.config), &out)
	return exit, out.String()
}

func (m *machine) join(args ...string) (exit int, said string) {
	m.t.Helper()
	return m.run(func(args []string, out *bytes.Buffer) int { return Main(m.t.Context(), args, out, out) }, args...)
}

func (m *machine) rotate() (exit int, said string) {
	m.t.Helper()
	return m.run(func(args []string, out *bytes.Buffer) int { return Rotate(m.t.Context(), args, out, out) })
}

func (m *machine) mustJoin(s *server, args ...string) (said string) {
	m.t.Helper()
	exit, said := m.join(append([]string{s.URL, "--token", s.token}, args...)...)
	if exit != 0 {
		m.t.Fatalf("join ended with %d: %s", exit, said)
	}
	return said
}

// key returns the id of the key in the on-premises file.
func (m *machine) key() string {
	m.t.Helper()
	pairs, err := config.Mapping([]byte(m.read(m.ids)))
	if err != nil {
		m.t.Fatal(err)
	}
	i := slices.IndexFunc(pairs, func(p config.Pair) bool { return p.Key == "aws_access_key_id" })
	return pairs[i].Value
}

func TestJoin(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	said := m.mustJoin(s, "--name", "web-1")
	for _, want := range []string{"web-1", "accepts its key", "codedeploy-agent --config-file " + m.config + " start"} {
		if !strings.Contains(said, want) {
			t.Errorf("it does not say %q: %s", want, said)
		}
	}
	ca := filepath.Join(filepath.Dir(m.config), "grapnel-ca.pem")
	want := fmt.Sprintf("%s\n:root_dir: %[2]s/root\nlog_dir: %[2]s/log\npid_dir: %[2]s/pid\non_premises_config_file: %[3]s\ns3_endpoint_override: %[4]q # was\n"+
		"# Set by codedeploy-agent join:\nca_file: %[5]q\ndeploy_control_endpoint: %[4]q\nspecification_signer_sha256: %[6]q\n",
		comment, m.dir, m.ids, s.URL, ca, strings.Repeat("ab", 32))
	if diff := gocmp.Diff(want, m.read(m.config)); diff != "" {
		t.Errorf("the settings (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(m.ids); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the on-premises file: %v, %v; want mode 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(m.config))
	if err != nil || len(entries) != 4 { // settings, identity and its lock, authority
		t.Errorf("the folder holds %v, %v", entries, err)
	}

	if exit, said := m.join(s.URL, "--token", "gjt.2.other"); exit != exitNamed || !strings.Contains(said, "user/AWS/CodeDeploy/web-1") || !strings.Contains(said, "--force") {
		t.Errorf("a second join ended with %d: %s", exit, said)
	}
	other := newServer(t)
	m.mustJoin(other, "--name", "web-2", "--force")
	if text := m.read(m.config); strings.Contains(text, s.URL) || !strings.Contains(text, other.URL) || !strings.Contains(m.read(m.ids), "web-2") {
		t.Errorf("after a forced join to another server:\n%s", text)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	s.name = "by-token"
	if m.mustJoin(s); s.host != "by-token" {
		t.Errorf("the host is %q; the token names by-token", s.host)
	}
	s, m = newServer(t), newMachine(t)
	hostname, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if m.mustJoin(s); s.host != nameFrom(hostname) {
		t.Errorf("the host is %q, want it named after %q", s.host, hostname)
	}
	for hostname, want := range map[string]string{
		"web-1.example.com": "web-1.example.com", "web 1/ä": "web-1-", "i-0123": "host-i-0123", strings.Repeat("a", 120): strings.Repeat("a", 64),
	} {
		if got := nameFrom(hostname); got != want || checkName(got) != nil {
			t.Errorf("%q became %q, want %q", hostname, got, want)
		}
	}
}

// A reply that was lost is asked for again, with the same attempt; a program that ended in between asks so as well.
func TestLostReply(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	s.lose = 1
	m.mustJoin(s, "--name", "web-1")
	if len(s.attempts) != 2 || s.attempts[0] != s.attempts[1] {
		t.Errorf("attempts %q, want the same one twice", s.attempts)
	}

	s, m = newServer(t), newMachine(t)
	s.lose = tries
	if exit, said := m.join(s.URL, "--token", s.token, "--name", "web-1"); exit != exitFailed {
		t.Fatalf("without an answer, join ended with %d: %s", exit, said)
	}
	if _, err := os.Stat(m.ids); err == nil {
		t.Error("there is an on-premises file without an answer")
	}
	m.mustJoin(s, "--name", "web-1")
	if last := s.attempts[len(s.attempts)-1]; last != s.attempts[0] {
		t.Errorf("the second run made the attempt %q, the first %q", last, s.attempts[0])
	}
}

// Killed as soon as the identity was written, and the key was renewed or the token died since: the same command still
// succeeds, without another answer of the server, because it accepts the key in the file.
func TestCompletedWithoutAnotherAnswer(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	obstacle := m.ids + ".new"
	if err := os.MkdirAll(filepath.Join(obstacle, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if exit, said := m.join(s.URL, "--token", s.token, "--name", "web-1"); exit != exitFailed || len(s.attempts) != 1 {
		t.Fatalf("exit code %d after %d requests, want it to get as far as the identity: %s", exit, len(s.attempts), said)
	}
	if err := os.RemoveAll(obstacle); err != nil {
		t.Fatal(err)
	}
	m.write(m.ids, "region: us-east-1\niam_user_arn: arn:aws:iam::000000000000:user/AWS/CodeDeploy/web-1\naws_access_key_id: "+s.keys[0]+"\naws_secret_access_key: s\n")
	if exit, said := m.rotate(); exit != exitOK {
		t.Fatal(said)
	}
	m.mustJoin(s, "--name", "web-1")
	if len(s.attempts) != 1 {
		t.Error("the server was asked again")
	}
	if _, err := os.Stat(m.ids + ".joining"); err == nil {
		t.Error("the attempt is still there")
	}
}

// Killed before the identity was written, the join of a machine that is another host goes on until it is the new one.
func TestForcedJoinIsNotTakenForTheOldHost(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	m.mustJoin(s, "--name", "web-1")
	old := m.key()
	sum := sha256.Sum256([]byte(s.token))
	left, err := json.Marshal(attempt{Server: s.URL, Token: fmt.Sprintf("%x", sum), Secret: s.attempts[0], Host: "arn:aws:iam::000000000000:user/AWS/CodeDeploy/web-2"})
	if err != nil {
		t.Fatal(err)
	}
	m.write(m.ids+".joining", string(left))
	m.mustJoin(s, "--name", "web-2", "--force")
	if m.key() == old || !strings.Contains(m.read(m.ids), "web-2") {
		t.Errorf("it is still the old host:\n%s", m.read(m.ids))
	}
}

// What a join that was killed was just writing holds a secret: the next one removes it.
func TestHalfWrittenFilesAreRemoved(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	conf := filepath.Dir(m.ids)
	for _, name := range []string{".onpremises.yml.joining.123.tmp", ".onpremises.yml.new.45.tmp", ".onpremises.yml.mine.tmp"} {
		m.write(filepath.Join(conf, name), "secret")
	}
	m.mustJoin(s, "--name", "web-1")
	left, err := filepath.Glob(filepath.Join(conf, ".*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != ".onpremises.yml.mine.tmp" {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestRefusedBeforeTheServerIsAsked(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, test := range map[string]struct {
		args []string
		exit int
		want string
	}{
		"no address":        {[]string{"--token", "x"}, exitUsage, "address of one server"},
		"no token":          {[]string{s.URL}, exitUsage, "grapnel token create"},
		"unknown option":    {[]string{s.URL, "--tokem", "x"}, exitUsage, "-tokem"},
		"no server's URL":   {[]string{"grapnel.example:8700", "--token", "x"}, exitFailed, "https://host"},
		"plain http":        {[]string{"http://grapnel.example:8700", "--token", "x"}, exitFailed, "--insecure"},
		"a name like EC2's": {[]string{s.URL, "--token", "x", "--name", "i-1"}, exitFailed, "no name for a host"},
		"http to TLS":       {[]string{"http://127.0.0.1:1", "--token", s.token}, exitFailed, "join https://127.0.0.1:1"},
		"half of a token":   {[]string{s.URL, "--token", s.token[:len(s.token)-3]}, exitFailed, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			before := m.read(m.config)
			if exit, said := m.join(test.args...); exit != test.exit || !strings.Contains(said, test.want) {
				t.Errorf("exit code %d, want %d with %q: %s", exit, test.exit, test.want, said)
			}
			if m.read(m.config) != before {
				t.Error("the settings were changed")
			}
		})
	}
}

// What no server of ours answers stays out of the files: with it in them, no later command could read them.
func TestMalformedAnswer(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*awsapi.JoinOutput){
		"name":     func(out *awsapi.JoinOutput) { out.InstanceName = new("a\x1b[2J") },
		"ARN":      func(out *awsapi.JoinOutput) { out.IamUserArn = new("arn:aws:iam::1:user/x\nroot_dir: /other") },
		"key":      func(out *awsapi.JoinOutput) { out.AccessKeyId = new("AKIA 1") },
		"secret":   func(out *awsapi.JoinOutput) { out.SecretAccessKey = new("s\n\"x") },
		"region":   func(out *awsapi.JoinOutput) { out.Region = new("us-east-1.other.example/") },
		"signer":   func(out *awsapi.JoinOutput) { out.SpecificationSigner = new("zz\nca_file: /other") },
		"no ARN":   func(out *awsapi.JoinOutput) { out.IamUserArn = nil },
		"no names": func(out *awsapi.JoinOutput) { *out = awsapi.JoinOutput{} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := newServer(t), newMachine(t)
			s.spoil = spoil
			before := m.read(m.config)
			if exit, said := m.join(s.URL, "--token", s.token, "--name", "web-1"); exit != exitFailed || !strings.Contains(said, "not as a Grapnel server") {
				t.Errorf("exit code %d: %s", exit, said)
			}
			if _, err := os.Stat(m.ids); err == nil || m.read(m.config) != before {
				t.Errorf("it was written: %v, %s", err, m.read(m.config))
			}
			s.spoil = nil
			m.mustJoin(s, "--name", "web-1")
			if name != "key" && name != "secret" {
				return
			}
			s.spoil = spoil
			key := m.key()
			if exit, said := m.rotate(); exit != exitFailed || m.key() != key || !slices.Contains(s.keys, key) {
				t.Errorf("rotate-key ended with %d, the key is %s, the server accepts %v: %s", exit, m.key(), s.keys, said)
			}
		})
	}
}

// Files that somebody keeps elsewhere, behind links, are changed where they are.
func TestFilesBehindLinks(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	kept := t.TempDir()
	settings, ids := filepath.Join(kept, "settings"), filepath.Join(kept, "ids")
	if err := os.Rename(m.config, settings); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{m.config: settings, m.ids: ids} {
		if err := os.Symlink(target, link); err != nil {
			t.Skipf("no symlinks here: %v", err)
		}
	}
	refused := func(path string) {
		t.Helper()
		exit, said := m.join(s.URL, "--token", s.token, "--name", "web-1")
		if exit != exitFailed || !strings.Contains(said, path+" is a link to a file that does not exist") || len(s.attempts) > 0 {
			t.Errorf("with a dangling link, exit code %d after %d requests: %s", exit, len(s.attempts), said)
		}
	}
	refused(m.ids)
	m.write(ids, "")
	if err := os.Rename(settings, settings+"~"); err != nil {
		t.Fatal(err)
	}
	refused(m.config)
	if err := os.Rename(settings+"~", settings); err != nil {
		t.Fatal(err)
	}

	m.mustJoin(s, "--name", "web-1")
	first := m.key()
	if exit, said := m.rotate(); exit != exitOK {
		t.Fatal(said)
	}
	for _, link := range []string{m.config, m.ids} {
		if _, err := os.Readlink(link); err != nil {
			t.Errorf("the link was replaced: %v", err)
		}
	}
	if text := m.read(settings); !strings.Contains(text, s.URL) {
		t.Errorf("the settings behind the link:\n%s", text)
	}
	if m.key() == first || !strings.Contains(m.read(ids), m.key()) {
		t.Errorf("the identity behind the link:\n%s", m.read(ids))
	}
}

func TestFilesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	m.write(m.config, "{root_dir: "+m.dir+"/root, log_dir: "+m.dir+", pid_dir: "+m.dir+", on_premises_config_file: "+m.ids+"}\n")
	if exit, said := m.join(s.URL, "--token", s.token, "--name", "a"); exit != exitFailed || !strings.Contains(said, m.config) || len(s.attempts) > 0 {
		t.Errorf("exit code %d after %d requests: %s", exit, len(s.attempts), said)
	}
	m.write(filepath.Join(m.dir, "file"), "")
	m.write(m.config, "root_dir: "+m.dir+"/file/root\n")
	if exit, said := m.join(s.URL, "--token", s.token, "--name", "a"); exit != exitFailed || !strings.Contains(said, "sudo") || len(s.attempts) > 0 {
		t.Errorf("exit code %d after %d requests: %s", exit, len(s.attempts), said)
	}
}

// A server that cannot show the pinned certificate is told nothing.
func TestOtherServer(t *testing.T) {
	t.Parallel()
	s, stranger, m := newServer(t), newServer(t), newMachine(t)
	// The certificate of httptest is the same for all: what differs is the pin.
	sum := sha256.Sum256([]byte("another certificate"))
	token := "gjt.1.secret." + base64.RawURLEncoding.EncodeToString(sum[:])
	if exit, said := m.join(stranger.URL, "--token", token, "--name", "a"); exit != exitFailed || !strings.Contains(said, "another server") || len(stranger.attempts) > 0 {
		t.Errorf("exit code %d after %d requests: %s", exit, len(stranger.attempts), said)
	}
	// Without a pin, only the usual authorities count.
	if exit, said := m.join(s.URL, "--token", "gjt.1.secret", "--name", "a"); exit != exitFailed || !strings.Contains(said, "ca_file") || len(s.attempts) > 0 {
		t.Errorf("exit code %d after %d requests: %s", exit, len(s.attempts), said)
	}
	plain := "http" + strings.TrimPrefix(s.URL, "https")
	if exit, said := m.join(plain, "--token", "gjt.1.secret", "--name", "a"); exit != exitFailed || !strings.Contains(said, "join "+s.URL) {
		t.Errorf("exit code %d: %s", exit, said)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	if exit, said := m.join("https://"+closed.Addr().String(), "--token", token, "--name", "a"); exit != exitFailed || !strings.Contains(said, "cannot be reached") {
		t.Errorf("exit code %d: %s", exit, said)
	}
}

func TestRotate(t *testing.T) {
	t.Parallel()
	s, m := newServer(t), newMachine(t)
	if exit, said := m.rotate(); exit != exitFailed || !strings.Contains(said, "codedeploy-agent join") {
		t.Errorf("without an identity it ended with %d: %s", exit, said)
	}
	m.mustJoin(s, "--name", "web-1")
	first := m.key()
	exit, said := m.rotate()
	if exit != exitOK || !strings.Contains(said, m.key()) || m.key() == first || !slices.Equal(s.keys, []string{m.key()}) {
		t.Errorf("it ended with %d, the key is %s, the server accepts %v: %s", exit, m.key(), s.keys, said)
	}
	if strings.Contains(said, "secret/") {
		t.Errorf("it tells the secret: %s", said)
	}
}

// Whatever is lost, the key in the file is one that the server accepts, and the same command completes the rotation.
func TestRotationThatIsInterrupted(t *testing.T) {
	t.Parallel()
	for lost := 1; lost <= tries+1; lost++ {
		t.Run(fmt.Sprintf("%d replies lost", lost), func(t *testing.T) {
			t.Parallel()
			s, m := newServer(t), newMachine(t)
			m.mustJoin(s, "--name", "web-1")
			s.lose = lost
			exit, said := m.rotate()
			if !slices.Contains(s.keys, m.key()) {
				t.Errorf("the key %s is not among %v: %s", m.key(), s.keys, said)
			}
			if exit == exitOK {
				return
			}
			if exit, said := m.rotate(); exit != exitOK || !slices.Equal(s.keys, []string{m.key()}) {
				t.Errorf("the next one ended with %d, the key is %s, the server accepts %v: %s", exit, m.key(), s.keys, said)
			}
		})
	}
}
