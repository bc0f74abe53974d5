package compat

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/server"
	"grapnel/test/harness"
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

// stockAgent returns the folder of the stock agent, or skips the test.
func stockAgent(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("GRAPNEL_STOCK_AGENT")
	if folder == "" {
		t.Skip("needs the stock agent 1.8.1: set GRAPNEL_STOCK_AGENT to a folder that holds it, and apt-get install " +
			"ruby ruby-aws-sdk ruby-logging ruby-concurrent ruby-zip ruby-minitar unzip")
	}
	harness.Need(t, "ruby", "apt-get install ruby")
	return folder
}

// startStock starts the stock agent for a host, with nothing set but the two addresses and the on-premises file.
func startStock(t *testing.T, folder string, s *harness.Server, h *harness.Host) *exec.Cmd {
	t.Helper()
	config := fmt.Sprintf(`:program_name: codedeploy-agent
:log_dir: '%[1]s/log'
:pid_dir: '%[1]s/pid'
:root_dir: '%[1]s/root'
:on_premises_config_file: '%[1]s/codedeploy.onpremises.yml'
:wait_between_runs: 1
:deploy_control_endpoint: '%[2]s'
:s3_endpoint_override: '%[2]s'
`, h.Dir, s.URL)
	if err := os.WriteFile(h.Config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"log", "pid", "root"} {
		if err := os.MkdirAll(filepath.Join(h.Dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ca := server.CAFile(s.Dir)
	p := harness.StartCommand(t, exec.Command("ruby", "-e", stockStart, folder, h.Config),
		"SSL_CERT_FILE="+ca, "AWS_SSL_CA_BUNDLE="+ca)
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(h.Dir, "log", "codedeploy-agent.log")); err == nil && t.Failed() {
			t.Logf("the stock agent's log:\n%s", log[max(0, len(log)-6000):])
		}
	})
	return p.Cmd
}

// TestStockAgent lets the unmodified stock agent deploy, fail and recover against this server.
func TestStockAgent(t *testing.T) {
	t.Parallel()
	folder := stockAgent(t)
	s := harness.StartServer(t, t.TempDir(), "--tls", "self-signed")
	aws := findCLI(t, s, "1")
	makeSettings(t, aws)
	host := makeHost(t, s, aws)
	startStock(t, folder, s, host)
	dir := t.TempDir()
	aws.run(t, "s3", "mb", "s3://bundles")

	status := func(name, hook string) (string, string) {
		source := filepath.Join(dir, name)
		writeSource(t, source, dir, hook)
		aws.run(t, "deploy", "push", "--application-name", "web", "--source", source, "--s3-location", "s3://bundles/"+name+".zip")
		id := deploy(t, aws, name+".zip")
		var got string
		harness.Eventually(t, 2*harness.Patience, "the deployment to end", func() bool {
			got = aws.text(t, "deploymentInfo.status", "deploy", "get-deployment", "--deployment-id", id)
			return got != "Created" && got != "InProgress"
		})
		return got, aws.text(t, "deploymentTarget.instanceTarget.lifecycleEvents[?lifecycleEventName=='AfterInstall'] | [0].diagnostics.[errorCode,scriptName,logTail]",
			"deploy", "get-deployment-target", "--deployment-id", id, "--target-id", "web-1")
	}
	if got, _ := status("first", "echo hello"); got != "Succeeded" {
		t.Fatalf("the first deployment ended as %s", got)
	}
	if page, err := os.ReadFile(filepath.Join(dir, "app", "page.html")); err != nil || string(page) != "hello\n" {
		t.Errorf("the file on the host: %q, %v", page, err)
	}
	got, diagnostics := status("second", "echo this is wrong >&2; exit 3")
	if got != "Failed" || !strings.HasPrefix(diagnostics, "ScriptFailed\thook.sh") || !strings.Contains(diagnostics, "this is wrong") {
		t.Errorf("the second deployment ended as %s with %q", got, diagnostics)
	}
	if got, _ := status("third", "echo better"); got != "Succeeded" {
		t.Errorf("the third deployment ended as %s", got)
	}
}
