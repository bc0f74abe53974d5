package agent

import (
	"encoding/pem"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"grapnel/internal/awsapi"
)

// A service with a certificate authority of its own is reached once its file is named, for commands and for bundles.
func TestOwnCertificateAuthority(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	f.url = server.URL

	stranger := newHost(t, f)
	stranger.start()
	const advised = "name its PEM file with ca_file"
	if !waitUntil(20*time.Second, func() bool { return strings.Contains(stranger.log.String(), advised) }) {
		t.Errorf("the log does not say %q", advised)
	}

	friend := newHost(t, f)
	friend.cfg.CAFile = filepath.Join(friend.dir, "ca.pem")
	writeFile(t, friend.cfg.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	friend.start()
	if end := friend.run("DownloadBundle", friend.put("d-TLS", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("DownloadBundle = %+v", end)
	}
}

func TestBadCertificateFile(t *testing.T) {
	t.Parallel()
	cfg := DefaultConfig()
	cfg.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	if _, err := newHTTPClient(cfg); err == nil || !strings.Contains(err.Error(), "ca.pem") {
		t.Errorf("a missing file: %v", err)
	}
	writeFile(t, cfg.CAFile, "no certificate")
	if _, err := newHTTPClient(cfg); err == nil || !strings.Contains(err.Error(), "no certificate in PEM form") {
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
