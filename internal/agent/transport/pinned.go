package transport

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"grapnel/internal/agent/config"
)

// Pin is the one certificate that a server's chain must hold, known by its SHA-256 before its server is first called. The
// system's authorities do not count: who has the server's address and a certificate of theirs is still not the server.
type Pin struct {
	host string
	sum  [sha256.Size]byte
	seen atomic.Pointer[x509.Certificate]
}

// ErrNotPinned says that a server showed other certificates than the pinned one.
var ErrNotPinned = errors.New("the server's certificates are not those that the token was made for")

// NewPin returns a pin for the server at host, a name or an address: the certificate whose DER form has this SHA-256.
func NewPin(host string, sum [sha256.Size]byte) *Pin { return &Pin{host: host, sum: sum} }

// Client returns a client like that of New, which trusts what the pin says and nothing else.
func (p *Pin) Client(cfg config.Config) (*http.Client, error) {
	client, err := New(cfg)
	if err != nil {
		return nil, err
	}
	// Verification is not skipped but done here: only the handshake brings the certificate that is the root of it.
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: p.verify}
	return client, nil
}

// Certificate returns the pinned certificate, nil before a server has shown it.
func (p *Pin) Certificate() *x509.Certificate { return p.seen.Load() }

func (p *Pin) verify(state tls.ConnectionState) error {
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	var pinned *x509.Certificate
	for _, c := range state.PeerCertificates {
		if sha256.Sum256(c.Raw) == p.sum {
			pinned = c
			roots.AddCert(c)
			continue
		}
		others.AddCert(c)
	}
	if pinned == nil {
		return ErrNotPinned
	}
	// Not state.ServerName, which is empty when the server is called by its address.
	if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: p.host, Roots: roots, Intermediates: others}); err != nil {
		return fmt.Errorf("the server's certificate: %w", err)
	}
	p.seen.Store(pinned)
	return nil
}
