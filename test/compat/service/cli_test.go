package service

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/server"
)

// cli is the aws CLI with nothing but endpoint, region and credentials in its environment. What it calls goes through a proxy
// that writes the calls down.
type cli struct {
	*world
	t     *testing.T
	path  string
	url   string   // the proxy's
	extra []string // put before the arguments of every command
	env   []string // besides the usual
	dir   string   // where it runs

	mu   sync.Mutex
	seen []string
}

// newCLI returns the aws CLI of a major version, or skips the test.
func newCLI(t *testing.T, major string) *cli {
	t.Helper()
	c := &cli{t: t, dir: t.TempDir()}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "aws")
		out, err := exec.Command(path, "--version").CombinedOutput()
		if err == nil && strings.HasPrefix(string(out), "aws-cli/"+major+".") {
			c.path = path
			break
		}
	}
	if c.path == "" {
		t.Skipf("needs the aws CLI v%s: %s", major, map[string]string{"1": "pip install awscli", "2": "apt-get install awscli"}[major])
	}
	c.world = start(t)
	target, err := url.Parse(c.world.url)
	ok(t, err)
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		c.note(r.Out)
		r.SetURL(target)
		r.Out.Host = r.In.Host // it is signed
	}})
	t.Cleanup(proxy.Close)
	c.url = proxy.URL
	return c
}

// note writes a call down: the operation, or for S3 the method, the path and the names of the parameters.
func (c *cli) note(r *http.Request) {
	_, call, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if r.URL.Path == "/" && call == "" {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		call = form.Get("Action")
	}
	if call == "" {
		call = r.Method + " " + r.URL.Path
		for i, name := range slices.Sorted(maps.Keys(r.URL.Query())) {
			call += []string{"?", "&"}[min(i, 1)] + name
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, call)
}

// try runs a command and returns what it printed and how it ended.
func (c *cli) try(args ...string) (stdout, stderr string, err error) {
	cmd := exec.CommandContext(c.t.Context(), c.path, append(slices.Clone(c.extra), args...)...)
	cmd.Dir = c.dir
	cmd.Env = append(c.environ(), "PATH="+os.Getenv("PATH"), "HOME="+c.dir, "AWS_ENDPOINT_URL="+c.url)
	cmd.Env = append(cmd.Env, c.env...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	return out.String(), complaint.String(), err
}

// run runs a command that must succeed. Some print an error and end as if all were well, so nothing may be in stderr.
func (c *cli) run(args ...string) string {
	c.t.Helper()
	out, complaint, err := c.try(args...)
	if err != nil || complaint != "" {
		c.t.Fatalf("aws %s: %v\n%s%s", strings.Join(args, " "), err, out, complaint)
	}
	return out
}

// calls returns the calls since the last time, and checks them.
func (c *cli) calls(want ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(want, c.seen); diff != "" {
		c.t.Errorf("calls (-want +got):\n%s", diff)
	}
	c.seen = nil
}

// file writes a file into the folder in which the CLI runs.
func (c *cli) file(name string, data []byte) {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	ok(c.t, os.MkdirAll(filepath.Dir(path), 0o755))
	ok(c.t, os.WriteFile(path, data, 0o644))
}

// service.md 15: K266, K267
func TestPush(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "1")
	c.application("shop")
	c.bucket("bundles")
	c.file("source/appspec.yml", []byte("version: 0.0\nos: linux\n"))
	push := func(key string) string {
		return c.run("deploy", "push", "--application-name", "shop", "--source", "source", "--s3-location", "s3://bundles/"+key)
	}
	out := push("small.zip")
	c.calls("PUT /bundles/small.zip", "RegisterApplicationRevision")
	large := make([]byte, 7<<20)
	rand.Read(large) // does not get smaller in a zip
	c.file("source/large", large)
	push("large.zip")
	c.calls("POST /bundles/large.zip?uploads", "PUT /bundles/large.zip?partNumber&uploadId", "PUT /bundles/large.zip?partNumber&uploadId",
		"POST /bundles/large.zip?uploadId", "RegisterApplicationRevision")

	object := must(c.s3(c.root).GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bundles"), Key: aws.String("large.zip")}))(t)
	data, err := io.ReadAll(object.Body)
	ok(t, err)
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	ok(t, err)
	if len(z.File) != 2 {
		t.Errorf("the bundle has %d files", len(z.File))
	}
	revisions := must(c.ListApplicationRevisions(t.Context(), &codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String("shop")}))(t).Revisions
	if len(revisions) != 2 {
		t.Fatalf("%d revisions are registered", len(revisions))
	}
	for _, r := range revisions {
		tag := *r.S3Location.ETag
		if strings.Contains(tag, `"`) || tag == "" || *r.S3Location.Key == "small.zip" && !strings.Contains(out, "eTag="+tag) {
			t.Errorf("%s has the ETag %q", *r.S3Location.Key, tag)
		}
	}
}

// The user that register makes is the host's from then on, and deregister leaves nothing.
//
// service.md 15: K268, K269
func TestRegisterAndDeregister(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "1")
	c.run("deploy", "register", "--instance-name", "web-1", "--tags", "Key=app,Value=shop")
	c.calls("CreateUser", "CreateAccessKey", "PutUserPolicy", "RegisterOnPremisesInstance", "AddTagsToOnPremisesInstances")
	file, err := os.ReadFile(filepath.Join(c.dir, "codedeploy.onpremises.yml"))
	ok(t, err)
	for _, part := range []string{"region: " + region, "iam_user_arn: arn:aws:iam::" + account + ":user/AWS/CodeDeploy/web-1", "aws_access_key_id: ", "aws_secret_access_key: "} {
		if !strings.Contains(string(file), part) {
			t.Errorf("the host's file lacks %q:\n%s", part, file)
		}
	}
	if tags := c.tagsOf("web-1"); !slices.Equal(tags, []string{"app=shop"}) {
		t.Errorf("the host has the tags %v", tags)
	}
	c.run("deploy", "deregister", "--instance-name", "web-1")
	c.calls("GetOnPremisesInstance", "RemoveTagsFromOnPremisesInstances", "DeregisterOnPremisesInstance",
		"ListUserPolicies", "DeleteUserPolicy", "ListAccessKeys", "DeleteAccessKey", "DeleteUser")
	_, err = c.iam().GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("web-1")})
	fails(t, err, "NoSuchEntity")
	if got := c.instance("web-1"); got.DeregisterTime == nil {
		t.Error("the host is still registered")
	}
}

// The shorthands of the CLI, in both versions, and what it waits for.
//
// service.md 15: K272
func TestLocationsAndWait(t *testing.T) {
	t.Parallel()
	for _, major := range []string{"1", "2"} {
		t.Run("v"+major, func(t *testing.T) {
			t.Parallel()
			c := newCLI(t, major)
			c.extra = []string{"--endpoint-url", c.url} // v2 before 2.13 knows of no other way
			h := c.host("web-1", tag("app", "shop"))
			c.group("shop", "prod")
			sha := strings.Repeat("ab", 20)
			name := []string{"--application-name", "shop"}
			s3Location := []string{"--s3-location", "bucket=bundles,key=1.zip,bundleType=zip,eTag=abc,version=2"}
			c.run(slices.Concat([]string{"deploy", "register-application-revision", "--description", "one"}, name, s3Location)...)
			c.run(slices.Concat([]string{"deploy", "register-application-revision"}, name, []string{"--github-location", "repository=shop/app,commitId=" + sha})...)
			got := c.run(slices.Concat([]string{"deploy", "get-application-revision", "--query", "revisionInfo.description", "--output", "text"}, name, s3Location)...)
			if strings.TrimSpace(got) != "one" {
				t.Errorf("get-application-revision says %q", got)
			}
			id := strings.TrimSpace(c.run(slices.Concat([]string{"deploy", "create-deployment", "--deployment-group-name", "prod", "--query", "deploymentId", "--output", "text"}, name, s3Location)...))
			same(t, "the deployment's revision", c.info(id).Revision.S3Location, &types.S3Location{
				Bucket: aws.String("bundles"), Key: aws.String("1.zip"), BundleType: types.BundleTypeZip, ETag: aws.String("abc"), Version: aws.String("2"),
			})
			revisions := must(c.ListApplicationRevisions(t.Context(), &codedeploy.ListApplicationRevisionsInput{ApplicationName: aws.String("shop")}))(t).Revisions
			if !slices.ContainsFunc(revisions, func(r types.RevisionLocation) bool {
				return r.GitHubLocation != nil && *r.GitHubLocation.Repository == "shop/app" && *r.GitHubLocation.CommitId == sha
			}) {
				t.Error("the revision at GitHub is not registered")
			}
			h.run(inPlaceEvents, "")
			c.run("deploy", "wait", "deployment-successful", "--deployment-id", id)
			failing := c.deploy("shop", "prod", bundle("shop/1.zip"))
			h.run(inPlaceEvents, "ApplicationStop")
			c.ends(failing, types.DeploymentStatusFailed)
			if _, complaint, err := c.try("deploy", "wait", "deployment-successful", "--deployment-id", failing); err == nil || !strings.Contains(complaint, "failure state") {
				t.Errorf("waiting for a deployment that failed: %v %s", err, complaint)
			}
		})
	}
}

// ecs is as much of ECS as `aws ecs deploy` calls: one service, and task definitions that may be registered.
func ecs(t *testing.T, note func(*http.Request)) string {
	const arn = "arn:aws:ecs:" + region + ":" + account
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note(r)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
		case "DescribeServices":
			fmt.Fprintf(w, `{"services":[{"serviceName":"front","serviceArn":"%[1]s:service/web/front","clusterArn":"%[1]s:cluster/web"}],"failures":[]}`, arn)
		case "RegisterTaskDefinition":
			fmt.Fprintf(w, `{"taskDefinition":{"taskDefinitionArn":"%s:task-definition/front:2"}}`, arn)
		default:
			http.Error(w, `{"__type":"InvalidAction"}`, http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The calls are made and answered up to CreateDeployment; that this platform is not there yet reaches the user in full.
//
// service.md 15: K271
func TestECSDeploy(t *testing.T) {
	t.Parallel()
	c := newCLI(t, "1")
	c.env = []string{"AWS_ENDPOINT_URL_ECS=" + ecs(t, c.note)}
	c.ecsGroup("AppECS-web-front", "front", nil)
	c.file("task.json", []byte(`{"family":"front","containerDefinitions":[{"name":"web","image":"nginx"}]}`))
	c.file("appspec.json", []byte(`{"version":0.0,"Resources":[{"TargetService":{"Type":"AWS::ECS::Service","Properties":{"TaskDefinition":"",`+
		`"LoadBalancerInfo":{"ContainerName":"web","ContainerPort":80}}}}]}`))
	out, complaint, err := c.try("ecs", "deploy", "--cluster", "web", "--service", "front", "--codedeploy-deployment-group", "front",
		"--task-definition", "task.json", "--codedeploy-appspec", "appspec.json")
	c.calls("DescribeServices", "GetApplication", "GetDeploymentGroup", "RegisterTaskDefinition", "CreateDeployment")
	if !strings.Contains(out, "task-definition/front:2") {
		t.Errorf("it does not name the task definition: %s", out)
	}
	if err == nil || !strings.Contains(complaint, "Failed to create deployment") || !strings.Contains(complaint, "ECS") {
		t.Errorf("the user is told: %v %s", err, complaint)
	}
}

// TestAgentBucket reads the agent as `aws deploy install` and scripts written for AWS do: signed by a host, by path and by the
// name of the bucket, in each region, with ranges and conditions.
//
// service.md 15: K270
func TestAgentBucket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(dir, "install"), []byte("#!/bin/sh\nserved_from='@BASE@'\n"), 0o755))
	w := start(t, func(o *server.Options) { o.Packages, o.Domain = dir, "grapnel.test" })
	h := w.host("web-1")
	address := strings.TrimPrefix(w.url, "http://")
	_, port, _ := net.SplitHostPort(address)
	styles := map[string]*s3.Client{
		address: w.s3(h.creds),
		"aws-codedeploy-eu-west-1.grapnel.test:" + port: s3.New(s3.Options{
			Region: "eu-west-1", BaseEndpoint: aws.String("http://grapnel.test:" + port), Credentials: static(h.creds), RetryMaxAttempts: 1,
			HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			}}},
		}),
	}
	bucket, key := aws.String("aws-codedeploy-eu-west-1"), aws.String("latest/install")
	for host, client := range styles {
		want := "#!/bin/sh\nserved_from='http://" + host + "/latest'\n"
		out := must(client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key}))(t)
		script, err := io.ReadAll(out.Body)
		ok(t, err)
		equal(t, "the script", string(script), want)
		head := must(client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: bucket, Key: key}))(t)
		equal(t, "its length", *head.ContentLength, int64(len(want)))
		equal(t, "its ETag", *head.ETag, *out.ETag)
		part := must(client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, Range: aws.String("bytes=2-8")}))(t)
		script, err = io.ReadAll(part.Body)
		ok(t, err)
		equal(t, "a range", string(script), "/bin/sh")
		_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, IfMatch: aws.String("other")})
		fails(t, err, "PreconditionFailed")
		_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: aws.String("latest/codedeploy-agent.msi")})
		fails(t, err, "NoSuchKey")
		_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: key, Body: strings.NewReader("x")})
		fails(t, err, "AccessDenied")
	}
}
