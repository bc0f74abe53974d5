package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// stockStart starts the stock agent (Ruby, 1.8.1) that lies in a folder, in the foreground. It is what its own command line
// does, without the library that it parses its arguments with.
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

// StockAgent is the folder that holds the stock agent, "" where nobody has named one.
func StockAgent() string { return os.Getenv("GRAPNEL_STOCK_AGENT") }

// StartStock starts the stock agent for a host, with nothing set but the two addresses, the on-premises file and the pause
// between its polls, in seconds. ca is the file with the certificate that it is to believe: it speaks TLS only.
func StartStock(t testing.TB, h *Host, url, ca string, pause int) *Process {
	t.Helper()
	config := fmt.Sprintf(`:program_name: codedeploy-agent
:log_dir: '%[1]s/log'
:pid_dir: '%[1]s/pid'
:root_dir: '%[1]s/root'
:on_premises_config_file: '%[1]s/codedeploy.onpremises.yml'
:wait_between_runs: %[3]d
:deploy_control_endpoint: '%[2]s'
:s3_endpoint_override: '%[2]s'
`, h.Dir, url, pause)
	if err := os.WriteFile(h.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log", "pid", "root"} {
		if err := os.MkdirAll(filepath.Join(h.Dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return StartCommand(t, exec.Command("ruby", "-e", stockStart, StockAgent(), h.Config), "SSL_CERT_FILE="+ca, "AWS_SSL_CA_BUNDLE="+ca)
}
