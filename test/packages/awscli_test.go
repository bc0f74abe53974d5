package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"

	"grapnel/test/harness"
)

// newMachine is this machine with its programs, the aws CLI among them, as one on which anything may be changed: changes go to
// memory. It calls itself Ubuntu, because the CLI installs the agent on no other relative of Debian.
func newMachine(t *testing.T) *chroot {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for a chroot: sudo go test ./test/packages")
	}
	memory := t.TempDir()
	if err := mount(t, "tmpfs", memory, ""); err != nil {
		t.Skipf("needs the right to mount: run it as root outside of a container without that right (%v)", err)
	}
	c := &chroot{dir: filepath.Join(memory, "root")}
	for _, dir := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(memory, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := "lowerdir=/,upperdir=" + filepath.Join(memory, "upper") + ",workdir=" + filepath.Join(memory, "work")
	if err := mount(t, "overlay", c.dir, options); err != nil {
		t.Skipf("needs an overlay on this machine's files, which there is not when they are one already: run it outside of a container (%v)", err)
	}
	if err := mount(t, "proc", filepath.Join(c.dir, "proc"), ""); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.files, err = os.OpenRoot(c.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.files.Close() })
	c.expect(t, 0, "dpkg --purge codedeploy-agent >/dev/null 2>&1; rm -rf /etc/codedeploy-agent /opt/codedeploy-agent; mknod -m 666 /dev/null c 1 3 2>/dev/null; mknod -m 666 /dev/urandom c 1 9 2>/dev/null; true")
	c.write(t, "etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\nDISTRIB_CODENAME=jammy\n", 0o644)
	// The CLI wants a Ruby for the stock agent that no Ubuntu has had for years, and breaks under Python 3 when the service that
	// it stops before is not there yet.
	c.write(t, "usr/local/sbin/apt-get", "#!/bin/sh\necho \"$*\" >>/root/apt-get.log\n", 0o755)
	c.write(t, "usr/local/sbin/service", "#!/bin/sh\n[ ! -e \"/etc/init.d/$1\" ] || exec \"/etc/init.d/$1\" \"$2\"\n", 0o755)
	return c
}

// TestAWSDeployInstall registers a host, installs the agent on it and removes it again, with the aws CLI, the address, the
// region and the credentials, and nothing else: the installer and the package come from the server.
//
// service.md 15: K270
func TestAWSDeployInstall(t *testing.T) {
	t.Parallel()
	aws, err := exec.Command("python3", "-c", "import sys, awscli; print(sys.executable)").Output()
	if err != nil {
		t.Skip("needs the aws CLI v1: pip install awscli")
	}
	python := strings.TrimSpace(string(aws))
	harness.Need(t, "dpkg", "apt install dpkg")
	c := newMachine(t)
	s := harness.StartServer(t, t.TempDir(), "--packages", dist(t), "--tls", "self-signed")
	key := s.RootKey(t)
	c.write(t, "root/ca.pem", read(t, s.Env["AWS_CA_BUNDLE"]), 0o644)
	deploy := func(args string, texts ...string) {
		t.Helper()
		env := []string{
			"PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "AWS_ENDPOINT_URL=" + s.URL, "AWS_CA_BUNDLE=/root/ca.pem",
			"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_ACCESS_KEY_ID=" + key.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + key.SecretAccessKey,
		}
		out, code := c.sh(t, "cd /root && "+python+" -m awscli deploy "+args, env...)
		if code != 0 || strings.Contains(out, "ERROR") {
			t.Fatalf("aws deploy %s: exit code %d\n%s", args, code, out)
		}
		for _, text := range texts {
			if !strings.Contains(out, text) {
				t.Errorf("aws deploy %s did not say %q:\n%s", args, text, out)
			}
		}
	}
	deploy("register --instance-name web-1 --tags Key=role,Value=web")
	deploy("install --config-file codedeploy.onpremises.yml", "codedeploy-agent "+version(t)+"-1 is installed\n", "Installing the AWS CodeDeploy Agent")
	c.expect(t, 0, dpkg.query, version(t)+"-1")
	if got := c.read(t, "etc/codedeploy-agent/conf/codedeployagent.yml"); !strings.Contains(got, `deploy_control_endpoint: "`+s.URL+`"`) || !strings.Contains(got, `ca_file: "/root/ca.pem"`) {
		t.Errorf("the agent does not know the server that it comes from, or whom to trust:\n%s", got)
	}
	t.Cleanup(func() { c.sh(t, service+" stop") })
	c.expect(t, 0, service+" start")
	id := harness.Deploy(t, s, "role", map[string][]byte{"appspec.yml": []byte("version: 0.0\nos: linux\n")})
	harness.Eventually(t, 2*harness.Patience, "the deployment to succeed", func() bool {
		out, err := s.CodeDeploy(t).GetDeployment(t.Context(), &codedeploy.GetDeploymentInput{DeploymentId: &id})
		return err == nil && out.DeploymentInfo.Status == types.DeploymentStatusSucceeded
	})
	deploy("uninstall", "Uninstalling the AWS CodeDeploy Agent")
	for _, path := range []string{"opt/codedeploy-agent/bin", "etc/codedeploy-agent/conf/codedeploy.onpremises.yml"} {
		if c.exists(path) {
			t.Errorf("%s is left", path)
		}
	}
	deploy("deregister --instance-name web-1")
	if got := c.read(t, "root/apt-get.log"); got != "-y update\n-y install ruby2.0\n" {
		t.Errorf("apt-get was called with %q", got)
	}
}
