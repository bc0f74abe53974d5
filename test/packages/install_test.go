package packages

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"grapnel/test/harness"
)

// rpmOnDebian lets rpm work in a Debian system, where it knows of no shell that a package could require.
const rpmOnDebian = `#!/bin/sh
case "$1" in -U|-e) set -- "$@" --force-debian --nodeps ;; esac
exec /usr/bin/rpm "$@"
`

func newChrootWithRPM(t *testing.T) *chroot {
	t.Helper()
	c := newChroot(t)
	c.write(t, "usr/local/sbin/rpm", rpmOnDebian, 0o755)
	c.write(t, "etc/rpm/macros.place", "%_dbpath /var/lib/rpm\n", 0o644) // as everywhere but on Debian
	c.expect(t, 0, "rpm --initdb")
	return c
}

// withRPM is the PATH on which the wrapper comes first.
const withRPM = "PATH=/usr/local/sbin:$PATH; "

// manager is one package manager of the two: where its database is locked, and how to ask for the installed version.
type manager struct {
	kind  string
	lock  string
	query string
}

var (
	dpkg = manager{"deb", "var/lib/dpkg/lock-frontend", "dpkg-query -W -f '${Version}' codedeploy-agent"}
	rpm  = manager{"rpm", "var/lib/rpm/.rpm.lock", withRPM + "rpm -q --qf '%{VERSION}-%{RELEASE}' codedeploy-agent"}
)

func (m manager) chroot(t *testing.T) *chroot {
	t.Helper()
	if m.kind == "rpm" {
		return newChrootWithRPM(t)
	}
	return newChroot(t)
}

func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	for _, m := range []manager{dpkg, rpm} {
		t.Run(m.kind, func(t *testing.T) {
			t.Parallel()
			c := m.chroot(t)
			c.expect(t, 0, withRPM+"/packages/install "+m.kind, "codedeploy-agent "+version(t)+"-1 is installed\n", "codedeploy.onpremises.yml", "then start it: ")
			c.expect(t, 0, m.query, version(t)+"-1")
			c.expect(t, 3, "/opt/codedeploy-agent/bin/codedeploy-agent status", "error: No AWS CodeDeploy agent running")
			c.expect(t, 0, withRPM+"/packages/install "+m.kind, "codedeploy-agent "+version(t)+"-1 is installed already\n")
			c.write(t, "opt/codedeploy-agent/deployment-root/kept", "by a deployment", 0o644)
			c.expect(t, 0, withRPM+"/opt/codedeploy-agent/bin/uninstall "+m.kind, "codedeploy-agent was removed\n")
			if !c.exists("opt/codedeploy-agent/deployment-root/kept") {
				t.Error("a removal without --purge took the deployments away")
			}
			c.expect(t, 0, withRPM+"/packages/uninstall --purge "+m.kind, "codedeploy-agent was removed\n")
			for _, path := range []string{"opt/codedeploy-agent", "etc/codedeploy-agent", "var/log/aws/codedeploy-agent"} {
				if c.exists(path) {
					t.Errorf("%s is left after a purge", path)
				}
			}
		})
	}
}

// New hosts run other installers when they boot. The lock is held by this process, as they hold it.
func TestInstallWaitsForALockedPackageManager(t *testing.T) {
	t.Parallel()
	for _, m := range []manager{dpkg, rpm} {
		t.Run(m.kind, func(t *testing.T) {
			t.Parallel()
			c := m.chroot(t)
			release := c.holdLock(t, m.lock)
			holder := fmt.Sprintf("the package manager is locked by %d (%s); attempt", os.Getpid(), comm(t))
			install := harness.StartCommand(t, c.command(withRPM+"/packages/install --lock-pause 1 --lock-attempts 60 "+m.kind))
			harness.Eventually(t, harness.Patience, "the script to say who holds the lock", func() bool {
				if install.Exited() {
					t.Fatalf("the script ended:\n%s", install.Output.String())
				}
				return strings.Contains(install.Output.String(), holder+" 2 of 60")
			})
			if c.exists("opt/codedeploy-agent/bin") {
				t.Error("something was installed while the package manager was locked")
			}
			release()
			if code := install.ExitCode(t); code != 0 {
				t.Errorf("exit code %d when the lock was released, want 0:\n%s", code, install.Output.String())
			}
			c.expect(t, 0, m.query, version(t)+"-1")
		})
	}
}

func TestInstallGivesUpALockedPackageManager(t *testing.T) {
	t.Parallel()
	for _, m := range []manager{dpkg, rpm} {
		t.Run(m.kind, func(t *testing.T) {
			t.Parallel()
			c := m.chroot(t)
			defer c.holdLock(t, m.lock)()
			still := fmt.Sprintf("install: failed: the package manager is still locked by %d (%s) after 3 attempts", os.Getpid(), comm(t))
			c.expect(t, 75, withRPM+"/packages/install --lock-pause 0 --lock-attempts 3 "+m.kind, "attempt 1 of 3", "attempt 2 of 3", still)
			if c.exists("opt/codedeploy-agent/bin") {
				t.Error("something was installed while the package manager was locked")
			}
		})
	}
}

// yum keeps others off with a file that holds its process number while it works out what to do.
func TestInstallWaitsForYum(t *testing.T) {
	t.Parallel()
	c := newChrootWithRPM(t)
	c.write(t, "run/yum.pid", fmt.Sprintln(os.Getpid()), 0o644)
	by := fmt.Sprintf("locked by %d (%s)", os.Getpid(), comm(t))
	c.expect(t, 75, withRPM+"/packages/install --lock-pause 0 --lock-attempts 2 rpm", by)
	c.write(t, "run/yum.pid", "4194999\n", 0o644) // no process has this number: yum was killed
	c.expect(t, 0, withRPM+"/packages/install --lock-pause 0 --lock-attempts 2 rpm", "is installed")
}

// holdLock takes a lock as dpkg, apt and rpm do, and returns how to let go of it.
func (c *chroot) holdLock(t *testing.T, path string) func() {
	t.Helper()
	f, err := c.files.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		t.Fatal(err)
	}
	return func() { f.Close() }
}

// comm is what the kernel calls this process.
func comm(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(read(t, "/proc/self/comm"))
}

func TestInstallRefusesADamagedPackage(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	name := filepath.Base(find(t, "*_amd64.deb"))
	f, err := c.files.OpenFile("packages/"+name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("more"); err != nil {
		t.Fatal(err)
	}
	c.expect(t, 1, "/packages/install deb", "install: failed: "+name+" is not what SHA256SUMS says", "nothing was installed")
	if c.exists("opt/codedeploy-agent") {
		t.Error("something was installed")
	}
}

// The server puts its address into the script. Its certificate is often one of its own.
func TestInstallDownloads(t *testing.T) {
	t.Parallel()
	packages := http.FileServer(http.Dir(dist(t)))
	var asked atomic.Int32
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		packages.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	script := strings.ReplaceAll(read(t, dist(t), "install"), "@BASE@", server.URL)
	// One answer is an error, so that one of the two tries again.
	for _, without := range []string{"wget", "curl"} {
		t.Run("without "+without, func(t *testing.T) {
			t.Parallel()
			c := newChroot(t)
			for path, text := range map[string]string{"root/install": script, "root/ca.pem": string(ca)} {
				c.write(t, path, text, 0o755)
			}
			c.expect(t, 0, "rm -r /packages /usr/bin/"+without)
			c.expect(t, 0, "/root/install --ca-file /root/ca.pem auto", "is installed\n")
		})
	}
}

func TestInstallArguments(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	for _, row := range []struct {
		args string
		code int
		text string
	}{
		{"", 2, "say which kind of package"},
		{"--help", 0, "Usage: install"},
		{"tarball", 2, "tarball is no option or kind of package"},
		{"--lock-attempts 0 deb", 2, "--lock-attempts 0 is not a number"},
		{"--lock-pause=soon deb", 2, "--lock-pause soon is not a number"},
		{"deb --proxy", 2, "--proxy needs a value"},
		{"deb -v 9.9.9", 1, "/packages has no deb package of version 9.9.9 for amd64"},
		{"deb --from /nowhere", 1, "/nowhere has no readable SHA256SUMS"},
		{"--disable-imds-v1 --from=file:///packages/ auto --version=" + version(t), 0, "is installed\n"},
	} {
		t.Run(row.args, func(t *testing.T) { c.expect(t, row.code, "/packages/install "+row.args, row.text) })
	}
	t.Run("not root", func(t *testing.T) {
		cmd := c.command("/packages/install auto")
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "only be changed by root") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// stockSpec makes a package like the stock agent's rpm, whose scripts stop the service also when the package is replaced, and
// run after the files and the first scripts of the new one.
const stockSpec = `Name: codedeploy-agent
Version: 1.8.1
Release: 1
Summary: stock agent
License: none
BuildArch: noarch
%description
stock agent
%install
mkdir -p %{buildroot}/opt/codedeploy-agent/bin %{buildroot}/opt/codedeploy-agent/lib %{buildroot}/etc/codedeploy-agent/conf
echo stock >%{buildroot}/opt/codedeploy-agent/bin/codedeploy-agent
echo stock >%{buildroot}/opt/codedeploy-agent/lib/codedeploy-agent.rb
echo :program_name: codedeploy-agent >%{buildroot}/etc/codedeploy-agent/conf/codedeployagent.yml
%preun
test -e /opt/codedeploy-agent/state/.start-when-installed && echo the stock agent is stopped before the new one starts
%files
/opt/codedeploy-agent
%config(noreplace) /etc/codedeploy-agent/conf/codedeployagent.yml
`

func TestRPMReplacesTheStockPackage(t *testing.T) {
	t.Parallel()
	c := newChrootWithRPM(t)
	harness.Need(t, "rpmbuild", "apt install rpm")
	build := t.TempDir()
	spec := filepath.Join(build, "stock.spec")
	if err := os.WriteFile(spec, []byte(stockSpec), 0o644); err != nil {
		t.Fatal(err)
	}
	output(t, "rpmbuild", "-bb", "--quiet", "--define", "_topdir "+build, spec)
	c.write(t, "root/stock.rpm", read(t, build, "RPMS/noarch/codedeploy-agent-1.8.1-1.noarch.rpm"), 0o644)
	c.expect(t, 0, withRPM+"rpm -U /root/stock.rpm && "+rpm.query, "1.8.1-1")
	c.expect(t, 0, "echo :max_revisions: 3 >>/etc/codedeploy-agent/conf/codedeployagent.yml")
	c.expect(t, 0, withRPM+"/packages/install rpm", "the stock agent is stopped before the new one starts", "-1 is installed\n")
	c.expect(t, 0, rpm.query, version(t)+"-1")
	if c.exists("opt/codedeploy-agent/lib") {
		t.Error("the stock agent's files are left")
	}
	if c.exists("opt/codedeploy-agent/state/.start-when-installed") {
		t.Error("the agent was not started after the stock agent's scripts")
	}
	if got := c.read(t, "etc/codedeploy-agent/conf/codedeployagent.yml"); !strings.Contains(got, "max_revisions: 3") {
		t.Errorf("the configuration was replaced:\n%s", got)
	}
	c.expect(t, 3, agentProgram+" status", notRunning)
}

// A removal asks the agent whether it is idle; one that cannot answer must not stay on the host forever.
func TestRemoveWithABrokenConfiguration(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	c.expect(t, 0, "/packages/install deb")
	c.write(t, "etc/codedeploy-agent/conf/codedeployagent.yml", "log_dir: [\n", 0o644)
	c.expect(t, 0, "dpkg -r codedeploy-agent", "not YAML")
}

// Administrators copy the stock unit to change it. systemd would wait for a fork that never comes, and end the agent.
func TestInstallNamesAUnitMadeFromTheStockOne(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	c.write(t, "etc/systemd/system/codedeploy-agent.service", "[Service]\nType=forking\n", 0o644)
	c.expect(t, 0, "/packages/install deb", "/etc/systemd/system/codedeploy-agent.service was written for an agent that forks")
}

// TestInstallFromTheServer is what the world's scripts do, against the server itself.
func TestInstallFromTheServer(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	s := harness.StartServer(t, t.TempDir(), "--packages", dist(t), "--tls", "self-signed")
	c.write(t, "root/trusted.pem", read(t, s.Env["AWS_CA_BUNDLE"]), 0o644)
	get := "wget -q --ca-certificate=trusted.pem " + s.URL
	c.expect(t, 0, "rm -r /packages; cd /root && "+get+"/latest/install && "+get+"/latest/ca.pem && cmp ca.pem trusted.pem")
	c.expect(t, 0, "cd /root && "+get+"/aws-codedeploy-eu-west-1/latest/install -O again && cmp again install")
	c.expect(t, 8, "cd /root && "+get+"/latest/codedeploy-agent.msi")
	c.expect(t, 0, "cd /root && chmod +x install && ./install --ca-file trusted.pem auto", "codedeploy-agent "+version(t)+"-1 is installed\n")
	settings := c.read(t, "etc/codedeploy-agent/conf/codedeployagent.yml")
	for _, line := range []string{`deploy_control_endpoint: "` + s.URL + `"`, `s3_endpoint_override: "` + s.URL + `"`, `ca_file: "/etc/codedeploy-agent/conf/grapnel-ca.pem"`} {
		if !strings.Contains(settings, "\n"+line+"\n") {
			t.Errorf("the configuration has no line %q:\n%s", line, settings)
		}
	}
	c.expect(t, 0, "cd /root && curl -fsS --cacert trusted.pem "+s.URL+"/latest/SHA256SUMS -o SHA256SUMS && "+
		"for f in codedeploy-agent-linux-amd64 codedeploy-agent.service; do curl -fsSO --cacert trusted.pem "+s.URL+"/latest/$f; done && sha256sum --ignore-missing --check SHA256SUMS")
}

// TestInstallFromAServerInTheClear: what a machine trusts has nothing to do with a server that shows no certificate.
func TestInstallFromAServerInTheClear(t *testing.T) {
	t.Parallel()
	c := newChroot(t)
	s := harness.StartServer(t, t.TempDir(), "--packages", dist(t))
	c.write(t, "root/bundle.pem", "the authorities of the machine", 0o644)
	c.expect(t, 0, "cd /root && rm -r /packages && wget -q "+s.URL+"/latest/install && chmod +x install && AWS_CA_BUNDLE=/root/bundle.pem ./install auto")
	if settings := c.read(t, "etc/codedeploy-agent/conf/codedeployagent.yml"); !strings.Contains(settings, s.URL) || strings.Contains(settings, "ca_file") {
		t.Errorf("the configuration:\n%s", settings)
	}
}
