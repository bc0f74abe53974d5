package scripts

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"grapnel/internal/awsapi"
	"grapnel/test/harness"
)

// TestJoinKilled: a join that is killed when the server has answered it, or when all is written, is completed by the same
// command, and leaves the host with one key.
func TestJoinKilled(t *testing.T) {
	t.Parallel()
	s := harness.StartServer(t, t.TempDir())
	for name, path := range map[string]string{"killed-when-answered": awsapi.JoinPath, "killed-when-written": "/"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var made awsapi.CreateJoinTokenOutput
			grapnelJSON(t, s, &made, "token", "create", "--name", name, "--json")
			config := machine(t)
			var first sync.Once
			started := make(chan *harness.Process, 1)
			proxy := proxyTo(t, s.URL, func(r *http.Request) {
				if r.URL.Path == path {
					first.Do(func() { (<-started).Kill() })
				}
			})
			args := []string{"join", proxy, "--token", *made.Token, "--config-file", config}
			join := harness.Start(t, "codedeploy-agent", nil, args...)
			started <- join
			if code := join.ExitCode(t); code != -1 {
				t.Fatalf("the first run ended with %d before it was killed", code)
			}
			again := harness.Start(t, "codedeploy-agent", nil, args...)
			if code := again.ExitCode(t); code != 0 {
				t.Fatalf("the second run ended with %d", code)
			}
			if !strings.Contains(again.Output.String(), "interrupted") {
				t.Errorf("the second run does not say that it goes on:\n%s", again.Output)
			}
			var keys []struct{ AccessKeyID string }
			grapnelJSON(t, s, &keys, "key", "list", name, "--json")
			if len(keys) != 1 {
				t.Errorf("the host has %d keys, want 1", len(keys))
			}
			left, err := filepath.Glob(filepath.Join(filepath.Dir(config), "*.joining"))
			if err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// machine returns the configuration file of a host that is none yet.
func machine(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "codedeployagent.yml")
	text := strings.ReplaceAll("root_dir: DIR/root\nlog_dir: DIR/log\npid_dir: DIR/pid\non_premises_config_file: DIR/onpremises.yml\n", "DIR", dir)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// grapnelJSON runs a command of grapnel and reads the JSON that it prints.
func grapnelJSON(t *testing.T, s *harness.Server, out any, args ...string) {
	t.Helper()
	cmd := exec.Command(harness.Path("grapnel"), args...)
	cmd.Env = s.Environ()
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("grapnel %s: %v", strings.Join(args, " "), err)
	}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatalf("grapnel %s: %v in %s", strings.Join(args, " "), err, text)
	}
}

// proxyTo returns the address of a proxy that calls answered when the server has replied and the client does not know it.
func proxyTo(t *testing.T, target string, answered func(*http.Request)) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { // the host is signed, and stays
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
		},
		ModifyResponse: func(r *http.Response) error { answered(r.Request); return nil },
	})
	t.Cleanup(proxy.Close)
	return proxy.URL
}
