package agent

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

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

// agent.md 16: 85, 87, 179, 181, 182, 184-186, 189-191
// agent.md 17: 12
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
		{"cannot be made executable", none, []string{"location: " + strings.Repeat("../", 30) + "proc/self/status"}, 2,
			[]string{"proc/self/status cannot be made executable", "operation not permitted"}, "Script - ../../"},
		{"exit code", "#!/bin/sh\necho broken >&2\nexit 7\n", []string{"location: hook.sh"}, 4, []string{"hook.sh failed with exit code 7"}, "[stderr]broken\n"},
		{"a signal", "#!/bin/sh\nkill -KILL $$\n", []string{"location: hook.sh"}, 4, []string{"ended by signal killed"}, ""},
		{"a directory", none, []string{"location: folder"}, 4, []string{"folder could not be started"}, ""},
		{"output left open", "#!/bin/sh\nsleep 12 &\nsleep 12 &\necho started\n", []string{"location: hook.sh", "timeout: 1"}, 6,
			[]string{"stdout was still open after 1 seconds, held by sleep. Redirect", "2>&1 &"}, "[stdout]started\n"},
		{"errors left open", "#!/bin/sh\nsleep 12 >/dev/null &\n", []string{"location: hook.sh", "timeout: 1"}, 6,
			[]string{"stderr was still open after 1 seconds"}, ""},
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
			script := strings.TrimPrefix(test.entry[0], "location: ")
			if test.code == 0 {
				script = ""
			}
			if end.ScriptName != script {
				t.Errorf("script = %q, want %q", end.ScriptName, script)
			}
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
//
// agent.md 16: 179
func TestMissingScriptFailsBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app := h.path("app")
	revision := oneHook("#!/bin/sh\n", "location: hok.sh\n    - location: other.sh")
	revision["appspec.yml"] += "files:\n  - source: hook.sh\n    destination: " + app + "\n"
	end := h.deploy(h.put("d-EARLY", revision.zip(t)))["Install"]
	if end.ErrorCode != awsapi.CodeScriptMissing || end.ScriptName != "hok.sh" {
		t.Errorf("Install = %+v, want code %d", end, awsapi.CodeScriptMissing)
	}
	wantContains(t, "message", end.Message, `Did you mean "hook.sh"`, "AfterInstall would fail, so nothing was changed on this host; also: script other.sh")
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

// runas was parsed and ignored.
//
// agent.md 16: 186
// users.md mistakes: 5
func TestMistake5RunAs(t *testing.T) {
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

// The first 2 KB of the output were kept instead of the last.
//
// agent.md 16: 87, 194
// agent.md 17: 10
// users.md mistakes: 7
func TestMistake7ReportHasTheLastLines(t *testing.T) {
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

// agent.md 16: 188
// agent.md 17: 13
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

// Scripts run in the AppSpec's order, and the first that fails ends the event. One that was packed without its execute bit
// gets it.
//
// agent.md 16: 180, 193
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

// A broken revision blocks every later deployment unless one knows the way past it.
//
// agent.md 16: 178
func TestFailureOfThePreviousRevisionSaysSo(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	first := files{"appspec.yml": "version: 0.0\nos: linux\nhooks:\n  ApplicationStop:\n    - location: stop.sh\n", "stop.sh": "#!/bin/sh\nexit 9\n"}
	h.mustDeploy(h.put("d-FIRST", first.zip(t)))
	second := files{"appspec.yml": "version: 0.0\nos: linux\n"}
	end := h.run("ApplicationStop", h.put("d-SECOND", second.zip(t)))
	wantContains(t, "message", end.Message, "exit code 9", h.archive("d-FIRST"), "--ignore-application-stop-failures")

	wantLost := func(deployment, event, want string) {
		t.Helper()
		end := h.run(event, h.put(deployment, second.zip(t)))
		if end.ErrorCode != awsapi.CodeUnknownError {
			t.Errorf("code = %d, want 5 when the previous revision is gone", end.ErrorCode)
		}
		wantContains(t, "message", end.Message, want, h.archive("d-FIRST"), "--ignore-application-stop-failures")
	}
	if err := os.Rename(h.archive("d-FIRST")+"/appspec.yml", h.archive("d-FIRST")+"/lost.yml"); err != nil {
		t.Fatal(err)
	}
	wantLost("d-THIRD", "ApplicationStop", "no AppSpec file")
	if err := os.RemoveAll(h.archive("d-FIRST")); err != nil {
		t.Fatal(err)
	}
	wantLost("d-FOURTH", "BeforeBlockTraffic", "no unpacked revision at ")
}

// tracing is a revision that says for each of its hooks what runs and of which revision.
func tracing(log, revision string, events ...string) files {
	spec := "version: 0.0\nos: linux\nhooks:\n"
	for _, event := range events {
		spec += "  " + event + ":\n    - location: trace.sh\n"
	}
	return files{"appspec.yml": spec, "trace.sh": "#!/bin/sh\necho \"$LIFECYCLE_EVENT " + revision + "\" | tee -a " + log + "\n"}
}

// Whose scripts an event runs: on the first deployment there is nobody's for what comes before the installation, later it is
// the last successful revision, and when a blue/green deployment is rolled back, the revision that came last, or the last
// successful one again for what follows. The output goes to the log of the deployment that runs them.
//
// agent.md 16: 175-177, 196
func TestRevisionOfEachEvent(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	all := []string{"BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart",
		"BeforeAllowTraffic", "AfterAllowTraffic", "ValidateService"}
	before := all[:3]
	trace := func(doc specDoc, events ...string) string {
		t.Helper()
		writeFile(t, log, "")
		for _, event := range events {
			if end := h.run(event, doc); end.Status == awsapi.CommandStatusFailed {
				t.Fatalf("%s: %+v", event, end)
			}
		}
		return readFile(t, log)
	}
	good := h.put("d-GOOD", tracing(log, "good", all...).zip(t))
	if got := trace(good, before...); got != "" {
		t.Errorf("before the first revision was there, these scripts ran:\n%s", got)
	}
	for _, event := range []string{"DownloadBundle", "Install"} {
		h.run(event, good)
	}
	bad := h.put("d-BAD", tracing(log, "bad", all...).zip(t))
	if diff := cmp.Diff("BeforeBlockTraffic good\nAfterBlockTraffic good\nApplicationStop good\n", trace(bad, before...)); diff != "" {
		t.Errorf("before the second (-want +got):\n%s", diff)
	}
	for _, deployment := range []string{"d-GOOD", "d-BAD"} {
		path := filepath.Join(filepath.Dir(h.archive(deployment)), "logs", "scripts.log")
		if got, want := exists(path) && strings.Contains(readFile(t, path), "[stdout]ApplicationStop good\n"), deployment == "d-BAD"; got != want {
			t.Errorf("the log of %s has the output: %v, want %v", deployment, got, want)
		}
	}
	h.run("DownloadBundle", bad) // the most recent one, and never installed
	if diff := cmp.Diff("BeforeInstall bad\nAfterInstall bad\nApplicationStart bad\nBeforeAllowTraffic bad\nAfterAllowTraffic bad\nValidateService bad\n",
		trace(bad, all[3:]...)); diff != "" {
		t.Errorf("of the second (-want +got):\n%s", diff)
	}
	back := h.put("d-BACK", nil).with("DeploymentCreator", "codeDeployRollback").with("DeploymentType", "BLUE_GREEN")
	if diff := cmp.Diff("BeforeBlockTraffic bad\nAfterBlockTraffic bad\nApplicationStop good\nBeforeAllowTraffic good\nAfterAllowTraffic good\n",
		trace(back, append(before, "BeforeAllowTraffic", "AfterAllowTraffic")...)); diff != "" {
		t.Errorf("rolling back (-want +got):\n%s", diff)
	}
}

// A service may have an event run although it was told that there is nothing to do.
//
// agent.md 16: 81, 197
func TestEventWithoutScriptsWritesNoLog(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	doc := h.put("d-QUIET", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t))
	h.run("DownloadBundle", doc)
	h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation == "PutHostCommandAcknowledgement" {
			io.WriteString(w, "{}") //nolint:errcheck // the agent will show it
		}
		return operation == "PutHostCommandAcknowledgement"
	})
	if end := h.run("AfterInstall", doc); end.Status != awsapi.CommandStatusSucceeded {
		t.Errorf("end = %+v, want success", end)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(filepath.Dir(h.archive("d-QUIET")), "logs"), h.path("root/deployment-logs")} {
		if exists(path) {
			t.Errorf("%s is there although no script ran", path)
		}
	}
}

// Events of one's own are run like any other when the service lists them, and must then be in the AppSpec.
//
// agent.md 16: 108, 139
// agent.md 17: 15
func TestEventsOfOnesOwn(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	doc := h.put("d-OWN", tracing(log, "own", "AfterInstall", "WarmUp").zip(t))
	own := doc.with("AllPossibleLifecycleEvents", []string{"DownloadBundle", "Install", "AfterInstall", "WarmUp"})
	for _, event := range []string{"DownloadBundle", "Install", "AfterInstall", "WarmUp"} {
		if end := h.run(event, own); end.Status != awsapi.CommandStatusSucceeded {
			t.Fatalf("%s: %+v", event, end)
		}
	}
	if got := readFile(t, log); got != "AfterInstall own\nWarmUp own\n" {
		t.Errorf("trace = %q", got)
	}
	for _, test := range []struct {
		events []string
		want   string
	}{
		{[]string{}, ""}, // as if nothing were said
		{[]string{"DownloadBundle", "Install", "AfterInstall"}, "hooks for events that this deployment does not have: WarmUp"},
		{[]string{"DownloadBundle", "Install", "AfterInstall", "WarmUp", "CoolDown"}, "no hooks for the custom events CoolDown"},
	} {
		end := h.run("Install", doc.with("AllPossibleLifecycleEvents", test.events))
		if failed := end.Status == awsapi.CommandStatusFailed; failed != (test.want != "") {
			t.Errorf("with the events %q Install ended with %+v", test.events, end)
		}
		wantContains(t, "message", end.Message, test.want)
	}
}

// The AppSpec file may have another name, for every command.
//
// agent.md 16: 107, 140
func TestAppSpecOfAnotherName(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	log := h.path("trace")
	named := tracing(log, "named", "AfterInstall")
	named["ops/deploy.yml"] = named["appspec.yml"]
	named["appspec.yml"] = "nothing of use\n"
	h.mustDeploy(h.put("d-NAMED", named.zip(t)).with("AppSpecFilename", "ops/deploy.yml"))

	other := tracing(log, "other", "AfterInstall")
	other["appspec.yaml"] = other["appspec.yml"]
	delete(other, "appspec.yml")
	h.mustDeploy(h.put("d-OTHER", other.zip(t)).with("DeploymentGroupId", "group-2"))
	if got := readFile(t, log); got != "AfterInstall named\nAfterInstall other\n" {
		t.Errorf("trace = %q", got)
	}
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
//
// agent.md 17: 10, 11
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
//
// agent.md 16: 181
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
