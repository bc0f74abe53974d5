package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"grapnel/internal/awsapi"
)

// oneHook is a revision whose only hook is AfterInstall, with the given lines of its entry.
func oneHook(script string, entry ...string) files {
	spec := "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - " + strings.Join(entry, "\n      ") + "\n"
	return files{"appspec.yml": spec, "hook.sh": script}
}

// afterInstall downloads a revision and runs its AfterInstall event.
func (h *host) afterInstall(deployment string, revision files) completion {
	h.t.Helper()
	doc := h.put(deployment, revision.zip(h.t))
	if end := h.run("DownloadBundle", doc); end.Status != awsapi.CommandStatusSucceeded {
		h.t.Fatalf("DownloadBundle: %+v", end)
	}
	return h.run("AfterInstall", doc)
}

func TestHowHooksEnd(t *testing.T) {
	t.Parallel()
	const none = "\x00" // no such file in the bundle
	tests := []struct {
		name    string
		script  string
		entry   []string
		code    awsapi.DiagnosticsCode
		message []string
		log     string
	}{
		{"success", "#!/bin/sh\nexit 0\n", []string{"location: hook.sh"}, 0, []string{"Succeeded: "}, ""},
		{"missing", none, []string{"location: scripts/gone.sh"}, 1,
			[]string{"scripts/gone.sh (AppSpec line 5) does not exist", "root/group-1/d-MISSING/deployment-archive/scripts/gone.sh"}, "Script - scripts/gone.sh\n"},
		{"timed out", "#!/bin/sh\necho before\nsleep 12\n", []string{"location: hook.sh", "timeout: 1"}, 3,
			[]string{"did not end within 1 seconds", "AppSpec line 5"}, "[stdout]before\n"},
		{"exit code", "#!/bin/sh\necho broken >&2\nexit 7\n", []string{"location: hook.sh"}, 4, []string{"hook.sh failed with exit code 7"}, "[stderr]broken\n"},
		{"a signal", "#!/bin/sh\nkill -KILL $$\n", []string{"location: hook.sh"}, 4, []string{"ended by signal killed"}, ""},
		{"a directory", none, []string{"location: folder"}, 4, []string{"folder could not be started"}, ""},
		{"output left open", "#!/bin/sh\nsleep 12 &\necho started\n", []string{"location: hook.sh", "timeout: 1"}, 6,
			[]string{"stdout was still open after 1 seconds", "sleep (", "2>&1 &"}, "[stdout]started\n"},
		{"background child with its outputs redirected", "#!/bin/sh\nsleep 1 >/dev/null 2>&1 &\n", []string{"location: hook.sh", "timeout: 5"}, 0, nil, ""},
		{"no shebang", "echo from sh; exit 3\n", []string{"location: hook.sh"}, 4, []string{"exit code 3"}, "[stdout]from sh\n"},
		{"output that is no UTF-8", "#!/bin/sh\nprintf 'caf\\351\\n'; exit 1\n", []string{"location: hook.sh"}, 4, nil, "[stdout]caf\uFFFD\n"},
		{"a leading slash", "#!/bin/sh\nexit 0\n", []string{"location: /hook.sh"}, 0, nil, ""},
		{"nothing on stdin", "#!/bin/sh\ncat; echo end\n", []string{"location: hook.sh", "timeout: 5"}, 0, nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			revision := oneHook(test.script, test.entry...)
			if test.script == none {
				delete(revision, "hook.sh")
				revision["folder/file"] = ""
			}
			end := h.afterInstall("d-"+strings.ToUpper(strings.Fields(test.name)[len(strings.Fields(test.name))-1]), revision)
			if end.ErrorCode != test.code {
				t.Errorf("code = %d, want %d (%s)", end.ErrorCode, test.code, end.Message)
			}
			if failed := end.Status == awsapi.CommandStatusFailed; failed != (test.code != 0) {
				t.Errorf("status = %s with code %d", end.Status, end.ErrorCode)
			}
			wantContains(t, "message", end.Message, test.message...)
			wantContains(t, "log", end.Log, test.log)
		})
	}
}

// users.md: a learner lost most tries to these.
func TestMessagesForScriptsThatAreNotThere(t *testing.T) {
	t.Parallel()
	const script = "#!/bin/sh\n"
	tests := []struct{ name, location, file, want string }{
		{"ABSOLUTE", "/var/app/current/start.sh", "start.sh", `does not exist. The bundle has "start.sh": write "location: start.sh". A location is looked up below the archive, the unpacked bundle, also when it begins with "/".`},
		{"FOLDER", "/var/app/current/scripts/start.sh", "scripts/start.sh", `does not exist. The bundle has "scripts/start.sh": write "location: scripts/start.sh". `},
		{"ELSEWHERE", "start.sh", "scripts/start.sh", `does not exist. The bundle has "scripts/start.sh": write "location: scripts/start.sh". `},
		{"TYPO", "start_aplication.sh", "start_application.sh", `does not exist. Did you mean "start_application.sh", which is in the bundle?`},
		{"CASE", "Start.sh", "start.sh", `does not exist. Did you mean "start.sh", which is in the bundle?`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			revision := oneHook("", "location: "+test.location)
			delete(revision, "hook.sh")
			revision[test.file] = script
			end := h.afterInstall("d-"+test.name, revision)
			if end.ErrorCode != awsapi.CodeScriptMissing {
				t.Errorf("code = %d, want %d", end.ErrorCode, awsapi.CodeScriptMissing)
			}
			wantContains(t, "message", end.Message, test.want)
		})
	}
}

// A script that is not in the bundle fails Install with the code of its own event, before anything on the host is changed.
func TestMissingScriptFailsBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app := h.path("app")
	revision := oneHook("#!/bin/sh\n", "location: hok.sh")
	revision["appspec.yml"] += "files:\n  - source: hook.sh\n    destination: " + app + "\n"
	end := h.deploy(h.put("d-EARLY", revision.zip(t)))["Install"]
	if end.ErrorCode != awsapi.CodeScriptMissing || end.ScriptName != "hok.sh" {
		t.Errorf("Install = %+v, want code %d", end, awsapi.CodeScriptMissing)
	}
	wantContains(t, "message", end.Message, `Did you mean "hook.sh"`, "AfterInstall would fail, so nothing was changed on this host")
	if exists(app) {
		t.Error("the application's folder was made")
	}
}

// What an earlier script may still bring is a doubt, told in the note of a successful Install; what the very next script
// needs is not.
func TestPreflightOfUsersAndInterpreters(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	spec := func(first, second string) files {
		return files{
			"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a.sh\n  ApplicationStart:\n    - location: b.sh\n",
			"a.sh":        first, "b.sh": second,
		}
	}
	const fine, missing = "#!/bin/sh\n", "#!/usr/bin/env no-such-interpreter\n"
	for i, test := range []struct {
		revision files
		code     awsapi.DiagnosticsCode
		want     string
	}{
		{spec(missing, fine), awsapi.CodeUnknownError, `AfterInstall would fail, so nothing was changed on this host: the interpreter of script a.sh, "no-such-interpreter"`},
		{spec(fine, missing), awsapi.CodeSuccess, `ApplicationStart may fail: the interpreter of script b.sh, "no-such-interpreter"`},
		{oneHook(fine, "location: hook.sh\n      runas: no-such-user"), awsapi.CodeUnknownError, `runas: there is no user "no-such-user"`},
	} {
		doc := h.put(fmt.Sprintf("d-%d", i), test.revision.zip(t))
		h.run("DownloadBundle", doc)
		end := h.run("Install", doc)
		if end.ErrorCode != test.code {
			t.Errorf("%d: code %d, want %d", i, end.ErrorCode, test.code)
		}
		wantContains(t, "message", end.Message, test.want)
	}
}

// What the learner of issue 2 ended with: a script that Install put somewhere else, reached from the archive.
func TestScriptOutsideTheArchive(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app, log := h.path("current"), h.path("trace")
	up := strings.Repeat("../", strings.Count(h.archive("d-OUT"), "/"))
	revision := oneHook(trace(log, "outside"), "location: "+strings.TrimSuffix(up, "/")+app+"/hook.sh")
	revision["appspec.yml"] += "files:\n  - source: /\n    destination: " + app + "\n"
	h.mustDeploy(h.put("d-OUT", revision.zip(t)))
	if got := readFile(t, log); got != "AfterInstall outside\n" {
		t.Errorf("trace = %q, want the script to have run", got)
	}
	wantContains(t, "agent's log", h.log.String(), "the script lies outside the bundle")
}

// Mistake 5 of users.md: runas parsed and ignored.
func TestRunAs(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run the tests as root to try runas")
	}
	// The temporary folder of a test is closed to other users.
	dir, err := os.MkdirTemp("", "runas")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	h := newHost(t, newFake(t))
	h.cfg.RootDir = filepath.Join(dir, "root")
	h.start()
	const user = "daemon" // every system has it, without a login shell
	out := filepath.Join(dir, "who")
	end := h.afterInstall("d-RUNAS", oneHook("#!/bin/sh\nid -un > "+out+"\n", "location: hook.sh", "runas: "+user))
	if end.ErrorCode != 0 {
		t.Fatal(end.Message)
	}
	if got := strings.TrimSpace(readFile(t, out)); got != user {
		t.Errorf("the script ran as %q, want %q", got, user)
	}
	failing := h.afterInstall("d-RUNASFAIL", oneHook("#!/bin/sh\nexit 5\n", "location: hook.sh", "runas: "+user))
	wantContains(t, "message", failing.Message, "run as user "+user, "exit code 5")
}

// Mistake 7 of users.md: the first 2 KB of the output kept instead of the last.
func TestReportHasTheLastLines(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	end := h.afterInstall("d-TAIL", oneHook("#!/bin/sh\ni=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done; echo the reason >&2; exit 1\n", "location: hook.sh"))
	if len(end.Log) >= 2048 || len(end.Log) < 1900 {
		t.Errorf("the log has %d bytes, want nearly 2048", len(end.Log))
	}
	wantContains(t, "log", end.Log, "[stdout]line 999\n", "[stderr]the reason\n")
	if strings.Contains(end.Log, "line 1\n") {
		t.Error("the log holds the first lines")
	}
	whole := readFile(t, filepath.Join(filepath.Dir(h.archive("d-TAIL")), "logs", "scripts.log"))
	if n := strings.Count(whole, "[stdout]line "); n != 1000 {
		t.Errorf("scripts.log holds %d lines, want all 1000", n)
	}
}

func TestHookEnvironment(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	out := h.path("env")
	if end := h.afterInstall("d-ENV", oneHook("#!/bin/sh\nenv > "+out+"\n", "location: hook.sh")); end.ErrorCode != 0 {
		t.Fatal(end.Message)
	}
	env := readFile(t, out)
	wantContains(t, "environment", "\n"+env, "\nLIFECYCLE_EVENT=AfterInstall\n", "\nDEPLOYMENT_ID=d-ENV\n", "\nAPPLICATION_NAME=shop\n",
		"\nDEPLOYMENT_GROUP_NAME=web\n", "\nDEPLOYMENT_GROUP_ID=group-1\n", "\nBUNDLE_BUCKET=bundles\n", "\nBUNDLE_KEY=d-ENV.zip\n",
		"\nBUNDLE_ETAG=", "\nAWS_REGION=", "\nPATH=")
	for _, absent := range []string{"BUNDLE_VERSION=", "hush", "AWS_SECRET"} {
		if strings.Contains(env, absent) {
			t.Errorf("the environment has %s:\n%s", absent, env)
		}
	}
}

// Scripts run in the AppSpec's order, and the first that fails ends the event.
func TestFirstFailingScriptEndsTheEvent(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	revision := files{
		"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a b.sh\n    - location: fails.sh\n    - location: never.sh\n",
		"a b.sh":      "echo a >> " + log + "\n", // neither executable nor with an interpreter
		"fails.sh":    "#!/bin/sh\necho b >> " + log + "; exit 1\n",
		"never.sh":    "#!/bin/sh\necho c >> " + log + "\n",
	}
	if end := h.afterInstall("d-ORDER", revision); end.ScriptName != "fails.sh" {
		t.Errorf("the failing script is %q, want fails.sh", end.ScriptName)
	}
	if got := readFile(t, log); got != "a\nb\n" {
		t.Errorf("trace = %q, want the first two scripts", got)
	}
	wantContains(t, "agent's log", h.log.String(), "the script was not executable and is made so")
}

// A broken script of the old revision blocks every later deployment unless one knows the way past it.
func TestFailureOfThePreviousRevisionSaysSo(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	first := files{"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n", "stop.sh": "#!/bin/sh\nexit 9\n"}
	h.mustDeploy(h.put("d-FIRST", first.zip(t)))
	second := files{"appspec.yml": "version: 0.0\nos: linux\n"}
	end := h.run("ApplicationStop", h.put("d-SECOND", second.zip(t)))
	wantContains(t, "message", end.Message, "exit code 9", h.archive("d-FIRST"), "--ignore-application-stop-failures")

	if err := os.RemoveAll(h.archive("d-FIRST")); err != nil {
		t.Fatal(err)
	}
	end = h.run("BeforeBlockTraffic", h.put("d-THIRD", second.zip(t)))
	if end.ErrorCode != awsapi.CodeUnknownError {
		t.Errorf("code = %d, want 5 when the previous revision is gone", end.ErrorCode)
	}
	wantContains(t, "message", end.Message, "no unpacked revision at "+h.archive("d-FIRST"), "--ignore-application-stop-failures")
}

func TestUnsupportedCommand(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	// A command that is no hook has nothing to run, so the service ends it.
	if end := h.run("UpdateDeploymentAgent", h.put("d-OTHER", nil)); end.Status != "noop" {
		t.Errorf("end = %+v, want a no-op", end)
	}
}

// 200 MB of output must neither take the agent's memory nor its time; this is a tenth of it.
func TestMuchOutput(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	script := fmt.Sprintf("#!/bin/sh\nyes '%s' | head -c 20000000\nhead -c 2000000 /dev/zero | tr '\\0' x\nexit 1\n", strings.Repeat("x", 99))
	end := h.afterInstall("d-MUCH", oneHook(script, "location: hook.sh", "timeout: 30"))
	if end.ErrorCode != awsapi.CodeScriptFailed || len(end.Log) >= 2048 {
		t.Errorf("end = %d with %d bytes of log: %s", end.ErrorCode, len(end.Log), end.Message)
	}
	info, err := os.Stat(filepath.Join(filepath.Dir(h.archive("d-MUCH")), "logs", "scripts.log"))
	if err != nil || info.Size() < 22000000 {
		t.Errorf("scripts.log: %v, %v; want all of the output", info, err)
	}
}

// A misspelt event is not refused, because other agents do not either; but it is said where the deployment is looked at.
func TestHooksThatNeverRunAreNamed(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	revision := oneHook("#!/bin/sh\n", "location: hook.sh")
	revision["appspec.yml"] = strings.Replace(revision["appspec.yml"], "AfterInstall", "AfterInstal", 1)
	doc := h.put("d-TYPO", revision.zip(t))
	h.run("DownloadBundle", doc)
	end := h.run("Install", doc)
	if end.ErrorCode != 0 || !strings.Contains(end.Message, "AfterInstal (did you mean AfterInstall?)") {
		t.Errorf("Install ended with %+v", end)
	}
}

// A location may leave the bundle, so it may lead to anything; but the modes of devices and pipes are not the agent's to
// change.
func TestDevicesAreNotMadeExecutable(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	end := h.afterInstall("d-PIPE", oneHook("", "location: "+strings.Repeat("../", 20)+pipe))
	if end.ErrorCode != awsapi.CodeScriptNotExecutable || !strings.Contains(end.Message, "a pipe") {
		t.Errorf("the event ended with %+v", end)
	}
	if info, err := os.Stat(pipe); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the pipe has mode %v, %v", info.Mode(), err)
	}
}
