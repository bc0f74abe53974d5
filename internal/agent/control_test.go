package agent

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
)

// stopProcess ends an agent as a service manager does.
func stopProcess(t *testing.T, agent *exec.Cmd) {
	t.Helper()
	if err := agent.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := agent.Wait(); err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// What the agent makes for itself everybody may read, and two settings close it to others. The umask that the agent was
// started with does not count, for scripts neither.
//
// agent.md 16: 202
func TestModesOfState(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		setting string
		want    map[string]fs.FileMode
	}{
		{"default", "", map[string]fs.FileMode{
			"log":                          0o755,
			"log/codedeploy-agent.log":     0o644,
			"root":                         0o755,
			"root/.lock":                   0o644,
			"root/deployment-instructions": 0o755,
			"root/deployment-instructions/group-1-cleanup":                 0o644,
			"root/deployment-instructions/group-1-install.json":            0o644,
			"root/deployment-instructions/group-1.lock":                    0o644,
			"root/deployment-instructions/group-1_last_successful_install": 0o644,
			"root/deployment-instructions/group-1_most_recent_install":     0o644,
			"root/deployment-logs":                                         0o755,
			"root/deployment-logs/codedeploy-agent-deployments.log":        0o644,
			"root/group-1":                          0o755,
			"root/group-1/d-MODES":                  0o755,
			"root/group-1/d-MODES/.bundle-etag":     0o644,
			"root/group-1/d-MODES/.bundle-source":   0o644,
			"root/group-1/d-MODES/bundle.tar":       0o644,
			"root/group-1/d-MODES/logs":             0o755,
			"root/group-1/d-MODES/logs/scripts.log": 0o644,
			"root/ongoing-deployment":               0o755,
			"root/ongoing-deployment/d-LEFT":        0o644,
		}},
		// Scripts of other users pass through 0711 to their own file.
		{"restricted", "restrict_agent_dir_permissions: true\nrestrict_log_dir_permissions: true\n", map[string]fs.FileMode{
			"log":                          0o750,
			"log/codedeploy-agent.log":     0o640,
			"root":                         0o711,
			"root/.lock":                   0o600,
			"root/deployment-instructions": 0o700,
			"root/deployment-instructions/group-1-cleanup":                 0o600,
			"root/deployment-instructions/group-1-install.json":            0o600,
			"root/deployment-instructions/group-1.lock":                    0o600,
			"root/deployment-instructions/group-1_last_successful_install": 0o600,
			"root/deployment-instructions/group-1_most_recent_install":     0o600,
			"root/deployment-logs":                                         0o750,
			"root/deployment-logs/codedeploy-agent-deployments.log":        0o640,
			"root/group-1":                          0o711,
			"root/group-1/d-MODES":                  0o711,
			"root/group-1/d-MODES/.bundle-etag":     0o600,
			"root/group-1/d-MODES/.bundle-source":   0o600,
			"root/group-1/d-MODES/bundle.tar":       0o600,
			"root/group-1/d-MODES/logs":             0o750,
			"root/group-1/d-MODES/logs/scripts.log": 0o640,
			"root/ongoing-deployment":               0o700,
			"root/ongoing-deployment/d-LEFT":        0o600,
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t, newFake(t))
			agent := h.startProcess(test.setting)
			h.mustDeploy(h.put("d-MODES", oneHook("#!/bin/sh\numask\n", "location: hook.sh").zip(t)))
			wantContains(t, "scripts.log", readFile(t, h.path("root/group-1/d-MODES/logs/scripts.log")), "[stdout]0022\n")
			h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
				if operation == "PutHostCommandAcknowledgement" { // the command is on record by then
					w.WriteHeader(http.StatusServiceUnavailable)
				}
				return operation == "PutHostCommandAcknowledgement"
			})
			h.send("DownloadBundle", h.put("d-LEFT", nil))
			waitFor(t, h.path("root/ongoing-deployment/d-LEFT"))
			if err := agent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			got := map[string]fs.FileMode{}
			for _, top := range []string{"root", "log"} {
				if err := filepath.WalkDir(h.path(top), func(path string, entry fs.DirEntry, err error) error {
					if err != nil {
						return err
					}
					if entry.Name() == "deployment-archive" { // as the bundle says
						return fs.SkipDir
					}
					info, err := entry.Info()
					if err != nil {
						return err
					}
					name, err := filepath.Rel(h.dir, path)
					got[name] = info.Mode().Perm()
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("modes (-want +got):\n%s", diff)
			}
		})
	}
}

// Programs beside the agent read its version from a file, in which it is the one that the service is told.
//
// agent.md 16: 201
func TestVersionFile(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	var told atomic.Value
	h.intercepting(func(_ http.ResponseWriter, r *http.Request, _ string) bool {
		told.Store(r.Header.Get(awsapi.AgentVersionHeader))
		return false
	})
	agent := h.startProcess()
	h.wait("a held poll", func() bool { return h.polls == 1 })
	if got, want := readFile(t, h.path(".version")), "agent_version: "+told.Load().(string)+"\n"; got != want {
		t.Errorf(".version holds %q, want %q", got, want)
	}
	if info, err := os.Stat(h.path(".version")); err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf(".version: %v, %v; want mode 0444", info.Mode(), err)
	}
	stopProcess(t, agent)
}
