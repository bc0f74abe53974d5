// Package crash kills the server or the agent at every step of a deployment, starts it again, and holds the outcome to the
// specification: the deployment ends, and no hook runs twice.
package crash

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// The commands of an in-place deployment: on a first one ApplicationStop is a no-op and so is never completed.
var (
	hooks    = []string{"BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"}
	commands = []string{"ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService"}
)

// sideBySide is how many worlds run at once. A world mostly waits: for the agent's pause after an error, for a command to be
// handed over again. t.Parallel would run no more than there are processors.
const sideBySide = 16

// TestKillAtEveryStep kills one of the two at each moment of each command.
func TestKillAtEveryStep(t *testing.T) {
	t.Parallel()
	slots := make(chan struct{}, sideBySide)
	var worlds sync.WaitGroup
	for _, victim := range []string{"server", "agent"} {
		for _, at := range points() {
			worlds.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(fmt.Sprintf("%s %s %s of %s", victim, at.stage, at.op, commandOf(at)), func(t *testing.T) {
					newWorld(t, victim, at).run(t)
				})
			})
		}
	}
	worlds.Wait()
}

func points() []point {
	var all []point
	for n := range commands {
		all = append(all, point{"PollHostCommand", n, after})
		for _, s := range []stage{before, after} {
			all = append(all, point{"GetDeploymentSpecification", n, s}, point{"PutHostCommandAcknowledgement", n, s})
			if n > 0 {
				all = append(all, point{"PutHostCommandComplete", n - 1, s})
			}
		}
	}
	return all
}

func commandOf(p point) string {
	if p.op == "PutHostCommandComplete" {
		return commands[p.n+1]
	}
	return commands[p.n]
}

// world is one server with one host whose agent speaks through the proxy.
type world struct {
	victim string
	at     point
	server *harness.Server
	host   *harness.Host
	agent  *harness.Process
	proxy  *proxy
	dir    string
	struck chan struct{} // the victim has been killed
}

func newWorld(t *testing.T, victim string, at point) *world {
	t.Helper()
	w := &world{victim: victim, at: at, dir: t.TempDir(), struck: make(chan struct{}, 1)}
	w.server = harness.StartServer(t, filepath.Join(w.dir, "server"))
	w.host = harness.Register(t, w.server, "web-1", map[string]string{"role": "web"})
	process := w.server.Process
	w.proxy = newProxy(t, w.server.URL, at, func() {
		process.Kill()
		w.struck <- struct{}{}
	})
	w.host.Point(t, w.proxy.URL)
	w.agent = w.host.Start(t)
	if victim == "agent" {
		process = w.agent
	}
	return w
}

// restart starts the victim again.
func (w *world) restart(t *testing.T) {
	t.Helper()
	if w.victim == "agent" {
		w.agent = w.host.Start(t)
		return
	}
	w.server = harness.StartServer(t, w.server.Dir)
	w.proxy.point(w.server.URL)
}

func (w *world) run(t *testing.T) {
	id := w.deploy(t, "")
	<-w.struck
	w.restart(t)
	info := w.waitForEnd(t, id)
	if want := w.wantStatus(); info.Status != want {
		t.Errorf("the deployment ended as %s, want %s: %+v", info.Status, want, info.ErrorInformation)
	}
	w.checkHooks(t, info)
}

// wantStatus: an agent that finds a command on record at its start reports it as failed (agent.md 6.4), unless the record says
// how it ended. It puts a command on record before it acknowledges it, unless there is nothing to run. Everything else goes
// on where it was.
func (w *world) wantStatus() types.DeploymentStatus {
	if w.victim == "agent" && w.at.op == "PutHostCommandAcknowledgement" && w.at.n > 0 {
		return types.DeploymentStatusFailed
	}
	return types.DeploymentStatusSucceeded
}

// checkHooks holds the hooks that ran to one run each, and to all of them when the deployment succeeded.
func (w *world) checkHooks(t *testing.T, info *types.DeploymentInfo) {
	t.Helper()
	ran := w.ran(t)
	for _, event := range hooks {
		n := strings.Count(ran, event+"\n")
		if n > 1 || n == 0 && info.Status == types.DeploymentStatusSucceeded {
			t.Errorf("%s ran %d times:\n%s", event, n, ran)
		}
	}
}

func (w *world) ran(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(w.dir, "ran"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}

// deploy deploys a bundle whose hooks note that they ran; body is what they do besides.
func (w *world) deploy(t *testing.T, body string) string {
	t.Helper()
	ctx, api := context.Background(), w.server.CodeDeploy(t)
	w.putBundle(t, body)
	must(t)(api.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("web")}))
	must(t)(api.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		ServiceRoleArn:               aws.String("arn:aws:iam::000000000000:role/deploy"),
		OnPremisesInstanceTagFilters: []types.TagFilter{{Key: aws.String("role"), Type: types.TagFilterTypeKeyOnly}},
	}))
	out := must(t)(api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("bundles"), Key: aws.String("app.zip"), BundleType: types.BundleTypeZip,
		}},
	})).(*codedeploy.CreateDeploymentOutput)
	return *out.DeploymentId
}

func (w *world) putBundle(t *testing.T, body string) {
	t.Helper()
	var spec strings.Builder
	fmt.Fprintf(&spec, "version: 0.0\nos: linux\nfiles:\n  - source: /page.html\n    destination: %s/app\nhooks:\n", w.dir)
	for _, event := range hooks {
		fmt.Fprintf(&spec, "  %s:\n    - location: hook.sh\n      timeout: 60\n", event)
	}
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range map[string]string{
		"appspec.yml": spec.String(),
		"page.html":   "hello\n",
		"hook.sh":     fmt.Sprintf("#!/bin/sh\necho $LIFECYCLE_EVENT >>%s/ran\n%s\n", w.dir, body),
	} {
		f, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte(text))
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, api := context.Background(), w.server.S3(t)
	must(t)(api.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bundles")}))
	must(t)(api.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("bundles"), Key: aws.String("app.zip"), Body: bytes.NewReader(buf.Bytes())}))
}

// waitForEnd waits for a terminal status.
func (w *world) waitForEnd(t *testing.T, id string) *types.DeploymentInfo {
	t.Helper()
	var info *types.DeploymentInfo
	harness.Eventually(t, 2*harness.Patience, "the deployment to end", func() bool {
		out, err := w.server.CodeDeploy(t).GetDeployment(context.Background(), &codedeploy.GetDeploymentInput{DeploymentId: &id})
		if err != nil {
			t.Fatal(err)
		}
		info = out.DeploymentInfo
		return info.CompleteTime != nil
	})
	return info
}

func must(t *testing.T) func(any, error) any {
	return func(v any, err error) any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestKillInAHook kills one of the two while a hook runs.
func TestKillInAHook(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"server", "agent"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, victim, point{})
			gate := filepath.Join(w.dir, "gate")
			id := w.deploy(t, "while ! [ -e "+gate+" ]; do sleep 0.05; done; echo $LIFECYCLE_EVENT ended >>"+w.dir+"/ran")
			harness.Eventually(t, harness.Patience, "the first hook to run", func() bool { return w.ran(t) != "" })
			harness.Eventually(t, harness.Patience, "the agent to have put it on record", func() bool {
				records, err := filepath.Glob(filepath.Join(w.host.Dir, "root", "ongoing-deployment", ".*.hook"))
				return err == nil && len(records) == 1
			})
			if victim == "agent" {
				w.agent.Kill()
			} else {
				w.server.Kill()
			}
			w.restart(t)
			if victim == "agent" {
				w.checkAfterRestart(t, w.waitForEnd(t, id), gate)
				return
			}
			open(t, gate)
			if info := w.waitForEnd(t, id); info.Status != types.DeploymentStatusSucceeded {
				t.Errorf("the deployment ended as %s: %+v", info.Status, info.ErrorInformation)
			}
		})
	}
}

// TestLastOutputWaitsForTheServer lets a hook fail while the server is away: what it wrote last, which tells why, is in the
// deployment's log all the same.
func TestLastOutputWaitsForTheServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "server", point{})
	gate := filepath.Join(w.dir, "gate")
	id := w.deploy(t, "while ! [ -e "+gate+" ]; do sleep 0.05; done; echo this is why >&2; exit 3")
	harness.Eventually(t, harness.Patience, "the first hook to run", func() bool { return w.ran(t) != "" })
	w.server.Kill()
	open(t, gate)
	harness.Eventually(t, harness.Patience, "the agent to have put on record how the hook ended", func() bool {
		reports, err := filepath.Glob(filepath.Join(w.host.Dir, "root", "ongoing-deployment", ".*.report"))
		return err == nil && len(reports) == 1
	})
	w.restart(t)
	if info := w.waitForEnd(t, id); info.Status != types.DeploymentStatusFailed {
		t.Errorf("the deployment ended as %s: %+v", info.Status, info.ErrorInformation)
	}
	logs := exec.Command(harness.Path("grapnel"), "logs", id)
	logs.Env = w.server.Environ()
	out, err := logs.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "this is why") {
		t.Errorf("the log (%v):\n%s", err, out)
	}
}

// checkAfterRestart: the hook's orphan was ended, the event reported as failed (code 7), and nothing ran a second time.
func (w *world) checkAfterRestart(t *testing.T, info *types.DeploymentInfo, gate string) {
	t.Helper()
	if info.Status != types.DeploymentStatusFailed || !strings.Contains(*info.ErrorInformation.Message, "restart") {
		t.Errorf("the deployment ended as %s: %+v, want Failed because of the restart", info.Status, info.ErrorInformation)
	}
	open(t, gate)
	if ran := w.ran(t); ran != "BeforeInstall\n" {
		t.Errorf("the hooks that ran: %q, want one that never ended", ran)
	}
}

func open(t *testing.T, gate string) {
	t.Helper()
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}
