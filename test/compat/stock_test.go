package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/internal/server"
	"grapnel/test/harness"
)

// needStockAgent skips the test where nobody has named the stock agent.
func needStockAgent(t *testing.T) {
	t.Helper()
	if harness.StockAgent() == "" {
		t.Skip("needs the stock agent 1.8.1: set GRAPNEL_STOCK_AGENT to a folder that holds it, and apt-get install " +
			"ruby ruby-aws-sdk ruby-logging ruby-concurrent ruby-zip ruby-minitar unzip")
	}
	harness.Need(t, "ruby", "apt-get install ruby")
}

// startStock starts the stock agent for a host, with nothing set but the two addresses and the on-premises file.
func startStock(t *testing.T, s *harness.Server, h *harness.Host) {
	t.Helper()
	harness.StartStock(t, h, s.URL, server.CAFile(s.Dir), 1)
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(h.Dir, "log", "codedeploy-agent.log")); err == nil && t.Failed() {
			t.Logf("the stock agent's log:\n%s", log[max(0, len(log)-6000):])
		}
	})
}

// TestStockAgent lets the unmodified stock agent deploy, fail and recover against this server.
func TestStockAgent(t *testing.T) {
	t.Parallel()
	needStockAgent(t)
	s := harness.StartServer(t, t.TempDir(), "--tls", "self-signed")
	aws := findCLI(t, s, "1")
	makeSettings(t, aws)
	host := makeHost(t, s, aws)
	startStock(t, s, host)
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
