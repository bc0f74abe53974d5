package iam

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/auth"
	"grapnel/internal/sigv4"
)

// cli is the aws CLI, set up for one access key as the README tells users to.
type cli struct {
	t           *testing.T
	endpoint    string
	credentials string // file
}

func (s *server) cli(t *testing.T, c sigv4.Credentials) *cli {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credentials")
	if err := auth.WriteCredentials(path, c); err != nil {
		t.Fatal(err)
	}
	return &cli{t: t, endpoint: s.url, credentials: path}
}

// run returns what the CLI printed, and its complaint if it failed.
func (c *cli) run(args ...string) (out map[string]any, complaint string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "aws", append(args, "--endpoint-url", c.endpoint, "--output", "json")...)
	others := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	cmd.Env = append(others, "AWS_SHARED_CREDENTIALS_FILE="+c.credentials, "AWS_CONFIG_FILE="+os.DevNull, "AWS_DEFAULT_REGION=eu-west-1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, err.Error() + ": " + stderr.String()
	}
	if stdout.Len() == 0 {
		return nil, ""
	}
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		c.t.Fatalf("aws %s: %v in %s", strings.Join(args, " "), err, &stdout)
	}
	return out, ""
}

func (c *cli) must(args ...string) map[string]any {
	c.t.Helper()
	out, complaint := c.run(args...)
	if complaint != "" {
		c.t.Fatalf("aws %s: %s", strings.Join(args, " "), complaint)
	}
	return out
}

func (c *cli) wantComplaint(code string, args ...string) {
	c.t.Helper()
	if _, complaint := c.run(args...); !strings.Contains(complaint, "("+code+")") {
		c.t.Errorf("aws %s: got %q, want the error %s", strings.Join(args, " "), complaint, code)
	}
}

// TestCLI makes the calls of `aws deploy register` and `deregister` (service.md 9), and what an operator would look at in
// between, with the real CLI.
func TestCLI(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the aws CLI is missing; install it with: pip install awscli")
	}
	s := newServer(t)
	root := s.cli(t, s.root)
	const policy = `{"Version":"2012-10-17","Statement":[{"Action":["s3:Get*","s3:List*"],"Effect":"Allow","Resource":"*"}]}`

	user := root.must("iam", "create-user", "--path", "/AWS/CodeDeploy/", "--user-name", "web-1")["User"].(map[string]any)
	key := root.must("iam", "create-access-key", "--user-name", "web-1")["AccessKey"].(map[string]any)
	root.must("iam", "put-user-policy", "--user-name", "web-1", "--policy-name", "codedeploy-agent", "--policy-document", policy)

	host := s.cli(t, sigv4.Credentials{AccessKeyID: key["AccessKeyId"].(string), SecretAccessKey: key["SecretAccessKey"].(string)})
	want := map[string]any{"Account": account, "Arn": user["Arn"], "UserId": user["UserId"]}
	if diff := cmp.Diff(want, host.must("sts", "get-caller-identity")); diff != "" {
		t.Errorf("the user's identity (-want +got):\n%s", diff)
	}
	want = map[string]any{"Account": account, "Arn": "arn:aws:iam::" + account + ":root", "UserId": account}
	if diff := cmp.Diff(want, root.must("sts", "get-caller-identity")); diff != "" {
		t.Errorf("root's identity (-want +got):\n%s", diff)
	}
	host.wantComplaint("AccessDenied", "iam", "list-users")

	var document map[string]any
	if err := json.Unmarshal([]byte(policy), &document); err != nil {
		t.Fatal(err)
	}
	got := root.must("iam", "get-user-policy", "--user-name", "web-1", "--policy-name", "codedeploy-agent")
	if diff := cmp.Diff(document, got["PolicyDocument"]); diff != "" {
		t.Errorf("the policy (-want +got):\n%s", diff)
	}

	for _, name := range root.must("iam", "list-user-policies", "--user-name", "web-1")["PolicyNames"].([]any) {
		root.must("iam", "delete-user-policy", "--user-name", "web-1", "--policy-name", name.(string))
	}
	for _, row := range root.must("iam", "list-access-keys", "--user-name", "web-1")["AccessKeyMetadata"].([]any) {
		id := row.(map[string]any)["AccessKeyId"].(string)
		root.must("iam", "delete-access-key", "--user-name", "web-1", "--access-key-id", id)
	}
	root.must("iam", "delete-user", "--user-name", "web-1")
	host.wantComplaint("InvalidClientTokenId", "sts", "get-caller-identity")
}

// TestCLIPages lets the CLI follow the pages of a list.
func TestCLIPages(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("the aws CLI is missing; install it with: pip install awscli")
	}
	s := newServer(t)
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		s.must(nil, "CreateUser", "UserName="+name)
	}
	var got []string
	for _, u := range s.cli(t, s.root).must("iam", "list-users", "--page-size", "2")["Users"].([]any) {
		got = append(got, u.(map[string]any)["UserName"].(string))
	}
	if diff := cmp.Diff(names, got); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
}
