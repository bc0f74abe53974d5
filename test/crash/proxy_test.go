package crash

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// stage is a moment in the life of a request between agent and server.
type stage string

const (
	before stage = "before" // the server has not seen the request
	after  stage = "after"  // the server has answered, the agent has not heard it
)

// point is one such moment: the n-th request of an operation (n from 0) that concerns a command.
type point struct {
	op    string
	n     int
	stage stage
}

// proxy stands between agent and server, and calls strike once at one point, with the request held.
type proxy struct {
	*httptest.Server
	at     point
	strike func()

	mu      sync.Mutex
	backend string
	counts  map[point]int
}

func newProxy(t *testing.T, backend string, at point, strike func()) *proxy {
	p := &proxy{backend: backend, at: at, strike: strike, counts: map[point]int{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.CloseClientConnections)
	return p
}

// point tells the proxy where the server is now.
func (p *proxy) point(backend string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backend = backend
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	// Whether a poll brings a command is known only afterwards.
	if op != "PollHostCommand" && p.pass(op, before) {
		panic(http.ErrAbortHandler) // what was not sent yet is lost with its sender
	}
	resp, reply, err := p.forward(r, body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if resp.StatusCode == http.StatusOK && (op != "PollHostCommand" || bytes.Contains(reply, []byte("HostCommandIdentifier"))) {
		p.pass(op, after)
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	w.Write(reply)
}

func (p *proxy) forward(r *http.Request, body []byte) (*http.Response, []byte, error) {
	p.mu.Lock()
	backend := p.backend
	p.mu.Unlock()
	out, err := http.NewRequestWithContext(r.Context(), r.Method, backend+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	out.Header, out.Host = r.Header, r.Host // the host is signed
	resp, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	return resp, reply, err
}

// pass counts a moment, and strikes when it is the one; it reports whether it did.
func (p *proxy) pass(op string, s stage) bool {
	p.mu.Lock()
	key := point{op: op, stage: s}
	hit := point{op, p.counts[key], s} == p.at
	p.counts[key]++
	p.mu.Unlock()
	if hit {
		p.strike()
	}
	return hit
}
