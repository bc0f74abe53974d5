package doctor_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/agent/doctor"
)

// What must never be shown, whatever goes wrong.
const (
	secretKey     = "hush/SecretKeyOfThisHost"
	proxyPassword = "hushProxy"
)

// service is a command service and a store with one address. The doctor's requests cross a real connection.
type service struct {
	url    string
	ca     string // PEM
	slow   time.Duration
	answer answer
	server *httptest.Server
	calls  []string // targets that were called
}

// answer is that to a signed call.
type answer struct {
	status int
	body   string
}

var unknownDeployment = answer{400, `{"__type":"ClientException","message":"no such deployment"}`}

func newService(t *testing.T, change ...func(*service)) *service {
	t.Helper()
	s := &service{answer: unknownDeployment}
	for _, c := range change {
		c(s)
	}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	s.url = s.server.URL
	return s
}

// newTLSService is one with a certificate of its own authority.
func newTLSService(t *testing.T, leaf certificate) *service {
	t.Helper()
	s := &service{answer: unknownDeployment}
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail on purpose
	pair, ca := leaf.issue(t)
	s.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.url, s.ca = s.server.URL, ca
	return s
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(s.slow).UTC().Format(http.TimeFormat))
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		s.calls = append(s.calls, target[strings.LastIndexByte(target, '.')+1:])
		w.WriteHeader(s.answer.status)
		io.WriteString(w, s.answer.body)
		return
	}
	http.NotFound(w, r)
}

// certificate is what is special about a server's certificate.
type certificate struct {
	names    []string
	from, to time.Time
}

func validFor(days int, names ...string) certificate {
	return certificate{names, time.Now().Add(-100 * 24 * time.Hour), time.Now().Add(time.Duration(days) * 24 * time.Hour)}
}

// issue makes an authority, which holds for ten years, and a certificate of it.
func (c certificate) issue(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Our Own Authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: time.Now().AddDate(9, 0, 0),
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "service"}, NotBefore: c.from, NotAfter: c.to}
	for _, name := range c.names {
		if ip := net.ParseIP(name); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, name)
		}
	}
	authorityKey, leafKey := newKey(t), newKey(t)
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, leafKey.Public(), authorityKey)
	if err != nil {
		t.Fatal(err)
	}
	pair := tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: leafKey}
	return pair, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authorityDER}))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newProxy is a proxy that answers CONNECT with a status, or connects to one server whatever name it is asked for.
func newProxy(t *testing.T, status int, to *service) string {
	t.Helper()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		there, err := net.Dial("tcp", strings.TrimPrefix(to.url, "https://"))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			there.Close()
			return
		}
		io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(there, here); there.Close() }()
		go func() { io.Copy(here, there); here.Close() }()
	}))
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("someone", proxyPassword)
	return u.String()
}

// patient is a host that is examined.
type patient struct {
	t    *testing.T
	dir  string
	keys map[string]string // of its configuration
}

// newPatient is an on-premises host whose services have an address.
func newPatient(t *testing.T, address string) *patient {
	t.Helper()
	dir := t.TempDir()
	p := &patient{t, dir, map[string]string{
		"root_dir": dir + "/root", "log_dir": dir + "/log", "pid_dir": dir + "/pid", "on_premises_config_file": dir + "/on-premises.yml",
		"deploy_control_endpoint": address, "s3_endpoint_override": address,
	}}
	p.write("on-premises.yml", "region: us-east-1\niam_user_arn: arn:aws:iam::123456789012:user/host-1\n"+
		"aws_access_key_id: AKIDEXAMPLE\naws_secret_access_key: "+secretKey+"\n")
	return p
}

func (p *patient) write(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// configure writes the configuration file.
func (p *patient) configure() string {
	p.t.Helper()
	var b strings.Builder
	for key, value := range p.keys {
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return p.write("agent.yml", b.String())
}

// report is what the doctor says in JSON.
type report struct {
	t       *testing.T
	Checks  []doctor.Result
	Summary struct{ OK, Warnings, Failed, Skipped int }
}

// examine runs the doctor and compares its exit code with what it says.
func (p *patient) examine(ctx context.Context) report {
	p.t.Helper()
	var out bytes.Buffer
	exit := doctor.Main(ctx, doctor.Options{ConfigFile: p.configure(), JSON: true}, &out)
	r := report{t: p.t}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		p.t.Fatalf("%v:\n%s", err, out.String())
	}
	if (exit == 0) != (r.Summary.Failed == 0) {
		p.t.Errorf("exit code %d with %+v", exit, r.Summary)
	}
	for _, secret := range []string{secretKey, proxyPassword, "AKIDEXAMPLE"} {
		if strings.Contains(out.String(), secret) {
			p.t.Errorf("it tells the secret %q:\n%s", secret, out.String())
		}
	}
	return r
}

// want compares a check's state, and looks for words in what it says.
func (r report) want(check string, state doctor.State, words ...string) {
	r.t.Helper()
	for _, c := range r.Checks {
		if c.Check != check {
			continue
		}
		said := strings.Join(append(c.Seen, c.Advice...), "; ")
		if c.State != state {
			r.t.Errorf("%s: %s, want %s (%s)", check, c.State, state, said)
		}
		for _, w := range words {
			if !strings.Contains(said, w) {
				r.t.Errorf("%s: %q does not say %q", check, said, w)
			}
		}
		if len(c.Seen) == 0 || (c.State == doctor.Warning || c.State == doctor.Failed) && len(c.Advice) == 0 {
			r.t.Errorf("%s: %s, seen %q, advice %q: what is not ok needs advice", check, c.State, c.Seen, c.Advice)
		}
		return
	}
	r.t.Errorf("there is no check %s", check)
}
