package agent

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
)

// trace is a script that appends its event and the words given to a file.
func trace(path, words string) string {
	return fmt.Sprintf("#!/bin/sh\necho \"$LIFECYCLE_EVENT %s\" >> %s\n", words, path)
}

// allHooks is an AppSpec whose events all run trace.sh.
func allHooks(destination string) string {
	spec := "version: 0.0\nos: linux\nfiles:\n  - source: /\n    destination: " + destination + "\nhooks:\n"
	for _, event := range []string{"ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"} {
		spec += "  " + event + ":\n    - location: trace.sh\n      timeout: 30\n"
	}
	return spec
}

// The first deployment of a group has no revision to stop; the second runs the first one's script for it.
//
// agent.md 16: 85, 175, 176
func TestSecondDeploymentStopsWithTheFirstRevisionsScript(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app, log := h.path("app"), h.path("trace")
	for _, revision := range []string{"one", "two"} {
		doc := h.put("d-"+strings.ToUpper(revision), files{
			"appspec.yml": allHooks(app), "trace.sh": trace(log, revision), revision + ".txt": revision,
		}.zip(t))
		ends := h.mustDeploy(doc)
		if revision == "one" && ends["ApplicationStop"].Status != "noop" {
			t.Errorf("ApplicationStop of the first deployment = %v, want a no-op", ends["ApplicationStop"])
		}
		if want := (completion{awsapi.CommandStatusSucceeded, awsapi.CompletionDiagnostics{Message: "Succeeded: "}}); revision == "two" && ends["ApplicationStop"] != want {
			t.Errorf("ApplicationStop of the second deployment = %+v, want %+v", ends["ApplicationStop"], want)
		}
	}
	want := `BeforeInstall one
AfterInstall one
ApplicationStart one
ValidateService one
ApplicationStop one
BeforeInstall two
AfterInstall two
ApplicationStart two
ValidateService two
`
	if diff := cmp.Diff(want, readFile(t, log)); diff != "" {
		t.Errorf("scripts that ran (-want +got):\n%s", diff)
	}
	if exists(h.path("app", "one.txt")) || readFile(t, h.path("app", "two.txt")) != "two" {
		entries, _ := os.ReadDir(app)
		t.Errorf("the application's folder holds %v, want the second revision only", entries)
	}
}

// agent.md 16: 168, 195
func TestLayoutOnDisk(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.mustDeploy(h.put("d-ONE", files{"appspec.yml": allHooks(h.path("app")), "trace.sh": "#!/bin/sh\ncase $LIFECYCLE_EVENT in *Install) echo out;; *) echo err >&2;; esac\n"}.zip(t)))
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	deployment := h.path("root", "group-1", "d-ONE")
	for path, want := range map[string]string{
		"root/deployment-instructions/group-1_last_successful_install": deployment,
		"root/deployment-instructions/group-1_most_recent_install":     deployment,
		"root/deployment-instructions/group-1-cleanup":                 strings.Join([]string{h.path("app"), h.path("app/appspec.yml"), h.path("app/trace.sh"), ""}, "\n"),
	} {
		if got := readFile(t, h.path(path)); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	wantContains(t, "instructions", readFile(t, h.path("root/deployment-instructions/group-1-install.json")),
		`{"instructions":[{"type":"mkdir","directory":"`+h.path("app")+`"},{"type":"copy","source":"`)
	var scripts, all string // what the logs hold, without the time
	for _, event := range []struct{ name, output string }{
		{"BeforeInstall", "[stdout]out"}, {"AfterInstall", "[stdout]out"}, {"ApplicationStart", "[stderr]err"}, {"ValidateService", "[stderr]err"},
	} {
		for _, line := range []string{"LifecycleEvent - " + event.name, "Script - trace.sh", event.output} {
			scripts += line + "\n"
			all += "[d-ONE]" + line + "\n"
		}
	}
	for path, form := range map[string]struct{ stamp, want string }{
		deployment + "/logs/scripts.log":                                {`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `, scripts},
		h.path("root/deployment-logs/codedeploy-agent-deployments.log"): {`(?m)^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] `, all},
	} {
		stamp, log := regexp.MustCompile(form.stamp), readFile(t, path)
		if n := len(stamp.FindAllString(log, -1)); n != strings.Count(log, "\n") {
			t.Errorf("%s: %d lines of %d begin with the time", path, n, strings.Count(log, "\n"))
		}
		if diff := cmp.Diff(form.want, stamp.ReplaceAllString(log, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if entries, err := os.ReadDir(h.path("root/ongoing-deployment")); err != nil || len(entries) > 0 {
		t.Errorf("tracking folder holds %v, %v; want nothing after the deployment", entries, err)
	}
	if info, err := os.Stat(deployment + "/bundle.tar"); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("bundle.tar: %v, %v; want mode 0644", info, err)
	}
}
