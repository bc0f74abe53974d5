package packages

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/test/harness"
)

const (
	agentProgram = "/opt/codedeploy-agent/bin/codedeploy-agent"
	service      = "/etc/init.d/codedeploy-agent"
	notRunning   = "error: No AWS CodeDeploy agent running\n"
)

// host is a chroot that had a stock agent, and the server that its configuration names.
type host struct {
	*chroot
	server *harness.Server
	spoken atomic.Value // the version in the header of the agent's last call
	open   string       // the deployment that was under way when the agent was stopped
}

// TestHost is the life of one host: a stock agent is replaced, the agent is started, deploys, is updated and asked to leave
// in the middle of a hook, ends when it is idle, goes on below what stands for systemd, is removed and purged. Each part needs the ones before it.
func TestHost(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	for _, part := range []struct {
		name string
		run  func(*testing.T, *host)
	}{
		{"a stock agent is replaced", replaceStock},
		{"start", start},
		{"deploy, and change the packages in a hook", deployAndChangePackages}, // agent.md 16: 116, 201
		{"modes", checkModes}, // agent.md 16: 201, 202
		{"restart", restart},
		{"stop waits for a hook", stopWaits}, // agent.md 16: 199
		{"what a service manager hears", serviceManager},
		{"remove", remove},
		{"purge", purge},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.run(t, h) }) {
			t.FailNow()
		}
	}
	t.Run("systemd", func(t *testing.T) {
		t.Skip("not shown, because systemd does not run in a chroot: that it starts the unit at boot and after a failure, ends nothing but the agent, and restarts it after an update once it is idle; to see it: systemctl status codedeploy-agent on a host that has the package")
	})
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{chroot: newChroot(t), server: harness.StartServer(t, t.TempDir())}
	target, err := url.Parse(h.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			h.spoken.Store(r.In.Header.Get("x-amz-codedeploy-agent-version"))
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ErrorLog: log.New(io.Discard, "", 0), // polls that an ending agent gives up
	})
	t.Cleanup(listener.Close)
	t.Cleanup(func() { h.kill() })
	h.createGroup(t)
	h.installStock(t)
	h.append(t, "etc/codedeploy-agent/conf/codedeployagent.yml", fmt.Sprintf(`
# Changed by the administrator.
:deploy_control_endpoint: %s
:s3_endpoint_override: %s
:wait_between_runs: 0
`, listener.URL, h.server.URL))
	registered := harness.Register(t, h.server, "web-1", map[string]string{"role": "web"})
	h.write(t, "etc/codedeploy-agent/conf/codedeploy.onpremises.yml", read(t, registered.Dir, "codedeploy.onpremises.yml"), 0o600)
	// A profile that does not say export, and that ends the shell.
	h.write(t, "etc/profile.d/site.sh", "FROM_PROFILE=yes\nexit 3\n", 0o644)
	return h
}

// kill ends an agent that a failed test left running.
func (h *host) kill() {
	data, err := h.files.ReadFile("opt/codedeploy-agent/state/.pid/codedeploy-agent.pid")
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && pid > 1 {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

func (c *chroot) append(t *testing.T, name, text string) {
	t.Helper()
	c.write(t, name, c.read(t, name)+text, 0o644)
}

// installStock installs a package with the name, the paths and the scripts of the stock agent's.
func (h *host) installStock(t *testing.T) {
	t.Helper()
	for name, text := range map[string]string{
		"DEBIAN/control":   "Package: codedeploy-agent\nVersion: 1.8.1-1\nArchitecture: all\nMaintainer: stock <stock@stock.invalid>\nDescription: stock agent\n",
		"DEBIAN/conffiles": "/etc/codedeploy-agent/conf/codedeployagent.yml\n/etc/init.d/codedeploy-agent\n",
		"DEBIAN/prerm":     "#!/bin/sh\n/opt/codedeploy-agent/bin/codedeploy-agent stop\n",
		"etc/codedeploy-agent/conf/codedeployagent.yml": "---\n:log_dir: /var/log/aws/codedeploy-agent/\n:pid_dir: /opt/codedeploy-agent/state/.pid/\n" +
			":program_name: codedeploy-agent\n:root_dir: /opt/codedeploy-agent/deployment-root\n:wait_between_runs: 1\n",
		"etc/init.d/codedeploy-agent":                  "#!/bin/bash\nnohup /opt/codedeploy-agent/bin/codedeploy-agent start\n",
		"lib/systemd/system/codedeploy-agent.service":  "[Service]\nType=forking\n",
		"opt/codedeploy-agent/bin/codedeploy-agent":    "#!/bin/sh\necho stock agent: $*\n",
		"opt/codedeploy-agent/lib/codedeploy-agent.rb": "puts 1\n",
		"opt/codedeploy-agent/.version":                "agent_version: OFFICIAL_1.8.1-1_deb",
	} {
		h.write(t, filepath.Join("root/stock", name), text, 0o755)
	}
	h.expect(t, 0, "dpkg-deb --build /root/stock && dpkg -i /root/stock.deb && "+agentProgram+" status", "stock agent: status")
}

func replaceStock(t *testing.T, h *host) {
	h.expect(t, 0, "/packages/install auto", "stock agent: stop", "not started: systemd does not run here", "-1 is installed\n", "then start it: service codedeploy-agent start\n")
	h.expect(t, 0, dpkg.query, version(t)+"-1")
	if h.exists("opt/codedeploy-agent/lib") {
		t.Error("the stock agent's files are left")
	}
	if got := h.read(t, "etc/codedeploy-agent/conf/codedeployagent.yml"); !strings.Contains(got, "Changed by the administrator") {
		t.Errorf("the configuration was replaced:\n%s", got)
	}
	if got := h.read(t, "etc/init.d/codedeploy-agent"); strings.Contains(got, "nohup") {
		t.Error("the stock agent's service script is left, which waits for an agent that forks")
	}
}

func start(t *testing.T, h *host) {
	h.expect(t, 3, agentProgram+" status", notRunning)
	h.expect(t, 3, service+" status", notRunning)
	h.expect(t, 0, service+" start")
	h.expect(t, 0, service+" start") // as every service: started already is no error
	h.expect(t, 0, service+" status", "The AWS CodeDeploy agent is running as PID "+strconv.Itoa(h.pid(t)))
	h.expect(t, 1, agentProgram+" start", "running already as PID")
	h.expect(t, 0, "/packages/install --sanity-check deb", "is installed already\n")
}

// pid is the agent's process number, as scripts take it from the status.
func (h *host) pid(t *testing.T) int {
	t.Helper()
	out, _ := h.sh(t, agentProgram+" status")
	m := regexp.MustCompile(`\AThe AWS CodeDeploy agent is running as PID (\d+)\n\z`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("status says %q", out)
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// A hook may update the agent that waits for it, but neither stop nor remove it, and nothing of that may hang.
func deployAndChangePackages(t *testing.T, h *host) {
	before := h.pid(t)
	id := h.deploy(t, `exec >/root/hook 2>&1
echo "profile $FROM_PROFILE"
`+agentProgram+` stop; echo "stop $?"
dpkg -r codedeploy-agent; echo "removal $?"
dpkg -i /packages/codedeploy-agent_*_amd64.deb; echo "update $?"`)
	h.waitForSuccess(t, id)
	said := h.read(t, "root/hook")
	for _, text := range []string{"profile yes\n", "stop 1\n", "lifecycle event of deployment " + id, "removal 1\n", "not removed, because a lifecycle event is in progress", "update 0\n"} {
		if !strings.Contains(said, text) {
			t.Errorf("the hook did not say %q:\n%s", text, said)
		}
	}
	if got := h.read(t, "srv/app/page.html"); got != "hello\n" {
		t.Errorf("installed: %q", got)
	}
	if after := h.pid(t); after != before {
		t.Errorf("the update in the hook replaced the running agent: PID %d was %d", after, before)
	}
	if got, want := h.read(t, "opt/codedeploy-agent/.version"), fmt.Sprintln("agent_version:", h.spoken.Load()); got != want {
		t.Errorf(".version holds %q, the header says %q", got, want)
	}
}

// checkModes: other users read states and logs, as monitoring does; nobody but root writes.
func checkModes(t *testing.T, h *host) {
	want := map[bool]fs.FileMode{true: 0o755, false: 0o644}
	for _, top := range []string{"opt/codedeploy-agent/deployment-root", "opt/codedeploy-agent/state", "var/log/aws/codedeploy-agent"} {
		fs.WalkDir(h.files.FS(), top, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				t.Error(err)
				return nil
			}
			if d.Name() == "deployment-archive" { // as the bundle says
				return fs.SkipDir
			}
			info, err := d.Info()
			if err != nil {
				t.Error(err)
			} else if info.Mode().Perm() != want[d.IsDir()] {
				t.Errorf("%s has mode %o, want %o", path, info.Mode().Perm(), want[d.IsDir()])
			}
			return nil
		})
	}
	if info, err := h.files.Stat("opt/codedeploy-agent/.version"); err != nil || info.Mode().Perm() != 0o444 {
		t.Errorf(".version: %v, %v, want mode 0444", info.Mode(), err)
	}
}

func restart(t *testing.T, h *host) {
	before := h.pid(t)
	h.expect(t, 0, service+" restart")
	if after := h.pid(t); after == before {
		t.Errorf("PID %d before and after", after)
	}
}

// A service manager's stop is a TERM to the agent, also in the middle of a hook.
func stopWaits(t *testing.T, h *host) {
	pid := h.pid(t)
	h.open = h.deploy(t, "touch /root/begun\nuntil [ -e /root/go ]; do sleep 0.1; done\ntouch /root/ended")
	harness.Eventually(t, harness.Patience, "the hook to begin", func() bool { return h.exists("root/begun") })
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, harness.Patience, "the agent to say that it ends", func() bool {
		return strings.Contains(h.read(t, "var/log/aws/codedeploy-agent/codedeploy-agent.log"), "takes no more commands and ends when those under way have")
	})
	h.pid(t)
	h.write(t, "root/go", "", 0o644)
	harness.Eventually(t, harness.Patience, "the agent to end", func() bool {
		_, code := h.sh(t, agentProgram+" status")
		return code == 3
	})
	if !h.exists("root/ended") {
		t.Error("the agent ended before the hook")
	}
	if h.exists("opt/codedeploy-agent/state/.pid/codedeploy-agent.pid") {
		t.Error("the process file is left")
	}
}

// serviceManager starts the agent with the unit's program as systemd does, and listens where systemd would.
func serviceManager(t *testing.T, h *host) {
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(h.dir, "run/notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	start := h.command("WATCHDOG_PID=$$ exec "+agentProgram+"-service", "NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=500000")
	p := harness.StartCommand(t, start, start.Env...)
	hear(t, socket, "READY=1")
	if got := h.pid(t); got != p.Process.Pid {
		t.Errorf("the agent is PID %d, but systemd watches PID %d", got, p.Process.Pid)
	}
	hear(t, socket, "WATCHDOG=1")
	h.waitForSuccess(t, h.open)

	h.waitForSuccess(t, h.deploy(t, "sleep 600 </dev/null >/dev/null 2>&1 & echo $! >/root/daemon\nenv >/root/environment"))
	if environment := h.read(t, "root/environment"); strings.Contains(environment, "NOTIFY_") || strings.Contains(environment, "WATCHDOG_") {
		t.Errorf("a hook could speak to systemd in the agent's place:\n%s", environment)
	}
	p.Process.Signal(syscall.SIGTERM)
	hear(t, socket, "STOPPING=1")
	if code := p.ExitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0: anything else is a failure, after which systemd starts the agent again", code)
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(h.read(t, "root/daemon")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon that a hook started has ended with the agent: %v", err)
	}
}

// hear waits for a message that begins with an assignment.
func hear(t *testing.T, socket *net.UnixConn, assignment string) {
	t.Helper()
	socket.SetReadDeadline(time.Now().Add(harness.Patience))
	for buf := make([]byte, 4096); ; {
		n, err := socket.Read(buf)
		if err != nil {
			t.Fatalf("systemd did not hear %s: %v", assignment, err)
		}
		if first, _, _ := strings.Cut(string(buf[:n]), "\n"); first == assignment {
			return
		}
	}
}

// A running agent that is idle is stopped, and what deployments left stays.
func remove(t *testing.T, h *host) {
	h.expect(t, 0, service+" start")
	pid := h.pid(t)
	h.expect(t, 0, "/packages/uninstall", "codedeploy-agent was removed\n")
	// Whose child it is now decides when the entry of an ended process goes away.
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the agent still runs: %s", stat)
	}
	for path, want := range map[string]bool{
		"opt/codedeploy-agent/bin":                                false,
		"opt/codedeploy-agent/deployment-root/deployment-logs":    true,
		"etc/codedeploy-agent/conf/codedeployagent.yml":           true,
		"etc/codedeploy-agent/conf/codedeploy.onpremises.yml":     true,
		"var/log/aws/codedeploy-agent/codedeploy-agent.log":       true,
		"srv/app/page.html":                                       true,
		"opt/codedeploy-agent/state/.start-when-installed":        false,
		"opt/codedeploy-agent/deployment-root/ongoing-deployment": true,
	} {
		if h.exists(path) != want {
			t.Errorf("%s exists: %t, want %t", path, !want, want)
		}
	}
}

func purge(t *testing.T, h *host) {
	h.expect(t, 0, "/packages/uninstall --purge", "codedeploy-agent was removed\n")
	for _, path := range []string{"opt/codedeploy-agent", "etc/codedeploy-agent", "var/log/aws", "etc/init.d/codedeploy-agent"} {
		if h.exists(path) {
			out, _ := h.sh(t, "find /"+path)
			t.Errorf("left after a purge:\n%s", out)
		}
	}
	if !h.exists("srv/app/page.html") {
		t.Error("the purge took away what a deployment installed")
	}
	if out, _ := h.sh(t, "dpkg -l codedeploy-agent"); strings.Contains(out, "\nrc ") {
		t.Errorf("dpkg still knows the package:\n%s", out)
	}
}

// deploy starts a deployment with one hook.
func (h *host) deploy(t *testing.T, hook string) string {
	t.Helper()
	ctx, api := t.Context(), h.server.CodeDeploy(t)
	h.putBundle(t, "#!/bin/sh\n"+hook+"\n")
	out, err := api.CreateDeployment(ctx, &codedeploy.CreateDeploymentInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"), FileExistsBehavior: types.FileExistsBehaviorOverwrite,
		Revision: &types.RevisionLocation{RevisionType: types.RevisionLocationTypeS3, S3Location: &types.S3Location{
			Bucket: aws.String("bundles"), Key: aws.String("app.zip"), BundleType: types.BundleTypeZip,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return *out.DeploymentId
}

func (h *host) createGroup(t *testing.T) {
	t.Helper()
	ctx, api := t.Context(), h.server.CodeDeploy(t)
	if _, err := api.CreateApplication(ctx, &codedeploy.CreateApplicationInput{ApplicationName: aws.String("web")}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.CreateDeploymentGroup(ctx, &codedeploy.CreateDeploymentGroupInput{
		ApplicationName: aws.String("web"), DeploymentGroupName: aws.String("all"),
		ServiceRoleArn:               aws.String("arn:aws:iam::000000000000:role/deploy"),
		OnPremisesInstanceTagFilters: []types.TagFilter{{Key: aws.String("role"), Type: types.TagFilterTypeKeyOnly}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.server.S3(t).CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("bundles")}); err != nil {
		t.Fatal(err)
	}
}

func (h *host) putBundle(t *testing.T, hook string) {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range map[string]string{
		"appspec.yml": "version: 0.0\nos: linux\nfiles:\n  - source: /page.html\n    destination: /srv/app\nhooks:\n  AfterInstall:\n    - location: hook.sh\n      timeout: 120\n",
		"page.html":   "hello\n",
		"hook.sh":     hook,
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
	in := &s3.PutObjectInput{Bucket: aws.String("bundles"), Key: aws.String("app.zip"), Body: bytes.NewReader(buf.Bytes())}
	if _, err := h.server.S3(t).PutObject(t.Context(), in); err != nil {
		t.Fatal(err)
	}
}

func (h *host) waitForSuccess(t *testing.T, id string) {
	t.Helper()
	harness.Eventually(t, 2*harness.Patience, "the deployment to end", func() bool {
		out, err := h.server.CodeDeploy(t).GetDeployment(context.Background(), &codedeploy.GetDeploymentInput{DeploymentId: &id})
		if err != nil {
			t.Fatal(err)
		}
		info := out.DeploymentInfo
		if info.CompleteTime != nil && info.Status != types.DeploymentStatusSucceeded {
			t.Fatalf("the deployment ended as %s: %s", info.Status, aws.ToString(info.ErrorInformation.Message))
		}
		return info.CompleteTime != nil
	})
}
