package config

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func loadText(t *testing.T, content string) (Config, []string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "codedeployagent.yml")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

// The file that stock packages install, in the symbol style of the Ruby agent.
//
// agent.md 16: 45
func TestStockConfigurationFile(t *testing.T) {
	t.Parallel()
	got, warnings, err := loadText(t, `---
:log_aws_wire: false
:log_dir: '/var/log/aws/codedeploy-agent/'
:pid_dir: '/opt/codedeploy-agent/state/.pid/'
:program_name: codedeploy-agent
:root_dir: '/opt/codedeploy-agent/deployment-root'
:verbose: false
:wait_between_runs: 1
:proxy_uri:
:max_revisions: 5
`)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, warnings %v", err, warnings)
	}
	want := Default()
	want.WaitBetweenRuns = time.Second
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

// agent.md 16: 45, 46
// agent.md 17: 1
func TestConfigurationKeys(t *testing.T) {
	t.Parallel()
	got, warnings, err := loadText(t, `
root_dir: /first
root_dir: /srv/deploy
verbose: yes
http_read_timeout: "90"
kill_agent_max_wait_time_seconds: 1000000
archive_max_extraction_size: 1.5GiB
enable_deployments_log: off
specification_signer_sha256: "`+strings.Repeat("AB:", 31)+`AB"
deploy_control_endpoint: http://deploy.example:8700
unheard_of: 1
reject_symlinks_in_bundle: true
enable_archive_reuse: false
user: deploy
`)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.RootDir, want.Verbose, want.HTTPReadTimeout = "/srv/deploy", true, 90*time.Second
	want.KillAgentMaxWait, want.ArchiveMaxExtractionSize, want.EnableDeploymentsLog = 24*time.Hour, 3<<29, false
	want.Hardening.RejectSymlinks, want.EnableArchiveReuse = true, false
	want.SpecificationSigner, want.DeployControlEndpoint = strings.Repeat("ab", 32), "http://deploy.example:8700"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for i, part := range []string{"unheard_of (line 11)", "user (line 14) has no effect: the agent does not change its user", "deploy_control_endpoint is plain http"} {
		if len(warnings) != 3 || !strings.Contains(warnings[i], part) {
			t.Fatalf("warnings = %q, want one with %q at %d", warnings, part, i)
		}
	}
}

// agent.md 16: 47, 48
func TestBadConfigurationFiles(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"root_dir: [":                            "not YAML",
		"- root_dir":                             `"key: value"`,
		"root_dir: [a]":                          "root_dir: want one value",
		"max_revisions: 0":                       "max_revisions",
		"max_revisions: many":                    `"many" is no whole number`,
		"verbose: perhaps":                       `"perhaps" is neither true nor false`,
		"wait_between_runs: -1":                  "no number of seconds",
		"deploy_control_endpoint: host:8700":     "is no full URL",
		"s3_endpoint_override: ftp://host":       "is no full URL",
		"specification_signer_sha256: abcd":      "64 digits",
		"archive_max_extraction_size: big":       "is no size",
		"reject_path_traversal_in_bundle: maybe": "line 1: reject_path_traversal_in_bundle",
		"ongoing_deployment_tracking: ../../etc": "names, not paths",
	} {
		_, _, err := loadText(t, content)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "codedeployagent.yml") {
			t.Errorf("%q: error = %v, want the file named and %q", content, err, want)
		}
	}
	if _, _, err := Load("/nowhere/agent.yml"); err == nil || !strings.Contains(err.Error(), "/nowhere/agent.yml does not exist") {
		t.Errorf("error = %v, want the missing file named", err)
	}
	for _, content := range []string{"", "---\n", "# nothing\n"} {
		if got, _, err := loadText(t, content); err != nil || got != Default() {
			t.Errorf("%q: %+v, %v; want the defaults", content, got, err)
		}
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"500MB": 500e6, "1GiB": 1 << 30, "7": 7, "2 kib": 2048, "10B": 10} {
		var got int64
		if err := size(&got)(text); err != nil || got != want {
			t.Errorf("%q = %d, %v; want %d", text, got, err, want)
		}
	}
}

// A pipe that nobody writes to would be waited for, for ever and deaf to TERM; a huge file would fill the memory.
func TestReadFileNeverWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := os.WriteFile(filepath.Join(dir, "huge"), make([]byte, maxFile+1), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"socket": "must be a file", "huge": "bytes", "missing": "does not exist"} {
		if _, _, err := Load(filepath.Join(dir, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
