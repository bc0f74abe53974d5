// Package compat holds the server and the agent to the clients that people have: the aws CLI in both major versions, boto3
// and the stock agent.
package compat

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// awsCLI runs one version of the aws CLI against a server.
type awsCLI struct {
	path  string
	extra []string // put before every command's own arguments
	env   []string
}

// findCLI returns the aws CLI of a major version, or skips the test.
func findCLI(t *testing.T, s *harness.Server, major string) *awsCLI {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "aws")
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "aws-cli/"+major+".") {
			return &awsCLI{path: path, env: s.Environ()}
		}
	}
	t.Skipf("needs the aws CLI v%s: %s", major, map[string]string{"1": "pip install awscli", "2": "apt-get install awscli"}[major])
	return nil
}

// run returns the command's stdout, and fails the test when the command fails.
func (c *awsCLI) run(t *testing.T, args ...string) string {
	t.Helper()
	out, stderr, err := c.try(args...)
	if err != nil {
		t.Fatalf("aws %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr)
	}
	return out
}

// fails returns the command's stderr, and fails the test when the command succeeds.
func (c *awsCLI) fails(t *testing.T, args ...string) string {
	t.Helper()
	out, stderr, err := c.try(args...)
	if err == nil {
		t.Fatalf("aws %s succeeded:\n%s", strings.Join(args, " "), out)
	}
	return stderr
}

func (c *awsCLI) try(args ...string) (string, string, error) {
	cmd := exec.Command(c.path, append(append([]string{}, c.extra...), args...)...)
	cmd.Env = c.env
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	return out.String(), stderr.String(), err
}

// text returns one value of the command's output, picked by a JMESPath query.
func (c *awsCLI) text(t *testing.T, query string, args ...string) string {
	t.Helper()
	return strings.TrimSpace(c.run(t, append(args, "--query", query, "--output", "text")...))
}

// TestCLI1 is the list of commands with the aws CLI v1 and nothing but the server's environment.
func TestCLI1(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, t.TempDir())
	aws := findCLI(t, s, "1")
	story(t, s, aws, func(source, location string) {
		out := aws.run(t, "deploy", "push", "--application-name", "web", "--source", source, "--s3-location", "s3://bundles/"+location)
		if !strings.Contains(out, "eTag=") {
			t.Errorf("push does not name the ETag: %s", out)
		}
	})
}

// TestCLI2 is the same with Debian's v2.9, which knows only --endpoint-url and so cannot push: it copies and registers.
func TestCLI2(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, t.TempDir())
	aws := findCLI(t, s, "2")
	aws.extra = []string{"--endpoint-url", s.URL}
	story(t, s, aws, func(source, location string) {
		zip := filepath.Join(t.TempDir(), location)
		cmd := exec.Command(harness.Need(t, "zip", "apt-get install zip"), "-qr", zip, ".")
		cmd.Dir = source
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("zip: %v\n%s", err, out)
		}
		aws.run(t, "s3", "cp", zip, "s3://bundles/"+location)
		aws.run(t, "deploy", "register-application-revision", "--application-name", "web",
			"--s3-location", "bucket=bundles,key="+location+",bundleType=zip")
	})
}

// story is the day of an operator: settings, a host, a bundle, a deployment that succeeds, one that is stopped, and the end.
func story(t *testing.T, s *harness.Server, aws *awsCLI, push func(source, location string)) {
	t.Helper()
	if arn := aws.text(t, "Arn", "sts", "get-caller-identity"); arn != "arn:aws:iam::000000000000:root" {
		t.Errorf("the caller is %s", arn)
	}
	dir := t.TempDir()
	makeSettings(t, aws)
	host := makeHost(t, s, aws)
	host.Start(t)

	source := filepath.Join(dir, "source")
	writeSource(t, source, dir, "echo hello from $LIFECYCLE_EVENT")
	aws.run(t, "s3", "mb", "s3://bundles")
	push(source, "app.zip")
	if n := aws.text(t, "length(revisions)", "deploy", "list-application-revisions", "--application-name", "web"); n != "1" {
		t.Errorf("%s revisions are listed, want 1", n)
	}

	id := deploy(t, aws, "app.zip")
	aws.run(t, "deploy", "wait", "deployment-successful", "--deployment-id", id)
	checkDeployed(t, aws, id, dir)
	checkStop(t, aws, push, dir)
	removeAll(t, aws, host.Name)
}

func makeSettings(t *testing.T, aws *awsCLI) {
	t.Helper()
	aws.run(t, "deploy", "create-application", "--application-name", "web")
	aws.run(t, "deploy", "create-deployment-config", "--deployment-config-name", "Any", "--minimum-healthy-hosts", "type=HOST_COUNT,value=0")
	aws.run(t, "deploy", "create-deployment-group", "--application-name", "web", "--deployment-group-name", "production",
		"--deployment-config-name", "Any", "--service-role-arn", "arn:aws:iam::000000000000:role/deploy",
		"--on-premises-instance-tag-filters", "Key=role,Value=web,Type=KEY_AND_VALUE")
	if got := aws.text(t, "deploymentConfigInfo.minimumHealthyHosts.value", "deploy", "get-deployment-config", "--deployment-config-name", "Any"); got != "0" {
		t.Errorf("the config has minimum %s", got)
	}
	if got := aws.text(t, "length(deploymentConfigsList)", "deploy", "list-deployment-configs"); got != "18" {
		t.Errorf("%s configs are listed, want the 17 predefined and ours", got)
	}
	if got := aws.text(t, "application.computePlatform", "deploy", "get-application", "--application-name", "web"); got != "Server" {
		t.Errorf("the application is for %s", got)
	}
	if got := aws.text(t, "deploymentGroups[0]", "deploy", "list-deployment-groups", "--application-name", "web"); got != "production" {
		t.Errorf("the first group is %s", got)
	}
}

// makeHost registers a host with the commands that the issue names.
func makeHost(t *testing.T, s *harness.Server, aws *awsCLI) *harness.Host {
	t.Helper()
	arn := aws.text(t, "User.Arn", "iam", "create-user", "--path", "/AWS/CodeDeploy/", "--user-name", "web-1")
	key := strings.Fields(aws.text(t, "AccessKey.[AccessKeyId,SecretAccessKey]", "iam", "create-access-key", "--user-name", "web-1"))
	aws.run(t, "iam", "put-user-policy", "--user-name", "web-1", "--policy-name", "codedeploy-agent", "--policy-document",
		`{"Version":"2012-10-17","Statement":[{"Action":["s3:Get*","s3:List*"],"Effect":"Allow","Resource":"*"}]}`)
	aws.run(t, "deploy", "register-on-premises-instance", "--instance-name", "web-1", "--iam-user-arn", arn)
	aws.run(t, "deploy", "add-tags-to-on-premises-instances", "--instance-names", "web-1", "--tags", "Key=role,Value=web")
	return harness.NewHost(t, s, "web-1", arn, key[0], key[1])
}

// writeSource writes an application with one file and one hook below source; it installs into dir/app.
func writeSource(t *testing.T, source, dir, hook string) {
	t.Helper()
	files := map[string]string{
		"appspec.yml": "version: 0.0\nos: linux\nfile_exists_behavior: OVERWRITE\nfiles:\n  - source: /page.html\n    destination: " + dir +
			"/app\nhooks:\n  AfterInstall:\n    - location: hook.sh\n      timeout: 60\n",
		"page.html": "hello\n",
		"hook.sh":   "#!/bin/sh\n" + hook + "\n",
	}
	if err := os.MkdirAll(source, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(source, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func deploy(t *testing.T, aws *awsCLI, location string) string {
	t.Helper()
	return aws.text(t, "deploymentId", "deploy", "create-deployment", "--application-name", "web", "--deployment-group-name", "production",
		"--s3-location", "bucket=bundles,key="+location+",bundleType=zip", "--description", "a test")
}

func checkDeployed(t *testing.T, aws *awsCLI, id, dir string) {
	t.Helper()
	if page, err := os.ReadFile(filepath.Join(dir, "app", "page.html")); err != nil || string(page) != "hello\n" {
		t.Errorf("the file on the host: %q, %v", page, err)
	}
	if got := aws.text(t, "deploymentInfo.[status,deploymentOverview.Succeeded,creator]", "deploy", "get-deployment", "--deployment-id", id); got != "Succeeded\t1\tuser" {
		t.Errorf("get-deployment says %q", got)
	}
	if got := aws.text(t, "deployments[0]", "deploy", "list-deployments", "--application-name", "web", "--deployment-group-name", "production"); got != id {
		t.Errorf("the newest deployment is %s, want %s", got, id)
	}
	if got := aws.text(t, "targetIds[0]", "deploy", "list-deployment-targets", "--deployment-id", id); got != "web-1" {
		t.Errorf("the target is %s", got)
	}
	var target struct {
		DeploymentTarget struct {
			InstanceTarget struct {
				Status          string
				LifecycleEvents []struct{ LifecycleEventName, Status string }
			}
		}
	}
	out := aws.run(t, "deploy", "get-deployment-target", "--deployment-id", id, "--target-id", "web-1", "--output", "json")
	if err := json.Unmarshal([]byte(out), &target); err != nil {
		t.Fatal(err)
	}
	events := target.DeploymentTarget.InstanceTarget.LifecycleEvents
	if len(events) != 7 || events[6].LifecycleEventName != "ValidateService" || events[6].Status != "Succeeded" {
		t.Errorf("the target's events: %+v", events)
	}
	if got := aws.text(t, "length(deploymentTargets)", "deploy", "batch-get-deployment-targets", "--deployment-id", id, "--target-ids", "web-1"); got != "1" {
		t.Errorf("batch-get-deployment-targets returns %s targets", got)
	}
}

// checkStop stops a deployment in the middle of a hook: the hook ends, the rest is skipped.
func checkStop(t *testing.T, aws *awsCLI, push func(source, location string), dir string) {
	t.Helper()
	source, gate, running := filepath.Join(dir, "slow"), filepath.Join(dir, "gate"), filepath.Join(dir, "running")
	writeSource(t, source, dir, "touch "+running+"; while ! [ -e "+gate+" ]; do sleep 0.05; done")
	push(source, "slow.zip")
	id := deploy(t, aws, "slow.zip")
	harness.Eventually(t, harness.Patience, "the hook to run", func() bool { _, err := os.Stat(running); return err == nil })

	if busy := aws.fails(t, "deploy", "create-deployment", "--application-name", "web", "--deployment-group-name", "production",
		"--s3-location", "bucket=bundles,key=app.zip,bundleType=zip"); !strings.Contains(busy, "DeploymentLimitExceededException") || !strings.Contains(busy, "'"+id+"'") {
		t.Errorf("a second deployment is refused with %q", busy)
	}
	aws.run(t, "deploy", "stop-deployment", "--deployment-id", id)
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	status := ""
	harness.Eventually(t, harness.Patience, "the deployment to stop", func() bool {
		status = aws.text(t, "deploymentInfo.[status,errorInformation.code]", "deploy", "get-deployment", "--deployment-id", id)
		return !strings.HasPrefix(status, "InProgress")
	})
	if status != "Stopped\tMANUAL_STOP" {
		t.Errorf("the stopped deployment is %q", status)
	}
	events := aws.text(t, "deploymentTarget.instanceTarget.lifecycleEvents[].status | join(' ', @)",
		"deploy", "get-deployment-target", "--deployment-id", id, "--target-id", "web-1")
	if !strings.HasSuffix(events, "Skipped Skipped") {
		t.Errorf("its events are %q, want the last ones skipped", events)
	}
}

// removeAll deletes everything that the story made.
func removeAll(t *testing.T, aws *awsCLI, host string) {
	t.Helper()
	aws.run(t, "deploy", "remove-tags-from-on-premises-instances", "--instance-names", host, "--tags", "Key=role,Value=web")
	aws.run(t, "deploy", "deregister-on-premises-instance", "--instance-name", host)
	aws.run(t, "deploy", "delete-deployment-group", "--application-name", "web", "--deployment-group-name", "production")
	aws.run(t, "deploy", "delete-deployment-config", "--deployment-config-name", "Any")
	aws.run(t, "deploy", "delete-application", "--application-name", "web")
	if got := aws.text(t, "length(applications)", "deploy", "list-applications"); got != "0" {
		t.Errorf("%s applications are left", got)
	}
	aws.run(t, "s3", "rm", "--recursive", "s3://bundles")
	aws.run(t, "s3", "rb", "s3://bundles")
	if stderr := aws.fails(t, "s3api", "list-objects-v2", "--bucket", "bundles"); !strings.Contains(stderr, "NoSuchBucket") {
		t.Errorf("a missing bucket is %q", stderr)
	}
}
