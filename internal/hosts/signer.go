package hosts

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/smallstep/pkcs7"

	"grapnel/internal/store"
)

// Signer signs deployment specifications. Agents check the signature with the certificate inside the message, without a
// chain; those that pin the signer compare the certificate's fingerprint (agent.md 5.1).
type Signer struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// signerSecret is the name under which the signing key is kept.
const signerSecret = "specification-signer"

// signerLife is how long the certificate says it is good for. No agent looks, and a new one would break every pin.
const signerLife = 100 * 365 * 24 * time.Hour

// Sealer encrypts what the store keeps (package seal).
type Sealer interface {
	Seal(name string, plain []byte) []byte
	Open(name string, sealed []byte) ([]byte, error)
}

// LoadSigner returns the signer that the store keeps, and makes it at the first start. Of several servers that start at
// once, all use the one that was stored first.
func LoadSigner(ctx context.Context, secrets store.Secrets, sealer Sealer) (*Signer, error) {
	sealed, err := secrets.Secret(ctx, signerSecret)
	if errors.Is(err, store.ErrNotFound) {
		sealed, err = makeSigner(ctx, secrets, sealer)
	}
	if err != nil {
		return nil, fmt.Errorf("load the key that signs specifications: %w", err)
	}
	text, err := sealer.Open(signerSecret, sealed)
	if err != nil {
		return nil, err
	}
	signer, err := parseSigner(text)
	if err != nil {
		return nil, fmt.Errorf("the key that signs specifications is damaged; restore the database from a backup: %w", err)
	}
	return signer, nil
}

// makeSigner makes a key with a certificate of its own and stores both; it returns what is stored then. P-256 makes a
// specification about 1 KB shorter than RSA, and signs it forty times as fast.
func makeSigner(ctx context.Context, secrets store.Secrets, sealer Sealer) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes([]byte(rand.Text()[:16])),
		Subject:      pkix.Name{CommonName: "Grapnel deployment specifications"},
		NotBefore:    time.Now().Add(-24 * time.Hour), // for hosts whose clock is behind
		NotAfter:     time.Now().Add(signerLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	return secrets.AddSecret(ctx, signerSecret, sealer.Seal(signerSecret, text))
}

func parseSigner(text []byte) (*Signer, error) {
	first, rest := pem.Decode(text)
	second, _ := pem.Decode(rest)
	if first == nil || second == nil {
		return nil, errors.New("it is not a certificate and a private key in PEM")
	}
	cert, err := x509.ParseCertificate(first.Bytes)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(second.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", parsed)
	}
	return &Signer{cert: cert, key: key}, nil
}

// Fingerprint returns the SHA-256 of the certificate in hexadecimal: what an agent's specification_signer_sha256 names.
func (s *Signer) Fingerprint() string {
	sum := sha256.Sum256(s.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// Sign returns content inside a PKCS7 SignedData message in PEM, the only form that every agent reads (agent.md 17).
func (s *Signer) Sign(content []byte) (string, error) {
	message, err := pkcs7.NewSignedData(content)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	message.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256) // the library's own choice is SHA-1
	if err := message.AddSigner(s.cert, s.key, pkcs7.SignerInfoConfig{}); err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	der, err := message.Finish()
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: der})), nil
}
