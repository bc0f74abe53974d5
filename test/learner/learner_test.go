// Package learner replays the first day of somebody who is new to CodeDeploy: the mistakes that cost most tries, and
// what our messages must say so that the second try works.
package learner

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// The learner's AppSpec; DESTINATION and LOCATION are replaced.
const appspec = `version: 0.0
os: linux
files:
  - source: /
    destination: DESTINATION
hooks:
  AfterInstall:
    - location: LOCATION
      timeout: 180
`

// first is what happened on the learner's host and what the API says about it.
type first struct {
	status      types.DeploymentStatus
	message     string // of the deployment
	diagnostics string // of the failed event
	root        string // the agent's deployment root
	destination string
}

// tryOnce deploys the learner's bundle with one location to a new host and returns what came of it. Files are added to
// the bundle; prepare may change the host before its agent starts.
func tryOnce(t *testing.T, location string, files map[string][]byte, prepare func(h *harness.Host)) first {
	t.Helper()
	ctx := context.Background()
	s := harness.StartServer(t, t.TempDir())
	h := harness.Register(t, s, "web-1", map[string]string{"role": "web"})
	if prepare != nil {
		prepare(h)
	}
	h.Start(t)
	f := first{root: filepath.Join(h.Dir, "root"), destination: filepath.Join(t.TempDir(), "current")}
	spec := strings.NewReplacer("DESTINATION", f.destination, "LOCATION", strings.ReplaceAll(location, "DESTINATION", f.destination)).Replace(appspec)
	all := map[string][]byte{
		"appspec.yml":          []byte(spec),
		"start_application.sh": []byte("#!/bin/sh\necho started >>" + h.Dir + "/started\n"),
	}
	for name, data := range files {
		all[name] = data
	}
	id := harness.Deploy(t, s, "role", all)
	api := s.CodeDeploy(t)
	harness.Eventually(t, harness.Patience, "the deployment to end", func() bool {
		out, err := api.GetDeployment(ctx, &codedeploy.GetDeploymentInput{DeploymentId: &id})
		if err != nil {
			t.Fatal(err)
		}
		f.status = out.DeploymentInfo.Status
		if e := out.DeploymentInfo.ErrorInformation; e != nil {
			f.message = aws.ToString(e.Message)
		}
		return out.DeploymentInfo.CompleteTime != nil
	})
	target, err := api.GetDeploymentTarget(ctx, &codedeploy.GetDeploymentTargetInput{DeploymentId: &id, TargetId: aws.String("web-1")})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range target.DeploymentTarget.InstanceTarget.LifecycleEvents {
		if e.Status == types.LifecycleEventStatusFailed {
			f.diagnostics = string(e.Diagnostics.ErrorCode) + ": " + aws.ToString(e.Diagnostics.Message)
		}
	}
	t.Logf("deployment: %s %s\n    event: %s", f.status, f.message, f.diagnostics)
	return f
}

// says fails the test unless both the deployment's message and the event's diagnostics hold every text.
func (f first) says(t *testing.T, texts ...string) {
	t.Helper()
	if f.status != types.DeploymentStatusFailed {
		t.Errorf("the deployment ended as %s", f.status)
	}
	for _, text := range texts {
		if !strings.Contains(f.message, text) {
			t.Errorf("the deployment's message lacks %q:\n%s", text, f.message)
		}
		if !strings.Contains(f.diagnostics, text) {
			t.Errorf("the event's diagnostics lack %q:\n%s", text, f.diagnostics)
		}
	}
}

func TestTheRealFile(t *testing.T) {
	t.Parallel()
	f := tryOnce(t, "./start_application.sh", nil, nil)
	if f.status != types.DeploymentStatusSucceeded {
		t.Errorf("the deployment ended as %s: %s", f.status, f.message)
	}
	if _, err := os.Stat(filepath.Join(f.destination, "start_application.sh")); err != nil {
		t.Error(err)
	}
}

func TestAScriptOutsideTheArchive(t *testing.T) {
	t.Parallel()
	f := tryOnce(t, strings.Repeat("../", 20)+"DESTINATION/start_application.sh", nil, nil)
	if f.status != types.DeploymentStatusSucceeded {
		t.Errorf("the deployment ended as %s: %s", f.status, f.message)
	}
}

func TestAnAbsoluteLocation(t *testing.T) {
	t.Parallel()
	f := tryOnce(t, "DESTINATION/start_application.sh", nil, nil)
	f.says(t, "below the archive", "location: start_application.sh")
}

func TestAMisspeltScript(t *testing.T) {
	t.Parallel()
	f := tryOnce(t, "./start_aplication.sh", nil, nil)
	f.says(t, "start_aplication.sh", "start_application.sh")
}

func TestNoSpaceLeft(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount a small file system: sudo go test ./test/learner")
	}
	big := make([]byte, 24<<20)
	rand.Read(big)
	f := tryOnce(t, "./start_application.sh", map[string][]byte{"app.jar": big}, func(h *harness.Host) {
		root := filepath.Join(h.Dir, "root")
		if err := os.Mkdir(root, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount("grapnel-test", root, "tmpfs", 0, "size=16m"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Unmount(root, syscall.MNT_DETACH) })
	})
	f.says(t, f.root, "MiB", "free")
	bundles, err := filepath.Glob(filepath.Join(f.root, "*", "*", "bundle.tar"))
	if err != nil || len(bundles) > 0 {
		t.Errorf("something was downloaded all the same: %v, %v", bundles, err)
	}
}
