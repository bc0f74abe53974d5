package agent

import (
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"grapnel/internal/server"
	"grapnel/test/harness"
)

// stockStart starts the stock agent (Ruby, 1.8.1) that lies in a folder, in the foreground, as its command line does.
const stockStart = `
folder, config = ARGV
Dir[File.join(folder, "vendor/gems/*/lib")].each { |lib| $:.unshift lib }
$:.unshift File.join(folder, "lib")
require "instance_agent"
InstanceAgent::Config.config(:config_file => config)
InstanceAgent::Platform.util = InstanceAgent::LinuxUtil
InstanceAgent::Config.load_config
InstanceAgent::Runner::Master.new.start
`

// stockAgent is the folder of the stock agent, "" to leave it out.
func stockAgent() string { return os.Getenv("GRAPNEL_STOCK_AGENT") }

// startStock starts the stock agent for a host of a server that speaks TLS, the only one it accepts. As for our agent, there
// is no pause between its polls.
func startStock(b *testing.B, url, ca string, h *harness.Host) *harness.Process {
	b.Helper()
	config := fmt.Sprintf(`:program_name: codedeploy-agent
:log_dir: '%[1]s/log'
:pid_dir: '%[1]s/pid'
:root_dir: '%[1]s/root'
:on_premises_config_file: '%[1]s/codedeploy.onpremises.yml'
:wait_between_runs: 0
:deploy_control_endpoint: '%[2]s'
:s3_endpoint_override: '%[2]s'
`, h.Dir, url)
	check(b, os.WriteFile(h.Config, []byte(config), 0o600))
	for _, name := range []string{"log", "pid", "root"} {
		check(b, os.MkdirAll(filepath.Join(h.Dir, name), 0o755))
	}
	p := harness.StartCommand(b, exec.Command("ruby", "-e", stockStart, stockAgent(), h.Config), "SSL_CERT_FILE="+ca, "AWS_SSL_CA_BUNDLE="+ca)
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
