package doctor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"grapnel/internal/account"
	"grapnel/internal/agent/config"
)

// system tells what a report of a bug needs.
func system(_ context.Context, r *Result) {
	r.saw("codedeploy-agent %s", config.Version)
	r.saw("%s/%s", runtime.GOOS, runtime.GOARCH)
	if kernel, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		r.saw("kernel %s", strings.TrimSpace(string(kernel)))
	}
	if name := distribution(); name != "" {
		r.saw("%s", name)
	}
}

// distribution is the name that a Linux calls itself (os-release(5)).
func distribution() string {
	data, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

// checkUser says what follows from the user: only root can run scripts as somebody else without more ado (agent.md 9.3).
func checkUser(_ context.Context, r *Result) {
	name := fmt.Sprintf("user %d", os.Geteuid())
	if u, err := account.Current(); err == nil {
		name = u.Name
	}
	if os.Geteuid() == 0 {
		r.saw("%s: scripts can run as any user (runas)", name)
		return
	}
	if _, err := exec.LookPath("sudo"); err != nil {
		r.warn(name+", and there is no sudo", "an agent of this user cannot run scripts as others (runas) nor set owners of files: run it as root, or install sudo")
		return
	}
	r.saw("%s: scripts can run as somebody else (runas) where sudo allows it without a password; owners of files cannot be set", name)
}

// checkPrograms looks for what some features need.
func checkPrograms(_ context.Context, r *Result) {
	if runtime.GOOS == "windows" {
		r.skip("none are needed on Windows")
		return
	}
	needed := []struct{ name, why, get string }{
		{"sh", "scripts with runas or without an interpreter of their own cannot run", "a shell"},
		{"getent", "users and groups of LDAP or SSSD are unknown to runas and owner", "libc-bin (Debian), glibc-common (Red Hat) or musl-utils (Alpine)"},
	}
	if enforcing, err := os.ReadFile("/sys/fs/selinux/enforce"); err == nil && strings.TrimSpace(string(enforcing)) == "1" {
		r.saw("SELinux is enforcing")
		for _, name := range []string{"semanage", "restorecon"} {
			needed = append(needed, struct{ name, why, get string }{name, "AppSpecs with a context cannot be installed", "policycoreutils and policycoreutils-python-utils"})
		}
	}
	var found []string
	for _, p := range needed {
		if _, err := exec.LookPath(p.name); err != nil {
			r.warn("there is no "+p.name+": "+p.why, "install "+p.get)
			continue
		}
		found = append(found, p.name)
	}
	if len(found) > 0 {
		r.saw("%s are there", strings.Join(found, ", "))
	}
}
