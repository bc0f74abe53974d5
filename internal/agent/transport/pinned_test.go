package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"grapnel/internal/agent/config"
)

func TestPin(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // its certificate is for 127.0.0.1 and example.com
	t.Cleanup(server.Close)
	sum := sha256.Sum256(server.Certificate().Raw)
	get := func(p *Pin) error {
		t.Helper()
		client, err := p.Client(config.Default())
		if err != nil {
			t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		resp, err := client.Get(server.URL)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}

	good := NewPin("127.0.0.1", sum)
	if err := get(good); err != nil || good.Certificate() == nil || !good.Certificate().Equal(server.Certificate()) {
		t.Errorf("the server that was meant: %v, certificate %v", err, good.Certificate() != nil)
	}
	other := sum
	other[0]++
	if err := get(NewPin("127.0.0.1", other)); !errors.Is(err, ErrNotPinned) {
		t.Errorf("another certificate: %v", err)
	}
	if err := get(NewPin("127.0.0.2", sum)); err == nil || !strings.Contains(err.Error(), "127.0.0.2") {
		t.Errorf("another server of the same authority: %v", err)
	}
}

// A certificate that is only sent along proves nothing: the chain must lead to it.
func TestPinIsNotSatisfiedByCompany(t *testing.T) {
	t.Parallel()
	victim := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(victim.Close)
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler())
	chain := strangerChain(t)
	chain.Certificate = append(chain.Certificate, victim.Certificate().Raw)
	stranger.TLS = &tls.Config{Certificates: []tls.Certificate{chain}}
	stranger.StartTLS()
	t.Cleanup(stranger.Close)
	p := NewPin("127.0.0.1", sha256.Sum256(victim.Certificate().Raw))
	client, err := p.Client(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Get(stranger.URL); err == nil || p.Certificate() != nil {
		t.Errorf("got %v; want a refusal", err)
	}
}

// strangerChain is a certificate that somebody made for the same address.
func strangerChain(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
