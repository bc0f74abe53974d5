//go:build unix

package script

import (
	"os/exec"
	"strings"
	"testing"
)

// Users of LDAP or SSSD come as a line of getent, which looks like one of /etc/passwd.
func TestDirectoryAccount(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("id"); err != nil {
		t.Skip("id is not installed; apt-get install coreutils")
	}
	a, err := directoryAccount("root:x:0:0:Charlie &:/root:/bin/zsh\n")
	if err != nil {
		t.Fatal(err)
	}
	if a.name != "root" || a.home != "/root" || a.shell != "/bin/zsh" || a.uid != 0 || a.gid != 0 || len(a.groups) == 0 {
		t.Errorf("account = %+v", a)
	}
	for line, want := range map[string]string{
		"root:x:0":                      "unexpected answer",
		"":                              "unexpected answer",
		"root:x:-1:0::/root:/bin/sh":    "invalid syntax",
		"grapnel-nobody:x:1:1::/:/bin/": "look up the groups",
	} {
		if _, err := directoryAccount(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error = %v, want %q", line, err, want)
		}
	}
}

func TestLocalShell(t *testing.T) {
	t.Parallel()
	if got := localShell("grapnel-nobody"); got != "/bin/sh" {
		t.Errorf("shell of an unknown user = %q", got)
	}
	if got := localShell("root"); !strings.HasPrefix(got, "/") {
		t.Errorf("shell of root = %q", got)
	}
}
