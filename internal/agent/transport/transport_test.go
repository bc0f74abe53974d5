package transport

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/agent/config"
)

func TestBadCertificateFile(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.WriteFile(cfg.CAFile, []byte("no certificate"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
		t.Errorf("a file without a certificate: %v", err)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	proxy, err := proxyOf("http://user:hush@proxy.example:3128")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://deploy.example/": "http://user:hush@proxy.example:3128", "http://127.0.0.1:8700/": "", "http://localhost:8700/": "",
	} {
		got, err := proxy(httptest.NewRequest("GET", address, nil))
		if err != nil || (got == nil) != (want == "") || got != nil && got.String() != want {
			t.Errorf("%s goes through %v, %v; want %q", address, got, err, want)
		}
	}
	if _, err := proxyOf("hush"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("error = %v, want one without the password that may be in it", err)
	}
}
