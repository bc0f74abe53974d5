package identity

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"grapnel/internal/agent/config"
)

const (
	userFile = "region: eu-west-1\niam_user_arn: arn:aws:iam::1:user/h\n" +
		"aws_access_key_id: AK1\naws_secret_access_key: s/1+\n"
	sessionFile = "region: eu-west-1\niam_session_arn: arn:aws:sts::1:assumed-role/r/h\naws_credentials_file: "
)

// file writes a file of its own folder and returns its path.
func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "onpremises.yml")
	overwrite(t, path, content)
	return path
}

func overwrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// environment has the variables of the map and nobody at the address of instance metadata, unless the map names one.
func environment(variables map[string]string) func(string) string {
	return func(name string) string {
		if value, ok := variables[name]; ok || name != metadataVariable {
			return value
		}
		return "http://127.0.0.1:1"
	}
}

func options(path string, variables map[string]string) (Options, *bytes.Buffer) {
	var log bytes.Buffer
	return Options{Config: config.Config{OnPremisesConfigFile: path}, Environ: environment(variables), Log: slog.New(slog.NewTextHandler(&log, nil))}, &log
}

// Keys in the symbol style of the Ruby agent name the same host as plain ones; gaps and unknown keys do not matter.
//
// agent.md 16: 45, 50
func TestOnPremisesUser(t *testing.T) {
	t.Parallel()
	symbols := "---\n:" + strings.ReplaceAll(strings.TrimSpace(userFile), "\n", "\n:") + "\n"
	gaps := "# the host\n\n" + strings.ReplaceAll(userFile, "\n", "\n\n") + "unheard_of: [1, 2]\nproxy:\n"
	for _, content := range []string{userFile, symbols, gaps} {
		o, _ := options(file(t, content), map[string]string{regionVariable: "us-east-1"})
		id, err := Load(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		want := Identity{
			HostID: "arn:aws:iam::1:user/h", Region: "eu-west-1", Partition: "aws", Domain: "amazonaws.com", OnPremises: true,
			CommandEndpoint: "https://codedeploy-commands.eu-west-1.amazonaws.com", S3Endpoint: "https://s3.eu-west-1.amazonaws.com",
		}
		if diff := cmp.Diff(want, id, cmpopts.IgnoreFields(Identity{}, "Credentials")); diff != "" {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		c, err := id.Credentials.Retrieve(t.Context())
		if err != nil || c.AccessKeyID != "AK1" || c.SecretAccessKey != "s/1+" || c.SessionToken != "" {
			t.Errorf("credentials = %+v, %v", c, err)
		}
	}
}

// The file's default profile is read, whatever profiles stand around it and whoever wrote it.
//
// agent.md 16: 51
func TestOnPremisesSession(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{
		"[other]\naws_access_key_id = no\n[default]\n# key\naws_access_key_id = AK2\naws_secret_access_key=s=2\naws_session_token = t\n[last]\naws_session_token=no\n",
		"\ufeff[ default ]\r\nAWS_ACCESS_KEY_ID=AK2\r\nAWS_SECRET_ACCESS_KEY=s=2\r\nAWS_SESSION_TOKEN=t",
	} {
		o, _ := options(file(t, sessionFile+file(t, profile)), nil)
		id, err := Load(t.Context(), o)
		if err != nil || id.HostID != "arn:aws:sts::1:assumed-role/r/h" || id.Region != "eu-west-1" || !id.OnPremises {
			t.Fatalf("identity = %+v, %v", id, err)
		}
		c, err := id.Credentials.Retrieve(t.Context())
		if err != nil || c.AccessKeyID != "AK2" || c.SecretAccessKey != "s=2" || c.SessionToken != "t" {
			t.Errorf("credentials = %+v, %v", c, err)
		}
	}
}

// agent.md 16: 52-54
func TestBadOnPremisesFile(t *testing.T) {
	t.Parallel()
	const user, session = "iam_user_arn: u\n", "iam_session_arn: s\n"
	for content, want := range map[string]string{
		user + session + "region: r\n":                            "exclude each other",
		user + "aws_access_key_id: a\naws_secret_access_key: s\n": "region is missing, which iam_user_arn needs",
		user + "region: r\naws_secret_access_key: s\n":            "aws_access_key_id is missing",
		user + "region: r\naws_access_key_id: a\n":                "aws_secret_access_key is missing",
		user + "region: r\nregion:\n":                             "region is missing",
		session + "region: r\n":                                   "aws_credentials_file is missing, which iam_session_arn needs",
		"region: [":                                               "not YAML",
		"region: [a]\n":                                           "region: want one value",
		"- region\n":                                              `"key: value"`,
		"region r\n":                                              `"key: value"`,
	} {
		o, _ := options(file(t, content), nil)
		if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), o.OnPremisesConfigFile) {
			t.Errorf("%q: error = %v, want the file named and %q", content, err, want)
		}
	}
	o, _ := options(file(t, strings.Replace(userFile, "eu-west-1", "evil.example/", 1)), nil)
	if _, err := Load(t.Context(), o); err == nil || !strings.Contains(err.Error(), `"evil.example/" is no name of a region`) {
		t.Errorf("error = %v, want the region refused", err)
	}
}

// What is wrong with a file can be told without what is secret in it.
func TestErrorsQuoteNoSecret(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		"aws_secret_access_key: hush: hush\n", "aws_secret_access_key: [hush]\n", "aws_secret_access_key: \"hush\n",
		"aws_secret_access_key hush\n", "\thush\n",
	} {
		if _, err := parseOnPremises([]byte(content)); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: error = %v, want one without the secret", content, err)
		}
	}
}

// The commonest first failure: a host that is neither on premises nor on EC2. It is told in seconds what to set.
//
// agent.md 16: 55
func TestUnknownHost(t *testing.T) {
	t.Parallel()
	vacant := closedPort(t)
	for name, test := range map[string]struct{ path, reason string }{
		"no file":         {filepath.Join(t.TempDir(), "none.yml"), "it does not exist"},
		"unreadable file": {t.TempDir(), "the agent cannot read it: "},
		"names no host":   {file(t, "region: eu-west-1\n"), "it has neither iam_user_arn nor iam_session_arn"},
		"empty":           {file(t, ""), "it has neither iam_user_arn nor iam_session_arn"},
		"null":            {file(t, "---\n~\n"), "it has neither iam_user_arn nor iam_session_arn"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, log := options(test.path, map[string]string{metadataVariable: vacant})
				began := time.Now()
				_, err := Load(t.Context(), o)
				for _, want := range []string{
					"or write region, iam_user_arn, aws_access_key_id and aws_secret_access_key into " + test.path,
					test.reason, "on EC2, turn the instance's metadata service on", "connection refused",
				} {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("error = %v, want %q", err, want)
					}
				}
				if took := time.Since(began); took > 4*time.Second {
					t.Errorf("told after %v", took)
				}
				if !strings.Contains(log.String(), test.reason) {
					t.Errorf("the log does not say %q:\n%s", test.reason, log)
				}
			})
		})
	}
}

// An agent that is stopped while it asks does not say that the host is misconfigured.
func TestStoppedWhileAsking(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	o, log := options("none.yml", map[string]string{metadataVariable: closedPort(t)})
	if _, err := Load(ctx, o); !errors.Is(err, stopped) || strings.Contains(err.Error(), "outside EC2") || strings.Contains(log.String(), "disable_imds_v1") {
		t.Errorf("error = %v, want only the cause; log:\n%s", err, log)
	}
}

// Without settings the usual file is read, and the environment of the process.
func TestDefaults(t *testing.T) {
	cfg := config.Default()
	if _, err := os.Stat(cfg.OnPremisesConfigFile); err == nil {
		t.Skip("this host has an on-premises file; move " + cfg.OnPremisesConfigFile + " away to run this test")
	}
	t.Setenv(metadataVariable, closedPort(t))
	t.Setenv(regionVariable, "us-west-2")
	t.Setenv(hostVariable, "arn:of:environment")
	id, err := Load(t.Context(), Options{Config: cfg})
	if err != nil || id.HostID != "arn:of:environment" || id.Region != "us-west-2" {
		t.Errorf("%+v, %v", id, err)
	}
}

// closedPort returns the address of a port where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// The on-premises file wins over the environment, the environment over instance metadata; when it says both, metadata is
// not even asked.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	o, log := options(file(t, userFile), map[string]string{regionVariable: "us-west-2", hostVariable: "arn:of:environment"})
	id, err := Load(t.Context(), o)
	if err != nil || id.Region != "eu-west-1" || id.HostID != "arn:aws:iam::1:user/h" {
		t.Errorf("with a file: %+v, %v", id, err)
	}
	if !strings.Contains(log.String(), "AWS_HOST_IDENTIFIER") {
		t.Errorf("the log does not name the variable that is passed over:\n%s", log)
	}
	const none = "none.yml"
	for _, test := range []struct{ region, host, wantRegion, wantHost, wantDomain string }{
		{"us-west-2", "arn:of:environment", "us-west-2", "arn:of:environment", "amazonaws.com"},
		{" cn-north-1\n", "", "cn-north-1", "arn:aws-iso:ec2:us-iso-east-1:123:instance/i-1", "amazonaws.com.cn"},
		{"", "arn:of:environment", "us-iso-east-1", "arn:of:environment", "c2s.ic.gov"},
	} {
		o, _ := options(none, map[string]string{metadataVariable: fake.url, regionVariable: test.region, hostVariable: test.host})
		id, err := Load(t.Context(), o)
		if err != nil || id.Region != test.wantRegion || id.HostID != test.wantHost || id.Domain != test.wantDomain || id.OnPremises {
			t.Errorf("region %q and host %q in the environment: %+v, %v", test.region, test.host, id, err)
		}
	}
	o, _ = options(none, map[string]string{regionVariable: "us-west-2", hostVariable: "arn:of:environment"})
	if _, err := Load(t.Context(), o); err != nil {
		t.Errorf("all in the environment and no metadata: %v", err)
	}
}
