//go:build unix

package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is a user of the host, as far as a script needs it.
type account struct {
	name, home, shell string
	uid, gid          uint32
	groups            []uint32
}

// lookUpAccount finds a user in the local files, and otherwise through getent: a static binary does not see the users of
// LDAP or SSSD by itself.
func lookUpAccount(name string) (account, error) {
	u, err := user.Lookup(name)
	if err == nil {
		return localAccount(u)
	}
	var unknown user.UnknownUserError
	if !errors.As(err, &unknown) {
		return account{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	line, err := exec.Command("getent", "passwd", name).Output()
	if err != nil || len(line) == 0 {
		return account{}, fmt.Errorf("user %q of 'runas' is unknown on this host; create it, or correct the AppSpec", name)
	}
	return directoryAccount(string(line))
}

// localAccount completes a user that os/user found.
func localAccount(u *user.User) (account, error) {
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("look up the groups of user %s: %w", u.Username, err)
	}
	a := account{name: u.Username, home: u.HomeDir, shell: localShell(u.Username)}
	return a.withIDs(u.Uid, u.Gid, ids)
}

// directoryAccount reads a line in passwd format that getent printed, and asks id for the user's groups.
func directoryAccount(line string) (account, error) {
	f := strings.Split(strings.TrimSpace(line), ":")
	if len(f) < 7 {
		return account{}, fmt.Errorf("getent passwd: unexpected answer %q", line)
	}
	ids, err := exec.Command("id", "-G", f[0]).Output()
	if err != nil {
		return account{}, fmt.Errorf("look up the groups of user %s: id -G: %w", f[0], err)
	}
	a := account{name: f[0], home: f[5], shell: f[6]}
	return a.withIDs(f[2], f[3], strings.Fields(string(ids)))
}

// withIDs returns a with the numeric ids set.
func (a account) withIDs(uid, gid string, groups []string) (account, error) {
	for _, id := range slices.Concat([]string{uid, gid}, groups) {
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return account{}, fmt.Errorf("user %s: %w", a.name, err)
		}
		a.groups = append(a.groups, uint32(n))
	}
	a.uid, a.gid, a.groups = a.groups[0], a.groups[1], a.groups[2:]
	return a, nil
}

// localShell returns the login shell of a user in /etc/passwd, which os/user does not tell, or /bin/sh.
func localShell(name string) string {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "/bin/sh"
	}
	for line := range strings.Lines(string(passwd)) {
		f := strings.Split(strings.TrimSpace(line), ":")
		if f[0] == name && len(f) == 7 && f[6] != "" {
			return f[6]
		}
	}
	return "/bin/sh"
}

// credential is what the kernel needs to start a process as this user; nil for the agent's own user when the agent is not
// root, because then even setting one's own groups is refused.
func (a account) credential() *syscall.Credential {
	if euid := os.Geteuid(); euid != 0 && a.uid == uint32(euid) {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}
}

// environ returns env with the variables that name the user.
func (a account) environ(env []string) []string {
	return append(env, "HOME="+a.home, "USER="+a.name, "LOGNAME="+a.name, "SHELL="+a.shell)
}
