package agent

import (
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
	writeFile(t, path, content)
	return LoadConfig(path)
}

// The file that stock packages install, in the symbol style of the Ruby agent.
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
	want := DefaultConfig()
	want.WaitBetweenRuns = time.Second
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

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
reject_symlinks_in_bundle: false
`)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.RootDir, want.Verbose, want.HTTPReadTimeout = "/srv/deploy", true, 90*time.Second
	want.KillAgentMaxWait, want.ArchiveMaxExtractionSize, want.EnableDeploymentsLog = 24*time.Hour, 3<<29, false
	want.SpecificationSigner, want.DeployControlEndpoint = strings.Repeat("ab", 32), "http://deploy.example:8700"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if len(warnings) != 2 || !strings.Contains(warnings[0], "unheard_of (line 11)") || !strings.Contains(warnings[1], "deploy_control_endpoint is plain http") {
		t.Errorf("warnings = %q", warnings)
	}
}

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
		"reject_path_traversal_in_bundle: true":  "line 1: reject_path_traversal_in_bundle is not served by this version",
		"ongoing_deployment_tracking: ../../etc": "names, not paths",
	} {
		_, _, err := loadText(t, content)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "codedeployagent.yml") {
			t.Errorf("%q: error = %v, want the file named and %q", content, err, want)
		}
	}
	if _, _, err := LoadConfig("/nowhere/agent.yml"); err == nil || !strings.Contains(err.Error(), "/nowhere/agent.yml does not exist") {
		t.Errorf("error = %v, want the missing file named", err)
	}
	for _, content := range []string{"", "---\n", "# nothing\n"} {
		if got, _, err := loadText(t, content); err != nil || got != DefaultConfig() {
			t.Errorf("%q: %+v, %v; want the defaults", content, got, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		region       string
		fips, secure bool
		want         string
	}{
		{"us-east-1", false, false, "https://codedeploy-commands.us-east-1.amazonaws.com"},
		{"us-gov-west-1", true, false, "https://codedeploy-commands-fips.us-gov-west-1.amazonaws.com"},
		{"eu-west-1", false, true, "https://codedeploy-commands-secure.eu-west-1.amazonaws.com"},
		{"us-east-2", true, true, "https://codedeploy-commands-secure-fips.us-east-2.amazonaws.com"},
		{"cn-north-1", false, false, "https://codedeploy-commands.cn-north-1.amazonaws.com.cn"},
		{"eusc-de-east-1", false, false, "https://codedeploy-commands.eusc-de-east-1.amazonaws.eu"},
		{"eu-west-1", true, false, ""},
	} {
		cfg := DefaultConfig()
		cfg.UseFIPSMode, cfg.EnableAuthPolicy = test.fips, test.secure
		got, err := cfg.endpoint(test.region)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s, fips %v, secure %v: %q, %v; want %q", test.region, test.fips, test.secure, got, err, test.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	user, session, keys := filepath.Join(dir, "user.yml"), filepath.Join(dir, "session.yml"), filepath.Join(dir, "keys")
	writeFile(t, user, "---\n:region: eu-west-1\n:iam_user_arn: arn:aws:iam::1:user/h\n:aws_access_key_id: AK1\n:aws_secret_access_key: s/1+\n")
	writeFile(t, session, "region: eu-west-1\niam_session_arn: arn:aws:sts::1:assumed-role/r/h\naws_credentials_file: "+keys+"\n")
	writeFile(t, keys, "[other]\naws_access_key_id = no\n[default]\n# key\naws_access_key_id = AK2\naws_secret_access_key=s=2\naws_session_token = t\n")

	id, err := LoadIdentity(user)
	if err != nil || id.HostID != "arn:aws:iam::1:user/h" || id.Region != "eu-west-1" {
		t.Fatalf("identity = %+v, %v", id, err)
	}
	if c, err := id.Credentials.Retrieve(t.Context()); err != nil || c.AccessKeyID != "AK1" || c.SecretAccessKey != "s/1+" {
		t.Errorf("credentials = %+v, %v", c, err)
	}
	writeFile(t, user, strings.ReplaceAll(readFile(t, user), "AK1", "AK9"))
	if c, err := id.Credentials.Retrieve(t.Context()); err != nil || c.AccessKeyID != "AK9" {
		t.Errorf("after rotation: %+v, %v; want the new key", c, err)
	}

	id, err = LoadIdentity(session)
	if err != nil || id.HostID != "arn:aws:sts::1:assumed-role/r/h" {
		t.Fatalf("identity = %+v, %v", id, err)
	}
	if c, err := id.Credentials.Retrieve(t.Context()); err != nil || c.AccessKeyID != "AK2" || c.SecretAccessKey != "s=2" || c.SessionToken != "t" {
		t.Errorf("credentials = %+v, %v", c, err)
	}
	if err := os.Remove(keys); err != nil {
		t.Fatal(err)
	}
	if _, err := id.Credentials.Retrieve(t.Context()); err == nil || !strings.Contains(err.Error(), keys) {
		t.Errorf("error = %v, want the missing file named", err)
	}
}

func TestBadIdentity(t *testing.T) {
	t.Parallel()
	const userARN, sessionARN = "iam_user_arn: u\n", "iam_session_arn: s\n"
	for content, want := range map[string]string{
		userARN + sessionARN + "region: r\n":                         "exclude each other",
		userARN + "aws_access_key_id: a\naws_secret_access_key: s\n": "region is missing, which iam_user_arn needs",
		userARN + "region: r\n":                                      "aws_access_key_id is missing",
		sessionARN + "region: r\n":                                   "aws_credentials_file is missing, which iam_session_arn needs",
		"region: [":                                                  "not YAML",
		"region: r\n":                                                "EC2 instance metadata comes with the next version",
	} {
		path := filepath.Join(t.TempDir(), "on-premises.yml")
		writeFile(t, path, content)
		if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: error = %v, want the file named and %q", content, err, want)
		}
	}
	if _, err := LoadIdentity("/nowhere/on-premises.yml"); err == nil || !strings.Contains(err.Error(), "names no host") {
		t.Errorf("without a file: %v", err)
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
