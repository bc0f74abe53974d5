package hosts_test

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/awsapi"
	"grapnel/internal/hosts"
	"grapnel/internal/seal"
	"grapnel/internal/sqlstore"
)

// TestStockVerification checks a specification with what the stock Ruby agent uses: OpenSSL's PKCS7 with NOVERIFY
// (agent.md 5.1).
//
// agent.md 17: 2
func TestStockVerification(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.issue()
	path := filepath.Join(t.TempDir(), "specification.pem")
	if err := os.WriteFile(path, []byte(s.specification(web1)), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, install, script string }{
		{"ruby", "apt install ruby", `ruby -ropenssl -e '
			p7 = OpenSSL::PKCS7.new(File.read(ARGV[0]))
			exit 1 unless p7.verify(nil, OpenSSL::X509::Store.new, nil, OpenSSL::PKCS7::NOVERIFY)
			print p7.data' "$0"`},
		{"openssl", "apt install openssl", `openssl cms -verify -noverify -inform PEM -in "$0" 2>/dev/null`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(tt.name); err != nil {
				t.Skipf("%s is not installed; install it with: %s", tt.name, tt.install)
			}
			out, err := exec.CommandContext(t.Context(), "sh", "-c", tt.script, path).CombinedOutput()
			if err != nil || !bytes.Contains(out, []byte(`"DeploymentId":"`+deployment+`"`)) {
				t.Errorf("%s: %v\n%s", tt.name, err, out)
			}
		})
	}
}

func TestSignerIsKept(t *testing.T) {
	t.Parallel()
	db, err := sqlstore.Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	keyFile := filepath.Join(t.TempDir(), "seal.key")
	load := func(file string) (*hosts.Signer, error) {
		key, err := seal.LoadOrCreateKey(file)
		if err != nil {
			t.Fatal(err)
		}
		return hosts.LoadSigner(t.Context(), db, key)
	}
	first, err := load(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	second, err := load(keyFile)
	if err != nil || first.Fingerprint() != second.Fingerprint() {
		t.Errorf("second start: %v, fingerprint %s, want %s", err, second.Fingerprint(), first.Fingerprint())
	}
	if _, err := load(filepath.Join(t.TempDir(), "other.key")); err == nil || !strings.Contains(err.Error(), "restore the key file") {
		t.Errorf("with another seal key: %v, want an error that says what to do", err)
	}
}

// TestRoomForLongNames signs more than the longest names that the API takes add up to: key 1024 (twice that when escaped),
// bucket 63, application and group 100 each, an ARN with a path of 512 and a name of 64 characters.
func TestRoomForLongNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	payload, err := s.signer.Sign(bytes.Repeat([]byte("x"), 4500))
	if err != nil || len(payload) > awsapi.MaxEnvelopePayload {
		t.Errorf("%d bytes (%v), want at most %d", len(payload), err, awsapi.MaxEnvelopePayload)
	}
}
