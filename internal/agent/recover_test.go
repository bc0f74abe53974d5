package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/agent/config"
	"grapnel/internal/awsapi"
	"grapnel/internal/script"
)

// startVariable makes the test binary an agent that can be killed: it names the configuration file.
const startVariable = "CODEDEPLOY_AGENT_TEST_CONFIG"

func TestMain(m *testing.M) {
	if path := os.Getenv(startVariable); path != "" {
		os.Exit(startAgent(path))
	}
	os.Exit(m.Run())
}

func startAgent(path string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, warnings, err := config.Load(path)
	if err == nil {
		err = Start(ctx, cfg, warnings, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// writeConfig writes the host's configuration as a stock file has it, and more lines below that.
func (h *host) writeConfig(more ...string) string {
	path := h.path("codedeployagent.yml")
	writeFile(h.t, path, fmt.Sprintf(":root_dir: %s\n:log_dir: %s\n:pid_dir: %s\n:on_premises_config_file: %s\n:wait_between_runs: 0\n"+
		":verbose: true\ndeploy_control_endpoint: %s\ns3_endpoint_override: %s\n",
		h.cfg.RootDir, h.cfg.LogDir, h.cfg.PIDDir, h.cfg.OnPremisesConfigFile, h.url, h.url)+strings.Join(more, "\n"))
	return path
}

// startProcess runs the agent as a process of its own, with more lines in its configuration and under a strict umask, as some
// hosts have it.
func (h *host) startProcess(more ...string) *exec.Cmd {
	h.t.Helper()
	self, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `umask 077; exec "$0"`, self)
	cmd.Env = append(os.Environ(), startVariable+"="+h.writeConfig(more...))
	cmd.Stderr = h.log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // usually it has ended
		cmd.Wait()         //nolint:errcheck // as above
		if h.t.Failed() {
			log, _ := os.ReadFile(filepath.Join(h.cfg.LogDir, "codedeploy-agent.log"))
			h.t.Logf("agent's output and log:\n%s%s", h.log, log)
		}
	})
	return cmd
}

// longHook is a revision whose AfterInstall says "started" in the trace, and "ended" when nobody ends it before.
func longHook(log string, seconds int) files {
	return oneHook(fmt.Sprintf("#!/bin/sh\necho $$ > %[1]s.pid\necho started >> %[1]s\nsleep %[2]d\necho ended >> %[1]s\n", log, seconds), "location: hook.sh")
}

// waitFor waits until a script has written to a file.
func waitFor(t *testing.T, path string) {
	t.Helper()
	if !waitUntil(20*time.Second, func() bool { info, err := os.Stat(path); return err == nil && info.Size() > 0 }) {
		t.Fatalf("nothing appeared in %s", path)
	}
}

// Killed in the middle of a hook, the agent ends the orphan at the next start, reports code 7, and does not run the hook
// again, even though the service hands the command over once more.
//
// agent.md 16: 114
// agent.md 17: 6
func TestKilledInAHook(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	log := h.path("trace")
	doc := h.put("d-KILL", longHook(log, 600).zip(t))
	agent := h.startProcess()
	if end := h.run("DownloadBundle", doc); end.ErrorCode != 0 {
		t.Fatal(end.Message)
	}
	id := h.send("AfterInstall", doc)
	waitFor(t, log)
	waitFor(t, h.path("root/ongoing-deployment/.d-KILL.hook")) // what a script has done before it is on record nobody can tell
	if err := agent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	agent.Wait() //nolint:errcheck // killed
	pid, err := strconv.Atoi(strings.TrimSpace(readFile(t, log+".pid")))
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(pid, 0) != nil {
		t.Fatal("the script did not outlive its agent, so there is nothing to end")
	}
	h.handOver(h.commandOf(id)) // as a service does that is in doubt

	again := h.startProcess()
	_, end := h.end(id)
	if end.ErrorCode != awsapi.CodeFailedAfterRestart || end.Status != awsapi.CommandStatusFailed {
		t.Errorf("end = %+v, want Failed with code 7", end)
	}
	wantContains(t, "message", end.Message, "Failed: ", "restarted", "its script was still running and was ended")
	if _, err := (script.Group{}).Identify(pid); err == nil {
		t.Error("the orphan was alive when the service was told")
	}
	if got := readFile(t, log); got != "started\n" {
		t.Errorf("trace = %q, want the hook to have run once and not to its end", got)
	}
	h.mustDeploy(h.put("d-NEXT", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t)))
	stopProcess(t, again)
	if left := tree(t, h.path("root/ongoing-deployment")); len(left) != 1 {
		t.Errorf("records left: %v", left)
	}
}

// commandOf returns the command as it was handed over, to hand it over once more.
func (f *fake) commandOf(id string) *awsapi.HostCommand {
	f.mu.Lock()
	defer f.mu.Unlock()
	var serial int
	fmt.Sscanf(id, "command-%d", &serial) //nolint:errcheck // send made it
	for execution := range f.specs {
		parts := strings.Split(execution, "/")
		if parts[3] == strconv.Itoa(serial) {
			return &awsapi.HostCommand{
				HostIdentifier: new(testHost), HostCommandIdentifier: &id, DeploymentExecutionId: &execution, CommandName: &parts[2],
			}
		}
	}
	return nil
}

// Only the newest of several interrupted commands was reported after a crash.
//
// agent.md 16: 112-114
// users.md mistakes: 12
func TestMistake12EveryInterruptedCommandIsReported(t *testing.T) {
	t.Parallel()
	h := newHost(t, newFake(t))
	dir := h.path("root/ongoing-deployment")
	for i, id := range []string{"c-1", "c-2", "c-3"} {
		h.commands[id] = &fakeCommand{}
		writeFile(t, filepath.Join(dir, "d-"+strconv.Itoa(i)), id)
	}
	writeFile(t, filepath.Join(dir, "d-OLD"), "c-old")
	old := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "d-OLD"), old, old); err != nil {
		t.Fatal(err)
	}
	h.start()
	for _, id := range []string{"c-1", "c-2", "c-3"} {
		if _, end := h.end(id); end.ErrorCode != awsapi.CodeFailedAfterRestart {
			t.Errorf("%s ended with %+v, want code 7", id, end)
		}
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, dir); len(left) != 1 {
		t.Errorf("records left: %v", left)
	}
}

// agent.md 16: 110, 111
func TestTracker(t *testing.T) {
	t.Parallel()
	tr := &tracker{dir: filepath.Join(t.TempDir(), "ongoing-deployment"), modes: config.Default().Modes()}
	if pending, err := tr.pending(); err != nil || pending != nil {
		t.Errorf("without a folder: %v, %v", pending, err)
	}
	if err := tr.begin(t.Context(), "d-1", "first"); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(tr.dir, "d-1")); got != "first" {
		t.Errorf("the record holds %q", got)
	}
	group, err := script.Group{}.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.script("d-1", group); err != nil {
		t.Fatal(err)
	}
	pending, err := tr.pending()
	if err != nil || len(pending) != 1 || pending[0].commandID != "first" || pending[0].hook == nil || *pending[0].hook != group {
		t.Errorf("pending = %+v, %v", pending, err)
	}
	// The next command of the deployment may begin before the first has been cleared away.
	if err := tr.begin(t.Context(), "d-1", "second"); err != nil {
		t.Fatal(err)
	}
	if err := tr.end("d-1", "first"); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, filepath.Join(tr.dir, "d-1")); got != "second" {
		t.Errorf("the end of the first command left %q, want the record of the second", got)
	}
	if err := tr.end("d-1", "second"); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, tr.dir); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

// A record torn by the crash must not hide the command.
func TestTornHookRecord(t *testing.T) {
	t.Parallel()
	tr := &tracker{dir: t.TempDir(), modes: config.Default().Modes()}
	if err := tr.begin(t.Context(), "d-1", "id"); err != nil {
		t.Fatal(err)
	}
	whole, err := json.Marshal(script.Group{PGID: 2, BootID: "b", StartTime: 2})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, tr.hookPath("d-1"), string(whole[:10]))
	if pending, err := tr.pending(); err != nil || len(pending) != 1 || pending[0].hook != nil {
		t.Errorf("pending = %+v, %v; want the command without its script", pending, err)
	}
}

// status neither takes another status for an agent nor removes the process file of an agent that is starting, whatever a crash
// has left in it: only the lock beside it counts.
//
// agent.md 16: 117
func TestStatusHasNoSideEffects(t *testing.T) {
	t.Parallel()
	for _, left := range []string{"", "4711\n"} {
		h := newHost(t, newFake(t))
		p := pidFile(h.cfg)
		writeFile(t, p.path, left)
		if _, err := Status(h.cfg); !errors.Is(err, ErrNotRunning) {
			t.Errorf("without a lock: %v, want ErrNotRunning", err)
		}
		writeFile(t, p.lockPath(), "")
		other, err := os.Open(p.lockPath())
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if err := syscall.Flock(int(other.Fd()), syscall.LOCK_SH); err != nil { // another status
			t.Fatal(err)
		}
		if _, err := Status(h.cfg); !errors.Is(err, ErrNotRunning) {
			t.Errorf("beside another status: %v, want ErrNotRunning", err)
		}
		if got := readFile(t, p.path); got != left {
			t.Errorf("the process file holds %q, want it untouched", got)
		}
	}
}

// A folder that is closed for a moment does not fail the command; one that stays closed does, after eight seconds.
func TestRecordIsTriedAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "file")
	writeFile(t, dir, "")
	synctest.Test(t, func(t *testing.T) {
		tr := &tracker{dir: "/sys/kernel", modes: config.Default().Modes()} // not even root makes files there
		start := time.Now()
		err := tr.begin(t.Context(), "d-1", "id")
		if took := time.Since(start); !errors.Is(err, fs.ErrPermission) || took != 8*time.Second {
			t.Errorf("%v after %v; want 8 s for a closed folder", err, took)
		}
		tr.dir = filepath.Join(dir, "below") // another reason is not worth waiting
		start = time.Now()
		if err := tr.begin(t.Context(), "d-1", "id"); err == nil || time.Since(start) > 0 {
			t.Errorf("%v after %v; want an error at once", err, time.Since(start))
		}
	})
}
