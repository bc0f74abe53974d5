package identity

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fake is an EC2 instance metadata service. What is set before it is called decides how it misbehaves.
type fake struct {
	url    string
	values map[string]string // by path

	tokenStatus int                          // of requests for a token, 0 = 200
	tokenNeeded bool                         // requests without a valid token get 401
	fail        func(path string, n int) int // status of the n-th request for a path, from 1; 0 = answer

	mu     sync.Mutex
	tokens int            // handed out
	calls  map[string]int // requests by method and path
	bare   int            // requests for values without a token
}

const (
	document = `{"region":"us-iso-east-1","accountId":"123","instanceId":"i-1"}`
	roleJSON = `{"Code":"Success","AccessKeyId":"AK3","SecretAccessKey":"s3","Token":"t3","Expiration":"2999-01-01T00:00:00Z"}`
)

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{calls: map[string]int{}, tokenNeeded: true, values: map[string]string{
		documentPath: "\n " + document + "\n\n", partitionPath: "aws-iso\n", domainPath: "\tc2s.ic.gov \r\n",
		rolePath: "deploy\n", rolePath + "deploy": roleJSON,
	}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	call := r.Method + " " + r.URL.Path
	f.calls[call]++
	if f.fail != nil {
		if status := f.fail(r.URL.Path, f.calls[call]); status != 0 {
			http.Error(w, "no", status)
			return
		}
	}
	if r.URL.Path == tokenPath {
		f.serveToken(w, r)
		return
	}
	token := r.Header.Get("X-aws-ec2-metadata-token")
	if token == "" {
		f.bare++
	}
	value, ok := f.values[r.URL.Path]
	switch {
	case f.tokenNeeded && token != fmt.Sprintf("token-%d", f.tokens):
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case r.Method != http.MethodGet || !ok:
		http.NotFound(w, r)
	default:
		fmt.Fprint(w, value)
	}
}

func (f *fake) serveToken(w http.ResponseWriter, r *http.Request) {
	switch {
	case f.tokenStatus != 0:
		http.Error(w, "no tokens here", f.tokenStatus)
	case r.Method != http.MethodPut || r.Header.Get("X-aws-ec2-metadata-token-ttl-seconds") != "21600":
		http.Error(w, "bad request", http.StatusBadRequest)
	default:
		f.tokens++
		fmt.Fprintf(w, "token-%d\n", f.tokens)
	}
}

// client returns a client of the fake and what it logs.
func (f *fake) client(t *testing.T, v2Only bool) (*metadata, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	m, err := newMetadata(f.url+"/", v2Only, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return m, &log
}

// agent.md 16: 58, 59, 62
func TestInstanceIdentity(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	o, log := options("none.yml", map[string]string{metadataVariable: fake.url})
	o.DisableIMDSv1 = true
	id, err := Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if id.HostID != "arn:aws-iso:ec2:us-iso-east-1:123:instance/i-1" || id.Region != "us-iso-east-1" || id.OnPremises {
		t.Errorf("identity = %+v", id)
	}
	if want := "https://codedeploy-commands.us-iso-east-1.c2s.ic.gov"; id.CommandEndpoint != want {
		t.Errorf("command endpoint = %s, want %s with the domain of metadata", id.CommandEndpoint, want)
	}
	c, err := id.Credentials.Retrieve(t.Context())
	if err != nil || c.AccessKeyID != "AK3" || c.SecretAccessKey != "s3" || c.SessionToken != "t3" || c.Expires.Year() != 2999 {
		t.Errorf("credentials = %+v, %v", c, err)
	}
	if fake.tokens != 1 || fake.bare != 0 {
		t.Errorf("%d tokens for five values, %d requests without one; want one token for all", fake.tokens, fake.bare)
	}
	if !strings.Contains(log.String(), "it does not exist") {
		t.Errorf("the log does not say why metadata is asked:\n%s", log)
	}
}

// agent.md 16: 60
func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	m, _ := fake.client(t, true)
	if _, err := m.get(t.Context(), partitionPath); err != nil {
		t.Fatal(err)
	}
	fake.tokens++ // the token that the client holds is no longer valid
	if got, err := m.get(t.Context(), partitionPath); err != nil || got != "aws-iso" {
		t.Errorf("after the token ended: %q, %v", got, err)
	}
	if fake.tokens != 3 || fake.calls["GET "+partitionPath] != 3 {
		t.Errorf("requests: %v", fake.calls)
	}

	fake.fail = func(path string, _ int) int {
		if path == partitionPath {
			return http.StatusUnauthorized
		}
		return 0
	}
	clear(fake.calls)
	_, err := m.get(t.Context(), partitionPath)
	if err == nil || !strings.Contains(err.Error(), "hop limit") {
		t.Errorf("error = %v, want advice", err)
	}
	if fake.calls["PUT "+tokenPath] != 1 || fake.calls["GET "+partitionPath] != 2 {
		t.Errorf("every token refused: %v, want one renewal", fake.calls)
	}
}

// agent.md 16: 61
func TestWithoutTokens(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusMethodNotAllowed} {
		fake := newFake(t)
		fake.tokenStatus, fake.tokenNeeded = status, false
		m, log := fake.client(t, false)
		got, err := m.instance(t.Context())
		if err != nil || got.arn() != "arn:aws-iso:ec2:us-iso-east-1:123:instance/i-1" {
			t.Errorf("tokens refused with %d: %+v, %v", status, got, err)
		}
		if fake.calls["PUT "+tokenPath] != 1 || strings.Count(log.String(), "set disable_imds_v1 to refuse that") != 1 {
			t.Errorf("%v, want one try and one warning:\n%s", fake.calls, log)
		}

		m, _ = fake.client(t, true)
		fake.bare = 0
		if _, err := m.instance(t.Context()); err == nil || !strings.Contains(err.Error(), "disable_imds_v1 forbids") {
			t.Errorf("disable_imds_v1: %v", err)
		}
		if fake.bare != 0 {
			t.Errorf("disable_imds_v1: %d requests without a token", fake.bare)
		}
	}
}

// An instance that was asked without a token may be switched to tokens while the agent runs.
func TestTokensSwitchedOn(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	fake.tokenStatus, fake.tokenNeeded = http.StatusForbidden, false
	m, _ := fake.client(t, false)
	if _, err := m.get(t.Context(), domainPath); err != nil {
		t.Fatal(err)
	}
	fake.tokenStatus, fake.tokenNeeded = 0, true
	if got, err := m.get(t.Context(), domainPath); err != nil || got != "c2s.ic.gov" {
		t.Errorf("%q, %v", got, err)
	}
}

// A failure that may pass is tried again after 1 and 2 seconds, another is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		status, failures, wantCalls int
		wantTook                    time.Duration
		ok                          bool
	}{
		{500, 1, 2, time.Second, true},
		{503, 2, 3, 3 * time.Second, true},
		{429, 2, 3, 3 * time.Second, true},
		{500, 9, 3, 3 * time.Second, false},
		{404, 9, 1, 0, false},
		{403, 9, 1, 0, false},
	} {
		fake := newFake(t)
		fake.fail = func(path string, n int) int {
			if path == documentPath && n <= test.failures {
				return test.status
			}
			return 0
		}
		synctest.Test(t, func(t *testing.T) {
			m, _ := fake.client(t, true)
			began := time.Now()
			_, err := m.get(t.Context(), documentPath)
			if took := time.Since(began); (err == nil) != test.ok || took != test.wantTook || fake.calls["GET "+documentPath] != test.wantCalls {
				t.Errorf("%+v: %v after %v, calls %v", test, err, took, fake.calls)
			}
		})
	}
}

// Whoever answers at the address, metadata hands out keys: it is neither sought elsewhere nor through a proxy.
func TestNeitherRedirectNorProxy(t *testing.T) {
	t.Parallel()
	elsewhere := newFake(t)
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.url+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	t.Cleanup(redirecting.Close)
	for _, v2Only := range []bool{false, true} {
		m, _ := (&fake{url: redirecting.URL}).client(t, v2Only)
		if _, err := m.instance(t.Context()); err == nil || !strings.Contains(err.Error(), "307") {
			t.Errorf("error = %v, want the redirect", err)
		}
		// Go sends nothing that goes to loopback through a proxy, so that only the setting itself can be looked at.
		if m.client.Transport.(*http.Transport).Proxy != nil {
			t.Error("metadata is asked through a proxy")
		}
	}
	if len(elsewhere.calls) != 0 {
		t.Errorf("a redirect was followed: %v", elsewhere.calls)
	}
}

// Other clouds, captive portals and proxies answer at the address of EC2's metadata too.
func TestOtherMetadataServices(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"<html>Welcome to the hotel</html>": "is not EC2", `{"region":"r"}`: "is not EC2", "": "is not EC2", "null": "is not EC2",
	} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, content) }))
		t.Cleanup(other.Close)
		o, _ := options("none.yml", map[string]string{metadataVariable: other.URL})
		if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "or write region") {
			t.Errorf("%q: error = %v, want %q and advice", content, err, want)
		}
	}
	for _, address := range []string{"169.254.169.254", "ftp://169.254.169.254", "http://", "http://[::1"} {
		o, _ := options("none.yml", map[string]string{metadataVariable: address})
		if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), "AWS_EC2_METADATA_SERVICE_ENDPOINT") {
			t.Errorf("%q: error = %v, want the variable named", address, err)
		}
	}
}

// What metadata does not tell, or tells in a form that fits no name, is told from the region.
func TestPartitionAndDomainAreOptional(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"", "<html>", "evil.example/x?"} {
		fake := newFake(t)
		fake.values[documentPath] = `{"region":"cn-north-1","accountId":"123","instanceId":"i-1"}`
		fake.values[partitionPath], fake.values[domainPath] = wrong, wrong
		if wrong == "" {
			delete(fake.values, partitionPath)
			delete(fake.values, domainPath)
		}
		o, _ := options("none.yml", map[string]string{metadataVariable: fake.url})
		id, err := Load(t.Context(), o)
		if err != nil || id.HostID != "arn:aws-cn:ec2:cn-north-1:123:instance/i-1" || id.Domain != "amazonaws.com.cn" {
			t.Errorf("%q: %+v, %v", wrong, id, err)
		}
	}
}

func TestRoleErrors(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(map[string]string)
		want   string
	}{
		"no profile":   {func(v map[string]string) { delete(v, rolePath) }, "attach an instance profile"},
		"empty list":   {func(v map[string]string) { v[rolePath] = "\n" }, "attach an instance profile"},
		"no such role": {func(v map[string]string) { delete(v, rolePath+"deploy") }, "cannot get keys of role deploy"},
		"refused": {func(v map[string]string) {
			v[rolePath+"deploy"] = `{"Code":"AssumeRoleUnauthorizedAccess","Message":"EC2 cannot assume the role"}`
		}, "AssumeRoleUnauthorizedAccess EC2 cannot assume the role"},
		"no JSON": {func(v map[string]string) { v[rolePath+"deploy"] = `{"SecretAccessKey":"hush"` }, "cannot read the keys of role deploy"},
	} {
		fake := newFake(t)
		test.change(fake.values)
		m, _ := fake.client(t, true)
		if _, err := m.roleKeys(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error = %v, want %q", name, err, test.want)
		}
	}
}

// pipes is a network in memory: in a bubble of testing/synctest, time passes while one waits for it.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects to whoever accepts.
func (p pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p <- server
	return client, nil
}

// vacant is an address to which every packet is lost.
func vacant(ctx context.Context, network, _ string) (net.Conn, error) {
	select {
	case <-time.After(connectLimit):
	case <-ctx.Done():
	}
	return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
}

// asked says how asking for the instance went with a network of its own, and how long it took in the time of the bubble.
func asked(t *testing.T, dial func(context.Context, string, string) (net.Conn, error)) (got instance, took time.Duration, log string, err error) {
	t.Helper()
	m, buffer := (&fake{url: metadataAddress}).client(t, false)
	m.client.Transport.(*http.Transport).DialContext = dial
	began := time.Now()
	got, err = m.instance(t.Context())
	return got, time.Since(began), buffer.String(), err
}

// serve serves a handler over pipes until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) pipes {
	t.Helper()
	network := make(pipes)
	server := &http.Server{Handler: handler}
	go server.Serve(network)
	t.Cleanup(func() { server.Close() })
	return network
}

// Nobody waits a minute to be told that this is not EC2.
func TestSilenceEndsSoon(t *testing.T) {
	t.Parallel()
	t.Run("packets are lost", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			if _, took, _, err := asked(t, vacant); err == nil || took > 4*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
	t.Run("something connects and says nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			network := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			_, took, _, err := asked(t, network.dial)
			if !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
				t.Errorf("%v after %v", err, took)
			}
		})
	})
}

// In a container the answer that holds the token is lost on its way (the hop limit), other answers arrive.
//
// agent.md 16: 61
func TestTokenIsLost(t *testing.T) {
	t.Parallel()
	behind := newFake(t)
	behind.tokenNeeded = false
	synctest.Test(t, func(t *testing.T) {
		network := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == tokenPath {
				<-r.Context().Done()
				return
			}
			behind.ServeHTTP(w, r)
		})
		got, took, log, err := asked(t, network.dial)
		if err != nil || got.ID != "i-1" || took > 6*time.Second {
			t.Errorf("%+v after %v: %v", got, took, err)
		}
		if !strings.Contains(log, "raise the instance's metadata hop limit") {
			t.Errorf("no advice in the log:\n%s", log)
		}
	})
}

// An instance whose metadata is slow is an instance all the same.
func TestSlowMetadata(t *testing.T) {
	t.Parallel()
	behind := newFake(t)
	synctest.Test(t, func(t *testing.T) {
		network := serve(t, func(w http.ResponseWriter, r *http.Request) {
			<-time.After(2 * time.Second)
			behind.ServeHTTP(w, r)
		})
		got, took, _, err := asked(t, network.dial)
		if err != nil || got.arn() != "arn:aws-iso:ec2:us-iso-east-1:123:instance/i-1" || behind.bare != 0 || took != 8*time.Second {
			t.Errorf("%+v after %v: %v, %d requests without a token", got, took, err, behind.bare)
		}
	})
}
