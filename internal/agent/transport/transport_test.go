package transport

import (
	"net/http/httptest"
	"net/url"
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
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "(ca_file)") || !strings.Contains(err.Error(), "ca.pem") {
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
	proxy := proxyOf(&url.URL{Scheme: "http", User: url.UserPassword("user", "hush"), Host: "proxy.example:3128"})
	for address, want := range map[string]string{
		"https://deploy.example/": "http://user:hush@proxy.example:3128", "http://127.0.0.1:8700/": "", "http://localhost:8700/": "",
	} {
		got, err := proxy(httptest.NewRequest("GET", address, nil))
		if err != nil || (got == nil) != (want == "") || got != nil && got.String() != want {
			t.Errorf("%s goes through %v, %v; want %q", address, got, err, want)
		}
	}
}
