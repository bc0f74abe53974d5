package compat

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/test/harness"
)

// TestPushedVersion: what is pushed to a bucket with versions is registered with its version, and that one is deployed,
// also after another has been pushed to its place.
func TestPushedVersion(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, t.TempDir())
	aws := findCLI(t, s, "1")
	makeSettings(t, aws)
	host := makeHost(t, s, aws)
	host.Start(t)
	checkPushedVersion(t, aws)
}

// TestStockAgentPushedVersion is the same with the stock agent.
func TestStockAgentPushedVersion(t *testing.T) {
	t.Parallel()
	needStockAgent(t)
	s := harness.StartServer(t, t.TempDir(), "--tls", "self-signed")
	aws := findCLI(t, s, "1")
	makeSettings(t, aws)
	startStock(t, s, makeHost(t, s, aws))
	checkPushedVersion(t, aws)
}

func checkPushedVersion(t *testing.T, aws *awsCLI) {
	t.Helper()
	dir := t.TempDir()
	aws.run(t, "s3", "mb", "s3://bundles")
	aws.run(t, "s3api", "put-bucket-versioning", "--bucket", "bundles", "--versioning-configuration", "Status=Enabled")
	var versions []string
	for _, text := range []string{"first", "second"} {
		source, log := filepath.Join(dir, text), filepath.Join(dir, "log")
		writeSource(t, source, dir, "echo "+text+" >>"+log)
		out := aws.run(t, "deploy", "push", "--application-name", "web", "--source", source, "--s3-location", "s3://bundles/app.zip")
		_, version, ok := strings.Cut(out, "version=")
		if !ok {
			t.Fatalf("push does not name a version: %s", out)
		}
		versions = append(versions, strings.FieldsFunc(version, func(r rune) bool { return r == ' ' || r == ',' })[0])
	}
	if got := aws.text(t, "length(revisions)", "deploy", "list-application-revisions", "--application-name", "web"); got != "2" {
		t.Errorf("%s revisions are registered, want one for each version", got)
	}
	for _, version := range versions {
		id := aws.text(t, "deploymentId", "deploy", "create-deployment", "--application-name", "web", "--deployment-group-name", "production",
			"--s3-location", "bucket=bundles,key=app.zip,bundleType=zip,version="+version)
		aws.run(t, "deploy", "wait", "deployment-successful", "--deployment-id", id)
	}
	if log, err := os.ReadFile(filepath.Join(dir, "log")); err != nil || string(log) != "first\nsecond\n" {
		t.Errorf("the versions said %q, error %v", log, err)
	}
}
