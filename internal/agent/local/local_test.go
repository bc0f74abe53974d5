package local

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/bundle"
)

// host is a deployment root of a test's own.
type host struct {
	t      *testing.T
	dir    string
	config string
}

func newHost(t *testing.T, settings ...string) *host {
	t.Helper()
	h := &host{t: t, dir: t.TempDir()}
	h.config = h.write("agent.yml", "root_dir: "+h.path("root"), "log_dir: "+h.path("log"), strings.Join(settings, "\n"))
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

// write makes a file of some lines.
func (h *host) write(name string, lines ...string) string {
	h.t.Helper()
	path := h.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// revision makes the folder of a revision that installs one file and runs one script.
func (h *host) revision(name string) string {
	h.write(name+"/appspec.yml", "version: 0.0", "os: linux", "files: [{source: file, destination: "+h.path("dest")+"}]",
		"hooks: {AfterInstall: [{location: scripts/run.sh}]}")
	h.write(name+"/file", "content")
	h.write(name+"/scripts/run.sh", "echo ran with ${BUNDLE_VERSION:-no version}")
	return h.path(name)
}

// run runs codedeploy-local and returns what it printed on both outputs.
func (h *host) run(args ...string) (exit int, stdout, stderr string) {
	h.t.Helper()
	var out, errs bytes.Buffer
	exit = Main(h.t.Context(), append([]string{"-c", h.config}, args...), &out, &errs)
	return exit, out.String(), errs.String()
}

// deployed runs codedeploy-local and holds what is installed against the revision.
func (h *host) deployed(args ...string) (stdout string) {
	h.t.Helper()
	exit, stdout, stderr := h.run(args...)
	if exit != exitOK || stderr != "" {
		h.t.Fatalf("exit = %d, want 0; it said:\n%s%s", exit, stdout, stderr)
	}
	if got, err := os.ReadFile(h.path("dest/file")); string(got) != "content\n" {
		h.t.Errorf("installed %q (%v)", got, err)
	}
	if !strings.Contains(stdout, "[AfterInstall] ran with") {
		h.t.Errorf("the script did not run:\n%s", stdout)
	}
	return stdout
}

// archived lists the files of the only archive below the root.
func (h *host) archived() []string {
	h.t.Helper()
	archives, err := filepath.Glob(h.path("root/default-local-deployment-group/*/deployment-archive"))
	if err != nil || len(archives) != 1 {
		h.t.Fatalf("archives = %v (%v), want one", archives, err)
	}
	var names []string
	err = fs.WalkDir(os.DirFS(archives[0]), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return names
}

// zipped packs a folder of the host.
func (h *host) zipped(folder string) string {
	h.t.Helper()
	path := h.path("app.zip")
	f, err := os.Create(path)
	if err != nil {
		h.t.Fatal(err)
	}
	defer f.Close()
	if _, err := bundle.Pack(h.t.Context(), f, folder); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// tarred packs a folder of the host, compressed or not.
func (h *host) tarred(folder string, compressed bool) string {
	h.t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.AddFS(os.DirFS(folder)); err != nil {
		h.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		h.t.Fatal(err)
	}
	data := out.Bytes()
	if compressed {
		var small bytes.Buffer
		z := gzip.NewWriter(&small)
		if _, err := z.Write(data); err != nil {
			h.t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			h.t.Fatal(err)
		}
		data = small.Bytes()
	}
	path := h.path("app.archive")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// agent.md 16: 3, 4, 5, 6, 11
func TestBundlesOfEachType(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		kind string
		pack func(h *host) string
	}{
		"zip":                 {"zip", func(h *host) string { return h.zipped(h.revision("app")) }},
		"zip with one folder": {"zip", func(h *host) string { h.revision("around/app"); return h.zipped(h.path("around")) }},
		"tgz":                 {"tgz", func(h *host) string { return h.tarred(h.revision("app"), true) }},
		"tar":                 {"tar", func(h *host) string { return h.tarred(h.revision("app"), false) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			path := row.pack(h)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			h.deployed("-l", path, "-t", row.kind)
			if diff := cmp.Diff([]string{"appspec.yml", "file", "scripts/run.sh"}, h.archived()); diff != "" {
				t.Errorf("archive (-want +got):\n%s", diff)
			}
			if after, err := os.Stat(path); err != nil || after.Mode() != before.Mode() {
				t.Errorf("the bundle itself was changed: %v (%v)", after, err)
			}
		})
	}
}

// store is a bucket with one object of two versions, which wants signed requests.
type store struct {
	objects map[string][]byte // by version
	mu      sync.Mutex
	asked   []string
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.URL.Path)
	s.mu.Unlock()
	version := r.URL.Query().Get("versionId")
	data, ok := s.objects[version]
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE/"):
		w.WriteHeader(http.StatusForbidden)
	case !ok:
		w.WriteHeader(http.StatusNotFound)
	default:
		w.Header().Set("ETag", `"etag-of-`+version+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

// Not parallel: the keys of whoever runs the test are taken out of the environment.
//
// agent.md 16: 7, 38
func TestBundleInS3(t *testing.T) {
	forgetKeys(t)
	s := &store{objects: map[string][]byte{"": nil}}
	server := httptest.NewServer(s)
	defer server.Close()
	h := newHost(t, "s3_endpoint_override: "+server.URL)
	h.write("agent.yml", "root_dir: "+h.path("root"), "log_dir: "+h.path("log"), "s3_endpoint_override: "+server.URL,
		"on_premises_config_file: "+h.write("on-premises.yml", "region: eu-west-1", "iam_user_arn: arn:aws:iam::123456789012:user/host",
			"aws_access_key_id: AKIDEXAMPLE", "aws_secret_access_key: hush"))
	packed, err := os.ReadFile(h.zipped(h.revision("app")))
	if err != nil {
		t.Fatal(err)
	}
	s.objects["v1"] = packed

	stdout := h.deployed("-l", "s3://bucket/path/app.zip?versionId=v1&etag=etag-of-v1", "-t", "zip")
	if !strings.Contains(stdout, "ran with v1") {
		t.Errorf("scripts do not see the version:\n%s", stdout)
	}
	for _, path := range s.asked {
		if path != "/bucket/path/app.zip" {
			t.Errorf("asked for %s, want /bucket/path/app.zip", path)
		}
	}

	exit, stdout, _ := h.run("-l", "s3://bucket/path/app.zip?versionId=v1&etag=another", "-t", "zip")
	if exit != exitFailed || !strings.Contains(stdout, "another") || !strings.Contains(stdout, "etag-of-v1") {
		t.Errorf("with another ETag: exit = %d, want 1 and both ETags named:\n%s", exit, stdout)
	}
	exit, stdout, stderr := h.run("-l", "s3://bucket/path/app.zip?versionId=v1", "-t", "zip", "--dry-run")
	if exit != exitOK || !strings.Contains(stdout, "would start") {
		t.Errorf("dry run: exit = %d:\n%s%s", exit, stdout, stderr)
	}
}

// forgetKeys takes out of the environment what says who runs the test.
func forgetKeys(t *testing.T) {
	t.Helper()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_HOST_IDENTIFIER"} {
		t.Setenv(name, "")
	}
}

// The person's own keys count, and before the host's.
func TestOwnKeysForS3(t *testing.T) {
	forgetKeys(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	s := &store{objects: map[string][]byte{}}
	server := httptest.NewServer(s)
	defer server.Close()
	h := newHost(t, "s3_endpoint_override: "+server.URL, "on_premises_config_file: "+filepath.Join(t.TempDir(), "missing.yml"))
	packed, err := os.ReadFile(h.zipped(h.revision("app")))
	if err != nil {
		t.Fatal(err)
	}
	s.objects[""] = packed
	h.deployed("-l", "s3://bucket/app.zip", "-t", "zip")
}

func TestNoKeysForS3(t *testing.T) {
	forgetKeys(t)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
	h := newHost(t, "on_premises_config_file: "+filepath.Join(t.TempDir(), "missing.yml"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // it goes on asking for some seconds
	defer cancel()
	var stdout, stderr bytes.Buffer
	exit := Main(ctx, []string{"-c", h.config, "-l", "s3://bucket/app.zip", "-t", "zip"}, &stdout, &stderr)
	if exit != exitFailed || !strings.Contains(stderr.String(), "error: there are no AWS credentials for the bundle in S3: set AWS_ACCESS_KEY_ID") {
		t.Errorf("exit = %d, stderr = %q", exit, &stderr)
	}
	if stdout.Len() > 0 {
		t.Errorf("stdout = %q, want nothing: no deployment has begun", &stdout)
	}
}

// A file system that is read only for this user is told with what to set.
func TestRootThatCannotBeMade(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.write("root") // a file where the folder should be
	exit, _, stderr := h.run("-l", h.revision("app"))
	if exit != exitFailed || !strings.Contains(stderr, "cannot make the deployment root") {
		t.Errorf("exit = %d, stderr = %q", exit, stderr)
	}
}

func TestAdviceForThoseWithoutRights(t *testing.T) {
	t.Parallel()
	if got := withAdvice(fs.ErrPermission, "root_dir", 1000).Error(); !strings.Contains(got, "sudo") || !strings.Contains(got, "root_dir") {
		t.Errorf("advice = %q", got)
	}
	if got := withAdvice(fs.ErrPermission, "root_dir", 0); got != fs.ErrPermission {
		t.Errorf("root gets the advice %q, which it cannot follow", got)
	}
}
