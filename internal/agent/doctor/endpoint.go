package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"sync"
	"time"

	"grapnel/internal/agent/config"
)

// visitLimit bounds a lookup and a visit each: together with the search for an identity they fit into limit.
const visitLimit = 7 * time.Second

// endpoint is a service that this host calls, and what one visit shows of the way to it.
type endpoint struct {
	url    *url.URL
	route  route
	lookup func() lookup
	visit  func() visit
}

// route is how a service is reached.
type route struct {
	proxy *url.URL // nil = directly
	why   string
	err   error
}

// lookup is what the name service says of the host that is connected to: the proxy if there is one.
type lookup struct {
	host      string
	literal   bool // the host is an address, nobody was asked
	addresses []netip.Addr
	took      time.Duration
	err       error
}

// visit is one request, made by the agent's own client, and what came of it.
type visit struct {
	status int
	came   time.Time // when the reply did, by this host's clock
	date   time.Time // the service's clock; zero when it does not tell
	tls    *tls.ConnectionState
	err    error
}

func newEndpoint(ctx context.Context, s setup, u *url.URL) *endpoint {
	e := &endpoint{url: u, route: s.route(u)}
	e.lookup = sync.OnceValue(func() lookup { return lookUp(ctx, e.connectsTo()) })
	e.visit = sync.OnceValue(func() visit { return e.pay(ctx, s.client) })
	return e
}

// connectsTo is the host that the name service is asked for.
func (e *endpoint) connectsTo() string {
	if e.route.proxy != nil {
		return e.route.proxy.Hostname()
	}
	return e.url.Hostname()
}

func lookUp(ctx context.Context, host string) lookup {
	l := lookup{host: host}
	if addr, err := netip.ParseAddr(host); err == nil {
		l.literal, l.addresses = true, []netip.Addr{addr}
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	begun := time.Now()
	l.addresses, l.err = net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	l.took = time.Since(begun)
	return l
}

// route finds the proxy for a service, and tells who chose it. Errors do not quote the proxy's address, which may hold a password.
func (s setup) route(u *url.URL) route {
	choose := s.client.Transport.(*http.Transport).Proxy
	proxy, err := choose(&http.Request{URL: u})
	name, isSet := proxyVariable(u.Scheme)
	switch {
	case err != nil:
		return route{err: fmt.Errorf("%s is no URL such as http://proxy:3128", name)}
	case s.ProxyURI != nil && proxy == nil:
		return route{why: "the service is on this machine"}
	case s.ProxyURI != nil:
		return route{proxy: proxy, why: "proxy_uri"}
	case proxy != nil:
		return route{proxy: proxy, why: name}
	case isSet && !isURL(os.Getenv(name)): // net/http passes over it without a word
		return route{err: fmt.Errorf("%s is no URL such as http://proxy:3128 and has no effect", name)}
	case isSet && config.IsLoopback(u.Hostname()):
		return route{why: "the service is on this machine"}
	case isSet:
		return route{why: "NO_PROXY, in spite of " + name}
	default:
		return route{why: "no proxy is configured"}
	}
}

// proxyVariable is the variable of the environment that names the proxy for a scheme.
func proxyVariable(scheme string) (name string, isSet bool) {
	names := []string{"HTTPS_PROXY", "https_proxy"}
	if scheme == "http" {
		names = []string{"HTTP_PROXY", "http_proxy"}
	}
	for _, name := range names {
		if os.Getenv(name) != "" {
			return name, true
		}
	}
	return names[0], false
}

// isURL reads a proxy as net/http does, which adds the scheme when that is missing.
func isURL(proxy string) bool {
	_, whole := url.Parse(proxy)
	_, completed := url.Parse("http://" + proxy)
	return whole == nil || completed == nil
}

// proxyRefusal is a proxy's answer that is no connection.
type proxyRefusal struct {
	code   int
	status string
}

// Error tells the proxy's answer.
func (p *proxyRefusal) Error() string { return "the proxy answers " + p.status }

// pay makes the visit: a request without signature for "/", as stock agents make it when they start (agent.md 3.3). Every
// status is an answer.
func (e *endpoint) pay(ctx context.Context, agents *http.Client) visit {
	if e.route.err != nil {
		return visit{err: e.route.err}
	}
	ctx, cancel := context.WithTimeout(ctx, visitLimit)
	defer cancel()
	way := agents.Transport.(*http.Transport).Clone()
	defer way.CloseIdleConnections()
	way.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
		if answer.StatusCode != http.StatusOK {
			return &proxyRefusal{answer.StatusCode, answer.Status}
		}
		return nil
	}
	client := http.Client{
		Transport:     way,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	root := url.URL{Scheme: e.url.Scheme, Host: e.url.Host, Path: "/"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, root.String(), nil)
	if err != nil {
		return visit{err: err}
	}
	req.Header.Set("Cache-Control", "no-cache") // an old reply carries an old Date
	resp, err := client.Do(req)
	if err != nil {
		return visit{err: err}
	}
	resp.Body.Close()
	v := visit{status: resp.StatusCode, came: time.Now(), tls: resp.TLS}
	if v.status == http.StatusProxyAuthRequired {
		v.err = &proxyRefusal{resp.StatusCode, resp.Status}
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		v.date = date
	}
	return v
}

// obstacle is what keeps this host from a service. Each is one check's to fail; the others are skipped then.
type obstacle string

const (
	none       obstacle = ""
	byName     obstacle = "the name is not known, see DNS"
	byProxy    obstacle = "the proxy is in the way, see proxy"
	byTLS      obstacle = "there is no trust, see TLS"
	byDistance obstacle = "it cannot be reached"
)

func (e *endpoint) obstacle() obstacle {
	if e.lookup().err != nil {
		return byName
	}
	var (
		refusal *proxyRefusal
		network *net.OpError
		cert    *tls.CertificateVerificationError
		alert   tls.AlertError
	)
	switch err := e.visit().err; {
	case err == nil:
		return none
	case e.route.err != nil, errors.As(err, &refusal), errors.As(err, &network) && network.Op == "proxyconnect":
		return byProxy
	case errors.As(err, &cert), errors.As(err, &alert), speaksNoTLS(err):
		return byTLS
	default:
		return byDistance
	}
}

// speaksNoTLS reports whether the other side did not answer in TLS.
func speaksNoTLS(err error) bool {
	var record tls.RecordHeaderError
	return errors.As(err, &record) || errors.Is(err, http.ErrSchemeMismatch)
}

// plain takes the method and the address off an error of net/http: the line names them already.
func plain(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no answer within %v", visitLimit)
	}
	return err.Error()
}
