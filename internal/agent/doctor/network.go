package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// slowLookup is what a name may take. Every new connection waits for it.
const slowLookup = 2 * time.Second

func checkNames(_ context.Context, e endpoints, r *Result) {
	for _, service := range e.all() {
		l := service.lookup()
		switch {
		case l.literal:
			r.saw("%s is an address", l.host)
		case l.err != nil:
			r.fail(l.host+": "+l.failure(), service.nameAdvice())
		case l.took > slowLookup:
			r.warn(l.tell(), "name servers in /etc/resolv.conf do not answer, or late: put one that does first")
		default:
			r.saw("%s", l.tell())
		}
	}
}

func (l lookup) tell() string {
	var addresses []string
	for _, a := range l.addresses {
		addresses = append(addresses, a.Unmap().String())
	}
	const most = 4
	if more := len(addresses) - most; more > 0 {
		addresses = append(addresses[:most], fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("%s is %s (%v)", l.host, strings.Join(addresses, ", "), l.took.Round(time.Millisecond))
}

// failure tells why a name is not known, and by whom.
func (l lookup) failure() string {
	var dns *net.DNSError
	switch {
	case errors.As(l.err, &dns) && dns.Server != "":
		return fmt.Sprintf("%s (asked %s, %v)", dns.Err, dns.Server, l.took.Round(time.Millisecond))
	case errors.As(l.err, &dns):
		return dns.Err
	default:
		return l.err.Error()
	}
}

func (e *endpoint) nameAdvice() string {
	if e.route.proxy != nil {
		return "correct the proxy's name (" + e.route.why + "), or look at /etc/resolv.conf"
	}
	return "correct the region, deploy_control_endpoint or s3_endpoint_override; look at /etc/resolv.conf; " +
		"a private network needs the name in its DNS, or a proxy"
}

func checkProxy(_ context.Context, e endpoints, r *Result) {
	for _, service := range e.all() {
		to := service.url.Hostname()
		switch proxy := service.route.proxy; {
		case service.route.err != nil:
			r.fail(service.route.err.Error(), "correct it")
		case proxy == nil:
			r.saw("%s directly (%s)", to, service.route.why)
		case service.obstacle() == byProxy:
			err := service.visit().err
			r.fail(fmt.Sprintf("%s through %s (%s): %s", to, address(proxy), service.route.why, plain(err)), proxyAdvice(err, service.route.why, to))
		default:
			r.saw("%s through %s (%s)", to, address(proxy), service.route.why)
		}
	}
}

// address is a proxy without user and password.
func address(proxy *url.URL) string { return proxy.Scheme + "://" + proxy.Host }

func proxyAdvice(err error, where, to string) string {
	var refusal *proxyRefusal
	switch {
	case !errors.As(err, &refusal):
		return "see that the proxy runs and that " + where + " has its address; to go without it, name " + to + " in NO_PROXY or empty " + where
	case refusal.code == http.StatusProxyAuthRequired:
		return "write user and password into " + where + ": http://user:password@proxy:3128"
	default:
		return "let the proxy connect to " + to + ", or go without it: name it in NO_PROXY or empty " + where
	}
}

// renewal is how long before its end a certificate should have been replaced.
const renewal = 14 * 24 * time.Hour

func checkTLS(_ context.Context, e endpoints, r *Result) {
	for _, service := range e.all() {
		host, v := service.url.Host, service.visit()
		switch stop := service.obstacle(); {
		case stop == byTLS:
			service.explainTLS(v.err, r)
		case stop != none:
			r.saw("%s: not seen, %s", host, stop)
		case v.tls == nil:
			r.saw("%s: plain http, without TLS", host)
		default:
			tellCertificate(host, v.tls, r)
		}
	}
	if len(r.Advice) == 0 && !slices.ContainsFunc(e.all(), func(s *endpoint) bool { return s.visit().tls != nil }) {
		r.State = Skipped
	}
}

func tellCertificate(host string, state *tls.ConnectionState, r *Result) {
	end := trustedUntil(state.VerifiedChains)
	left := time.Until(end)
	seen := fmt.Sprintf("%s: %s, %s, until %s (%d days)", host, tls.VersionName(state.Version),
		describe(state.PeerCertificates[0]), end.Format(time.DateOnly), int(left.Hours()/24))
	if left < renewal {
		r.warn(seen, "the certificate, or one that vouches for it, ends soon: renew it on the server")
		return
	}
	r.saw("%s", seen)
}

// trustedUntil is when the last of the chains breaks.
func trustedUntil(chains [][]*x509.Certificate) time.Time {
	var last time.Time
	for _, chain := range chains {
		first := chain[0].NotAfter
		for _, c := range chain {
			if c.NotAfter.Before(first) {
				first = c.NotAfter
			}
		}
		if first.After(last) {
			last = first
		}
	}
	return last
}

func describe(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 4
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("certificate for %s by %s", strings.Join(names, ", "), c.Issuer)
}

// explainTLS says why there is no trust in a service, and what to do.
func (e *endpoint) explainTLS(err error, r *Result) {
	var (
		host      = e.url.Host
		untrusted *tls.CertificateVerificationError
		unknown   x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	if speaksNoTLS(err) {
		r.fail(host+" does not speak TLS", "correct the port, or write http:// if this service is meant to be plain")
		return
	}
	if !errors.As(err, &untrusted) || len(untrusted.UnverifiedCertificates) == 0 {
		r.fail(host+": "+plain(err), "the agent speaks TLS 1.2 and 1.3; see what the service, or a proxy before it, wants")
		return
	}
	leaf := untrusted.UnverifiedCertificates[0]
	seen := host + ": " + describe(leaf)
	switch {
	case errors.As(err, &unknown):
		r.fail(seen+", an authority that this host does not trust", "name that authority's PEM file with ca_file in the configuration, "+
			"or in AWS_SSL_CA_BUNDLE; if you do not know it, a proxy may be opening the connection")
	case errors.As(err, &name):
		r.fail(seen+", which is not for this name", "use a name of the certificate in deploy_control_endpoint or s3_endpoint_override, or give the server another certificate")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		r.fail(fmt.Sprintf("%s is valid from %s to %s, and this host's clock says %s", seen, leaf.NotBefore.Format(time.RFC3339),
			leaf.NotAfter.Format(time.RFC3339), time.Now().Format(time.RFC3339)), "renew it on the server, or set this host's clock right")
	default:
		r.fail(seen+": "+plain(err), "give the server another certificate")
	}
}

const (
	// signatureSkew is the difference of the clocks above which signatures are refused (service.md 1).
	signatureSkew = 5 * time.Minute
	// suspectSkew is more than a clock that is kept right ever shows.
	suspectSkew = time.Minute
)

// checkClock compares this host's clock with the first service that tells the time.
func checkClock(_ context.Context, e endpoints, r *Result) {
	for _, service := range e.all() {
		v := service.visit()
		if v.date.IsZero() {
			continue
		}
		off := v.came.Sub(v.date).Round(time.Second)
		seen := fmt.Sprintf("%s compared with %s, which says %s", difference(off), service.url.Host, v.date.UTC().Format(time.RFC3339))
		const advice = "set it and keep it right: timedatectl set-ntp true, or install chrony"
		switch {
		case off.Abs() > signatureSkew:
			r.fail(seen, "signatures are refused above five minutes; "+advice)
		case off.Abs() > suspectSkew:
			r.warn(seen, "signatures will be refused above five minutes; "+advice)
		default:
			r.saw("%s", seen)
		}
		return
	}
	r.skip("no service tells the time")
}

// difference tells how this clock stands; the header counts whole seconds.
func difference(off time.Duration) string {
	switch {
	case off.Abs() <= 2*time.Second:
		return "right"
	case off > 0:
		return fmt.Sprintf("%v fast", off)
	default:
		return fmt.Sprintf("%v slow", -off)
	}
}
