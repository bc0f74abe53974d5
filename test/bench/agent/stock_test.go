package agent

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"grapnel/internal/server"
	"grapnel/test/harness"
)

// startStock starts the stock agent for a host of a server that speaks TLS, the only one it accepts. As for our agent, there
// is no pause between its polls.
func startStock(b *testing.B, url, ca string, h *harness.Host) *harness.Process {
	b.Helper()
	p := harness.StartStock(b, h, url, ca, 0)
	b.Cleanup(func() { endAll(b, p) })
	return p
}

// startStockServer starts a server for the stock agent. This process believes its certificate, too: Go reads SSL_CERT_FILE when
// it first needs it.
func startStockServer(b *testing.B) *harness.Server {
	b.Helper()
	dir := b.TempDir()
	b.Setenv("SSL_CERT_FILE", server.CAFile(dir))
	return harness.StartServer(b, dir, "--tls", "self-signed")
}

// certificateOf writes the certificate of a test server to a file.
func certificateOf(b *testing.B, s *httptest.Server) (path string) {
	b.Helper()
	path = filepath.Join(b.TempDir(), "ca.pem")
	check(b, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600))
	return path
}

// endAll kills an agent with its children, which for a stock agent would outlive it and keep its output open.
func endAll(b *testing.B, p *harness.Process) {
	b.Helper()
	if p.Exited() {
		return
	}
	for _, pid := range processesOf(b, p.Process.Pid) { // the parent first, it would replace a child
		syscall.Kill(pid, syscall.SIGKILL)
	}
	p.Kill()
}
