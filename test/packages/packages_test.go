// Package packages holds the tests of what `make packages` builds: the packages as files, and installed, run, updated and
// removed for real in a chroot.
package packages

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// built builds the packages once, into the folder of the programs, which is removed at the end.
var built = sync.OnceValues(func() (string, error) {
	dir := harness.Path("dist")
	return dir, buildInto(dir)
})

// buildInto builds with a time of its own: that of the last commit may change between two builds.
func buildInto(dir string) error {
	build := exec.Command("../../packaging/build", dir)
	build.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("packaging/build: %w\n%s", err, out)
	}
	return nil
}

// dist is the folder with the packages.
func dist(t *testing.T) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// find returns the path of the one package that a pattern names.
func find(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dist(t), pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: found %q, %v", pattern, found, err)
	}
	return found[0]
}

// output runs a program of this machine and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, cmd.Stderr)
	}
	return string(out)
}

// version is what the program itself says.
func version(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(strings.TrimPrefix(output(t, harness.Path("codedeploy-agent"), "--version"), "codedeploy-agent "))
}

// files are what both packages hold besides the unit: mode, path and what it links to.
var files = []string{
	"-rw-r--r-- /etc/codedeploy-agent/conf/codedeployagent.yml",
	"-rwxr-xr-x /opt/codedeploy-agent/bin/codedeploy-agent",
	"-rwxr-xr-x /opt/codedeploy-agent/bin/codedeploy-agent-service",
	"-rwxr-xr-x /opt/codedeploy-agent/bin/install",
	"-r--r--r-- /opt/codedeploy-agent/.version",
	"drwxr-xr-x /opt/codedeploy-agent/deployment-root",
	"drwxr-xr-x /opt/codedeploy-agent/state/.pid",
	"drwxr-xr-x /var/log/aws/codedeploy-agent",
}

func TestDeb(t *testing.T) {
	t.Parallel()
	harness.Need(t, "dpkg-deb", "apt install dpkg")
	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			deb := find(t, "codedeploy-agent_*_"+arch+".deb")
			want := fmt.Sprintf("codedeploy-agent %s-1 %s", version(t), arch)
			got := output(t, "dpkg-deb", "--show", "--showformat=${Package} ${Version} ${Architecture}", deb)
			if got != want {
				t.Errorf("the package calls itself %q, want %q", got, want)
			}
			wantFiles := append([]string{
				"-rw-r--r-- /lib/systemd/system/codedeploy-agent.service",
				"-rwxr-xr-x /etc/init.d/codedeploy-agent",
			}, files...)
			checkListing(t, wantFiles, debListing(t, deb))
			checkUnpacked(t, arch, func(dir string) { output(t, "dpkg-deb", "--extract", deb, dir) })
			control := t.TempDir()
			output(t, "dpkg-deb", "--control", deb, control)
			conffiles := "/etc/codedeploy-agent/conf/codedeployagent.yml\n/etc/init.d/codedeploy-agent\n"
			if diff := cmp.Diff(conffiles, read(t, control, "conffiles")); diff != "" {
				t.Errorf("conffiles (-want +got):\n%s", diff)
			}
		})
	}
}

// debListing returns lines of mode and path. Links come with a mode of 0, which dpkg does not use.
func debListing(t *testing.T, deb string) []string {
	t.Helper()
	var list []string
	for line := range strings.Lines(output(t, "dpkg-deb", "--contents", deb)) {
		fields := strings.Fields(line)
		list = append(list, fields[0]+" "+strings.TrimSuffix(strings.TrimPrefix(strings.Join(fields[5:], " "), "."), "/"))
	}
	return list
}

func TestRPM(t *testing.T) {
	t.Parallel()
	harness.Need(t, "rpm", "apt install rpm")
	harness.Need(t, "cpio", "apt install cpio")
	for arch, goarch := range map[string]string{"x86_64": "amd64", "aarch64": "arm64"} {
		t.Run(arch, func(t *testing.T) {
			t.Parallel()
			rpm := find(t, "codedeploy-agent-*."+arch+".rpm")
			want := fmt.Sprintf("codedeploy-agent %s 1 %s localhost", version(t), arch)
			if got := output(t, "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{BUILDHOST}", rpm); got != want {
				t.Errorf("the package calls itself %q, want %q", got, want)
			}
			wantFiles := append([]string{"-rw-r--r-- /usr/lib/systemd/system/codedeploy-agent.service"}, files...)
			checkListing(t, wantFiles, strings.Split(output(t, "rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", rpm), "\n"))
			checkUnpacked(t, goarch, func(dir string) {
				// The names in the package are absolute: without the option they would land in this machine's own folders.
				output(t, "sh", "-c", `cd "$2" && rpm2cpio "$1" | cpio --extract --make-directories --no-absolute-filenames --quiet 2>&1`, "sh", rpm, dir)
			})
			config := output(t, "rpm", "-qp", "--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\n]", rpm)
			if line := "cn /etc/codedeploy-agent/conf/codedeployagent.yml\n"; !strings.Contains(config, line) {
				t.Errorf("no line %q (c: configuration, n: never replaced) in:\n%s", line, config)
			}
			checkScripts(t, output(t, "rpm", "-qp", "--scripts", rpm))
			if got := output(t, "rpm", "-qp", "--requires", rpm); !regexp.MustCompile(`\A/bin/bash\n(rpmlib\(.*\n)*\z`).MatchString(got) {
				t.Errorf("requires more than a shell and rpm's own features:\n%s", got)
			}
		})
	}
}

// checkScripts: what starts the agent must run when the scripts of a replaced stock package have run, which may stop it.
func checkScripts(t *testing.T, scripts string) {
	t.Helper()
	for _, kind := range []string{"preinstall", "preuninstall", "postuninstall", "posttrans"} {
		if !strings.Contains(scripts, kind+" scriptlet (using /bin/sh)") {
			t.Errorf("no %s script", kind)
		}
	}
	if strings.Contains(scripts, "postinstall scriptlet") {
		t.Error("there is a postinstall script; posttrans does its work")
	}
}

func checkListing(t *testing.T, want, got []string) {
	t.Helper()
	have := map[string]bool{}
	for _, line := range got {
		have[line] = true
	}
	for _, line := range want {
		if !have[line] {
			t.Errorf("not in the package: %s", line)
		}
	}
	if t.Failed() {
		t.Log("the package holds:\n" + strings.Join(got, "\n"))
	}
}

// checkUnpacked looks into the files of a package.
func checkUnpacked(t *testing.T, arch string, unpack func(dir string)) {
	t.Helper()
	dir := t.TempDir()
	unpack(dir)
	bin := filepath.Join(dir, "opt/codedeploy-agent/bin")
	for link, want := range map[string]string{"codedeploy-local": "codedeploy-agent", "uninstall": "install"} {
		if got, err := os.Readlink(filepath.Join(bin, link)); err != nil || got != want {
			t.Errorf("%s links to %q, %v, want %s", link, got, err, want)
		}
	}
	if got, want := read(t, dir, "opt/codedeploy-agent/.version"), "agent_version: "+version(t)+"\n"; got != want {
		t.Errorf(".version holds %q, want %q", got, want)
	}
	program, err := elf.Open(filepath.Join(bin, "codedeploy-agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	if program.Machine != machines[arch] {
		t.Errorf("the program is for %s, want %s", program.Machine, arch)
	}
	if libraries, err := program.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the program needs %v, %v; hosts have different libraries", libraries, err)
	}
}

// Who builds a commit again can check that a published package was made from it.
func TestPackagesAreReproducible(t *testing.T) {
	t.Parallel()
	first, again := dist(t), t.TempDir()
	if err := buildInto(again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(read(t, first, "SHA256SUMS"), read(t, again, "SHA256SUMS")); diff != "" {
		t.Errorf("built twice (-first +second):\n%s", diff)
	}
}

func TestShellScriptsAreClean(t *testing.T) {
	t.Parallel()
	shellcheck := harness.Need(t, "shellcheck", "apt install shellcheck")
	for _, name := range []string{"build", "install", "preinst", "postinst", "prerm", "postrm", "codedeploy-agent.init", "codedeploy-agent-service"} {
		output(t, shellcheck, "--severity=warning", filepath.Join("../../packaging", name))
	}
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
