//go:build unix

package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/account"
)

// recorder collects what a script wrote. Its lock is only for tests that look before the script has ended.
type recorder struct {
	mu    sync.Mutex
	lines []string
	pgid  int
	wrote chan struct{} // closed at the first line
}

// runRecorded runs the command with a recorder. However the test ends, the group is ended.
func runRecorded(t *testing.T, ctx context.Context, c Command) (Result, *recorder) {
	t.Helper()
	r := record(t, &c)
	return Run(ctx, c), r
}

// record makes the command report to a new recorder.
func record(t *testing.T, c *Command) *recorder {
	r := &recorder{wrote: make(chan struct{})}
	c.Line = func(stream string, line []byte) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.lines) == 0 {
			close(r.wrote)
		}
		r.lines = append(r.lines, stream+": "+string(line))
	}
	c.Started = func(pgid int) {
		r.pgid = pgid
		t.Cleanup(func() { syscall.Kill(-pgid, syscall.SIGKILL) })
	}
	return r
}

// self is a command that runs the named case of the test binary.
func self(t *testing.T, name string) Command {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := []string{childCase + "=" + name}
	if testing.CoverMode() != "" {
		env = append(env, "GOCOVERDIR="+t.TempDir()) // without it the child complains on stderr
	}
	return Command{Path: path, Env: env, Timeout: time.Minute, Grace: 300 * time.Millisecond}
}

// runPastDeadline runs the command and ends its context for the given cause when it has written a line, and with afterExit not
// before the script has exited. A real timeout would have to be guessed for the slowest machine.
func runPastDeadline(t *testing.T, c Command, cause error, afterExit bool) (Result, *recorder) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	r := record(t, &c)
	p, err := start(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Started(p.cmd.Process.Pid)
	p.follow()
	go func() {
		<-r.wrote
		if afterExit {
			<-p.exited
		}
		cancel(cause)
	}()
	return p.wait(ctx), r
}

// shell writes an executable script with the given text.
func shell(t *testing.T, name, text string) Command {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return Command{Path: path, Timeout: 30 * time.Second, Grace: 300 * time.Millisecond}
}

func TestSuccess(t *testing.T) {
	t.Parallel()
	r, got := runRecorded(t, t.Context(), self(t, "hello"))
	if r.Outcome != Succeeded || r.ExitCode != 0 || r.Err != nil || r.Duration <= 0 {
		t.Errorf("result = %+v", r)
	}
	want := map[string]bool{"stdout: out 1": true, "stdout: out 2": true, "stderr: err without newline": true}
	for _, line := range got.lines {
		delete(want, line)
	}
	if len(want) > 0 || len(got.lines) != 3 {
		t.Errorf("lines = %q, missing %v", got.lines, want)
	}
}

func TestWithoutLine(t *testing.T) {
	t.Parallel()
	if r := Run(t.Context(), self(t, "hello")); r.Outcome != Succeeded {
		t.Errorf("result = %+v", r)
	}
}

// agent.md 16: 186
func TestFailure(t *testing.T) {
	t.Parallel()
	r, _ := runRecorded(t, t.Context(), self(t, "exit-3"))
	if r.Outcome != Failed || r.ExitCode != 3 || r.Signal != "" || r.Err != nil {
		t.Errorf("result = %+v, want exit code 3", r)
	}
	r, _ = runRecorded(t, t.Context(), self(t, "kill-itself"))
	if r.Outcome != Failed || r.ExitCode != -1 || r.Signal != "killed" {
		t.Errorf("result = %+v, want signal killed", r)
	}
}

// agent.md 16: 189
func TestStdinIsAtItsEnd(t *testing.T) {
	t.Parallel()
	_, got := runRecorded(t, t.Context(), self(t, "stdin"))
	if diff := cmp.Diff([]string{"stdout: 0 <nil>"}, got.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// user names who runs a script, so that nothing has to be added.
var user = []string{"HOME=/srv/app", "USER=app", "LOGNAME=app", "SHELL=/bin/sh"}

// The agent's own environment can hold the secret key of the host, so nothing of it may reach a hook.
func TestEnvironmentIsExactlyWhatIsGiven(t *testing.T) {
	t.Parallel()
	c := self(t, "environment")
	c.Env = append(append(c.Env, "A=1", "B=with blank"), user...)
	c.ID = "the-id"
	_, got := runRecorded(t, t.Context(), c)
	var want []string
	for _, setting := range append(c.Env, "CODEDEPLOY_HOOK_ID=the-id", "PATH="+defaultPath) {
		want = append(want, "stdout: "+setting)
	}
	if diff := cmp.Diff(want, got.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A service manager starts the agent without HOME, and a script that calls composer, npm or git fails for it.
func TestEnvironmentAlwaysNamesTheUser(t *testing.T) {
	t.Parallel()
	own, err := account.Current()
	if err != nil {
		t.Skipf("the user of the tests has no account: %v", err)
	}
	c := shell(t, "env.sh", "#!/bin/sh\nenv\n")
	c.Env = []string{"SHELL=/bin/rbash", "HOME="}
	_, got := runRecorded(t, t.Context(), c)
	for _, want := range []string{"HOME=" + own.Home, "USER=" + own.Name, "LOGNAME=" + own.Name, "SHELL=/bin/rbash", "PATH=" + defaultPath} {
		if !slices.Contains(got.lines, "stdout: "+want) {
			t.Errorf("the environment %q has no %s", got.lines, want)
		}
	}
	c.Env = nil
	if _, got := runRecorded(t, t.Context(), c); len(got.lines) > 8 { // the five, and what the shell adds: PWD, OLDPWD, _
		t.Errorf("a nil environment became %q", got.lines)
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	c := self(t, "directory")
	c.Dir = t.TempDir()
	_, got := runRecorded(t, t.Context(), c)
	if diff := cmp.Diff([]string{"stdout: " + c.Dir}, got.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOwnProcessGroup(t *testing.T) {
	t.Parallel()
	_, got := runRecorded(t, t.Context(), self(t, "group"))
	want := fmt.Sprintf("stdout: %d %d", got.pgid, got.pgid)
	if diff := cmp.Diff([]string{want}, got.lines); diff != "" {
		t.Errorf("pid and process group (-want +got):\n%s", diff)
	}
}

// A script that runs "sleep 12" with "timeout: 2" ended after 12 s, because the sleep, a child, held the pipe open.
//
// agent.md 16: 182
// users.md mistakes: 4
func TestMistake4TimeoutEndsChildrenThatHoldThePipe(t *testing.T) {
	t.Parallel()
	c := shell(t, "slow.sh", "#!/bin/sh\necho begin\nsleep 60\necho end\n")
	c.Timeout = time.Second
	r, got := runRecorded(t, t.Context(), c)
	if r.Outcome != TimedOut || r.Duration > 30*time.Second {
		t.Errorf("result = %+v, want TimedOut long before the sleep ends", r)
	}
	if diff := cmp.Diff([]string{"stdout: begin"}, got.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if groupRuns(got.pgid) {
		t.Error("the group still runs")
	}
}

// agent.md 16: 182
func TestTimeoutLetsTheScriptCleanUp(t *testing.T) {
	t.Parallel()
	c := self(t, "end-on-term")
	c.Grace = time.Minute
	begin := time.Now()
	r, got := runPastDeadline(t, c, errDeadline, false)
	if r.Outcome != TimedOut || r.ExitCode != 7 || time.Since(begin) > 30*time.Second {
		t.Errorf("result = %+v, want TimedOut with exit code 7 before the grace is over", r)
	}
	if diff := cmp.Diff([]string{"stdout: ready", "stdout: cleaned up"}, got.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// agent.md 16: 183
func TestTimeoutKillsWhatIgnoresTerm(t *testing.T) {
	t.Parallel()
	if DefaultGrace != 5*time.Second { // the tests cannot wait for it
		t.Errorf("KILL comes %v after TERM", DefaultGrace)
	}
	for _, name := range []string{"ignore-term", "child-ignores-term"} {
		r, got := runPastDeadline(t, self(t, name), errDeadline, false)
		if r.Outcome != TimedOut || r.Signal == "" {
			t.Errorf("%s: result = %+v, want TimedOut with a signal", name, r)
		}
		if groupRuns(got.pgid) {
			t.Errorf("%s: the group still runs", name)
		}
	}
}

// agent.md 16: 184
func TestOutputsOpenNamesTheHolder(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{Stdout, Stderr} {
		r, got := runPastDeadline(t, self(t, "leak-"+stream), errDeadline, true)
		if r.Outcome != OutputsOpen || r.Stream != stream || r.ExitCode != 0 {
			t.Errorf("%s: result = %+v", stream, r)
		}
		if len(got.lines) != 1 {
			t.Errorf("%s: lines = %q", stream, got.lines)
		}
		if !groupRuns(got.pgid) {
			t.Errorf("%s: the background process was ended", stream)
		}
		if runtime.GOOS == "linux" && (len(r.Holders) != 1 || !strings.HasPrefix(r.Holders[0], "script.test (")) {
			t.Errorf("%s: holders = %q, want the one process that was left behind", stream, r.Holders)
		}
	}
}

// A daemon that redirected its output must not delay the deployment at all.
//
// agent.md 16: 185
func TestRedirectedDaemonDoesNotDelay(t *testing.T) {
	t.Parallel()
	r, got := runRecorded(t, t.Context(), self(t, "daemon"))
	if r.Outcome != Succeeded || r.Duration > 20*time.Second {
		t.Errorf("result = %+v", r)
	}
	if !groupRuns(got.pgid) {
		t.Error("the daemon was ended")
	}
}

func TestContextEndsTheScript(t *testing.T) {
	t.Parallel()
	reason := errors.New("the agent stops")
	for name, afterExit := range map[string]bool{"sleep": false, "leak-stdout": true} {
		r, got := runPastDeadline(t, self(t, name), reason, afterExit)
		if r.Outcome != Failed || !errors.Is(r.Err, reason) {
			t.Errorf("%s: result = %+v, want Failed with the cause", name, r)
		}
		if groupRuns(got.pgid) {
			t.Errorf("%s: the group still runs", name)
		}
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	if r := Run(ctx, self(t, "hello")); r.Outcome != NotStarted || !errors.Is(r.Err, reason) {
		t.Errorf("result = %+v, want NotStarted with the cause", r)
	}
}

// The caller's own deadline is not the script's timeout.
func TestCallersDeadlineIsNoTimeout(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r, _ := runRecorded(t, ctx, self(t, "sleep"))
	if r.Outcome != Failed || !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Errorf("result = %+v, want Failed with DeadlineExceeded", r)
	}
}

func TestPathWithSpaces(t *testing.T) {
	t.Parallel()
	r, got := runRecorded(t, t.Context(), shell(t, "my script $HOME;.sh", "#!/bin/sh\necho ran\n"))
	if r.Outcome != Succeeded || len(got.lines) != 1 {
		t.Errorf("result = %+v, %q", r, got.lines)
	}
}

// agent.md 16: 191
func TestScriptWithoutShebangRunsUnderSh(t *testing.T) {
	t.Parallel()
	r, got := runRecorded(t, t.Context(), shell(t, "plain script", "echo \"$0\"; exit 4\n"))
	if r.Outcome != Failed || r.ExitCode != 4 || len(got.lines) != 1 || !strings.HasSuffix(got.lines[0], "plain script") {
		t.Errorf("result = %+v, %q", r, got.lines)
	}
}

// A process forked while the agent still had the script open for writing makes the kernel refuse it for a moment.
func TestBusyScriptIsTriedAgain(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux refuses a file that is open for writing")
	}
	c := shell(t, "busy.sh", "#!/bin/sh\necho ran\n")
	f, err := os.OpenFile(c.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(busyPause, func() { f.Close() })
	if r, got := runRecorded(t, t.Context(), c); r.Outcome != Succeeded || len(got.lines) != 1 {
		t.Errorf("result = %+v, %q", r, got.lines)
	}
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	directory := Command{Path: t.TempDir()}
	notExecutable := shell(t, "a.sh", "#!/bin/sh\n")
	if err := os.Chmod(notExecutable.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	wrongFolder := shell(t, "b.sh", "#!/bin/sh\n")
	wrongFolder.Dir = "/no/such/folder"
	unknownUser := shell(t, "c.sh", "#!/bin/sh\n")
	unknownUser.RunAs = "grapnel-nobody"
	noSudo := shell(t, "d.sh", "#!/bin/sh\n")
	noSudo.Sudo, noSudo.Env = true, []string{"PATH=/no/such/folder"}
	for name, c := range map[string]struct {
		command Command
		want    string
	}{
		"directory":           {directory, "is a folder, not a script"},
		"missing":             {Command{Path: "/no/such/script"}, "no such file"},
		"not executable":      {notExecutable, "permission denied"},
		"missing interpreter": {shell(t, "e.sh", "#! /no/such/shell -e\n"), "the interpreter of "},
		"interpreter's name":  {shell(t, "e.sh", "#! /no/such/shell -e\n"), ", /no/such/shell, is not on this host"},
		"Windows line ends":   {shell(t, "f.sh", "#!/bin/sh\r\necho\r\n"), "Unix line endings"},
		"working folder":      {wrongFolder, "working folder"},
		"unknown user":        {unknownUser, `user "grapnel-nobody" of 'runas' is unknown on this host`},
		"no sudo":             {noSudo, "install sudo, or remove 'sudo: true'"},
	} {
		r := Run(t.Context(), c.command)
		if r.Outcome != NotStarted || r.ExitCode != -1 || r.Err == nil || !strings.Contains(r.Err.Error(), c.want) {
			t.Errorf("%s: result = %+v, want NotStarted with %q", name, r, c.want)
		}
	}
}

// Row 8 of users.md: memory grows with the output. 200 MB without a newline must need no more than a script
// that writes nothing.
//
// agent.md 17: 11
func TestLongLineNeedsConstantMemory(t *testing.T) {
	t.Parallel()
	c := self(t, "no-newline")
	var size, longest int
	c.Line = func(_ string, line []byte) {
		size += len(line)
		longest = max(longest, len(line))
	}
	allocated := totalAllocated()
	r := Run(t.Context(), c)
	if r.Outcome != Succeeded || size != 200<<20 || longest > MaxLine {
		t.Errorf("result = %+v, %d bytes, longest piece %d", r, size, longest)
	}
	if grown := totalAllocated() - allocated; grown > 50<<20 { // other tests run at the same time
		t.Errorf("%d bytes were allocated for it", grown)
	}
}

func totalAllocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// agent.md 17: 10
func TestLinesArriveInOrderAndWhole(t *testing.T) {
	t.Parallel()
	c := self(t, "many-lines")
	next := 0
	c.Line = func(_ string, line []byte) {
		if len(line) != 99 || string(line[:8]) != fmt.Sprintf("%08d", next) {
			t.Errorf("line %d is %q", next, line)
		}
		next++
	}
	if r := Run(t.Context(), c); r.Outcome != Succeeded || next != 200_000 {
		t.Errorf("result = %+v after %d lines", r, next)
	}
}

// worldReadable returns a temporary folder that other users can reach, which t.TempDir need not be.
func worldReadable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "grapnel-script-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
