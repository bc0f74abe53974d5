//go:build unix

package script

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"

	"grapnel/internal/account"
)

// runAs finds the user of a script.
func runAs(name string) (account.User, error) {
	u, err := account.Find(name)
	var unknown *account.Unknown
	if errors.As(err, &unknown) {
		return u, fmt.Errorf("user %q of 'runas' is unknown on this host; create it, or correct the AppSpec", name)
	}
	return u, err
}

// canBecome reports whether the agent may start a process as this user without help.
func canBecome(u account.User) bool {
	euid := os.Geteuid()
	return euid == 0 || u.UID == uint32(euid)
}

// credential is what the kernel needs to start a process as this user; nil for the agent's own user when the agent is not
// root, because then even setting one's own groups is refused.
func credential(u account.User) *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// environ returns env with the variables that name the user.
func environ(u account.User, env []string) []string {
	return append(env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name, "SHELL="+u.Shell)
}

// ownUser is who the agent runs as, which does not change while it does.
var ownUser = sync.OnceValues(account.Current)

// withOwnUser returns env with those of the variables that name the agent's user which it lacks. A service manager starts
// the agent without HOME, and composer, npm, git and many other programs fail without it.
func withOwnUser(env []string) []string {
	if value(env, "HOME") != "" && value(env, "USER") != "" && value(env, "LOGNAME") != "" && value(env, "SHELL") != "" {
		return env
	}
	u, err := ownUser()
	if err != nil {
		return env // a container's user need not have an entry; stock agents set none of them
	}
	for _, setting := range environ(u, nil) {
		name, _, _ := strings.Cut(setting, "=")
		if value(env, name) == "" {
			env = append(env, setting)
		}
	}
	return env
}
