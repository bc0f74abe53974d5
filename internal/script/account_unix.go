//go:build unix

package script

import (
	"errors"
	"fmt"
	"os"
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

// credential is what the kernel needs to start a process as this user; nil for the agent's own user when the agent is not
// root, because then even setting one's own groups is refused.
func credential(u account.User) *syscall.Credential {
	if euid := os.Geteuid(); euid != 0 && u.UID == uint32(euid) {
		return nil
	}
	return &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
}

// environ returns env with the variables that name the user.
func environ(u account.User, env []string) []string {
	return append(env, "HOME="+u.Home, "USER="+u.Name, "LOGNAME="+u.Name, "SHELL="+u.Shell)
}
