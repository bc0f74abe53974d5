package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"grapnel/internal/atomicfile"
)

const (
	caValidity   = 10 * 365 * 24 * time.Hour
	leafValidity = 5 * 365 * 24 * time.Hour
	leafRenewal  = 2 * 365 * 24 * time.Hour // renewed at a start this long before its end: servers are not restarted often
)

// selfSigned is the certificate authority that `--tls self-signed` keeps in DIR/tls: ca.pem goes to the hosts
// (SSL_CERT_FILE, AWS_CA_BUNDLE), the rest stays. The authority outlives every server certificate, so that a host is
// told once whom to trust.
type selfSigned struct {
	dir   string
	names []string
	now   time.Time
}

// CAFile is where `--tls self-signed` keeps the certificate that clients must trust.
func CAFile(dataDir string) string { return filepath.Join(dataDir, "tls", "ca.pem") }

// certificate returns a server certificate for the names, made or renewed when needed, with that of the authority behind it:
// a host that joins learns whom to trust from the chain that it is shown, and checks it by the fingerprint in its token.
func (s selfSigned) certificate() (tls.Certificate, error) {
	pair, err := s.leaf()
	if err != nil {
		return pair, err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	if err != nil {
		return pair, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return pair, fmt.Errorf("%s holds no certificate; restore it", filepath.Join(s.dir, "ca.pem"))
	}
	pair.Certificate = append(pair.Certificate[:1:1], block.Bytes)
	return pair, nil
}

func (s selfSigned) leaf() (tls.Certificate, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return tls.Certificate{}, fmt.Errorf("TLS folder: %w", err)
	}
	certFile, keyFile := filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && s.serves(pair.Leaf) {
		return pair, nil // the authority's key is not needed, and may be kept elsewhere
	}
	ca, err := s.authority()
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: s.names[0]},
		NotBefore:   s.now.Add(-time.Hour), // a host's clock may be behind ours
		NotAfter:    s.now.Add(leafValidity),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, n := range s.names {
		if ip := net.ParseIP(n); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
			continue
		}
		leaf.DNSNames = append(leaf.DNSNames, n, "*."+n) // *.name: bucket hosts of virtual-host style
	}
	return s.issue(leaf, ca, certFile, keyFile)
}

// serves reports whether a kept certificate still does: same authority, every name, far from its end.
func (s selfSigned) serves(leaf *x509.Certificate) bool {
	text, err := os.ReadFile(filepath.Join(s.dir, "ca.pem"))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		return false
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: s.now}); err != nil || s.now.After(leaf.NotAfter.Add(-leafRenewal)) {
		return false
	}
	return !slices.ContainsFunc(s.names, func(n string) bool { return leaf.VerifyHostname(n) != nil })
}

func (s selfSigned) authority() (tls.Certificate, error) {
	certFile, keyFile := filepath.Join(s.dir, "ca.pem"), filepath.Join(s.dir, "ca-key.pem")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil {
		return pair, nil
	}
	if _, statErr := os.Stat(certFile); !errors.Is(statErr, fs.ErrNotExist) {
		return pair, fmt.Errorf("the certificate authority in %s cannot be read; restore its files, or remove them all to make a new one that every host must trust anew: %w", s.dir, err)
	}
	ca := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Grapnel self-signed CA"},
		NotBefore:             s.now.Add(-time.Hour),
		NotAfter:              s.now.Add(caValidity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return s.issue(ca, tls.Certificate{}, certFile, keyFile)
}

// issue makes a key and a certificate signed by ca (by itself when ca is empty) and keeps both; the key first, so that a
// crash in between leaves no certificate without its key.
func (s selfSigned) issue(template *x509.Certificate, ca tls.Certificate, certFile, keyFile string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	parent, signer := template, any(key)
	if ca.Leaf != nil {
		parent, signer = ca.Leaf, ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := atomicfile.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return tls.Certificate{}, err
	}
	if err := atomicfile.WriteFile(certFile, certPEM, 0o644); err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certPEM, keyPEM)
}

// certificateNames returns what a self-signed certificate is made for: this machine's names and addresses, the address
// listened on, and the domain of bucket hosts.
func certificateNames(listenHost, domain string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	add := func(n string) {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if ip := net.ParseIP(listenHost); ip == nil || !ip.IsUnspecified() {
		add(listenHost)
	}
	add(domain)
	if h, err := os.Hostname(); err == nil {
		add(h)
	}
	addrs, _ := net.InterfaceAddrs() // none is fine: the names above remain
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
			add(n.IP.String())
		}
	}
	return names
}

// fingerprint is by which certificate a host that joins knows the server: the last one of the chain, as base64url of the
// SHA-256 of its DER. "" without a chain.
func fingerprint(chain [][]byte) string {
	if len(chain) == 0 {
		return ""
	}
	sum := sha256.Sum256(chain[len(chain)-1])
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
