//go:build unix

package script

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/account"
)

// needRoot skips what only root can do.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user; run the tests as root")
	}
}

// serviceUser returns a user that nobody can log in as, one in several groups if there is one.
func serviceUser(t *testing.T) account.User {
	t.Helper()
	data, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Skipf("there is no list of users: %v", err)
	}
	var found account.User
	for line := range strings.Lines(string(data)) {
		name, _, _ := strings.Cut(line, ":")
		u, err := account.Find(name)
		if err == nil && u.UID != 0 && strings.HasSuffix(u.Shell, "/nologin") && len(u.Groups) > len(found.Groups) {
			found = u
		}
	}
	if found.Name == "" {
		t.Skip("there is no user with the shell nologin; apt-get install base-passwd")
	}
	return found
}

// withFakeSudo gives the command a PATH whose sudo only says how it was called.
func withFakeSudo(t *testing.T, c Command) Command {
	t.Helper()
	bin := worldReadable(t)
	if err := os.WriteFile(filepath.Join(bin, "sudo"), []byte("#!/bin/sh\necho sudo \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c.Env = append(c.Env, "PATH="+bin+":"+defaultPath)
	return c
}

// The commands differ from those of stock agents 1.x on purpose (su PATH, sudo su PATH): su needs a login shell, which service
// accounts do not have. The table is in the package's comment.
//
// agent.md 16: 187
func TestFourCombinationsOfRunAsAndSudo(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := serviceUser(t)
	dir := worldReadable(t)
	path := filepath.Join(dir, "my script.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho user \"$(id -u)\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		runAs string
		sudo  bool
		want  string
	}{
		{"", false, "user 0"},
		{u.Name, false, fmt.Sprintf("user %d", u.UID)},
		{"", true, "sudo -n -- " + path},
		{u.Name, true, "sudo -n -u " + u.Name + " -- " + path},
	} {
		command := withFakeSudo(t, Command{Path: path, RunAs: c.runAs, Sudo: c.sudo, Timeout: time.Minute})
		r, got := runRecorded(t, t.Context(), command)
		if diff := cmp.Diff([]string{"stdout: " + c.want}, got.lines); diff != "" || r.Outcome != Succeeded {
			t.Errorf("runas %q, sudo %v: %+v (-want +got):\n%s", c.runAs, c.sudo, r, diff)
		}
	}
}

// runas was parsed and ignored. It must change user, groups and the variables that name the user, also for an account that
// nobody can log in as.
//
// users.md mistakes: 5
func TestMistake5RunAsIsTheUserWithGroupsAndVariables(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := serviceUser(t)
	path := filepath.Join(worldReadable(t), "id.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nid -u\nid -g\nid -G\necho $USER $LOGNAME $HOME $SHELL\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, got := runRecorded(t, t.Context(), Command{Path: path, RunAs: u.Name, Env: []string{"HOME=/root", "USER=root"}, Timeout: time.Minute})
	if r.Outcome != Succeeded {
		t.Fatalf("result = %+v, %q", r, got.lines)
	}
	groups := strings.Trim(fmt.Sprint(u.Groups), "[]")
	want := []string{fmt.Sprint("stdout: ", u.UID), fmt.Sprint("stdout: ", u.GID), "stdout: " + groups,
		"stdout: " + strings.Join([]string{u.Name, u.Name, u.Home, u.Shell}, " ")}
	if diff := cmp.Diff(want, got.lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A user's further groups, docker say, are why many use runas at all. Hosts of tests have no such user, so here is one.
func TestRunAsSetsAllGroups(t *testing.T) {
	t.Parallel()
	needRoot(t)
	cmd := exec.Command("id", "-G")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(account.User{UID: 12345, GID: 12346, Groups: []uint32{12346, 12347, 12348}})}
	out, err := cmd.Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "12346 12347 12348" {
		t.Errorf("groups = %q, %v", got, err)
	}
}

// An agent that is not root runs a script as itself, and as another user through sudo, which its administrator may have
// allowed. Without sudo it says what is missing.
func TestRunAsWithoutRoot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	u := serviceUser(t)
	dir := worldReadable(t)
	agent := filepath.Join(dir, "agent")
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", executable, agent).CombinedOutput(); err != nil { // where other users can reach it
		t.Fatalf("%v: %s", err, out)
	}
	script := filepath.Join(dir, "id.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho user \"$(id -u)\" in \"$(id -G)\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		runAs, path string
		want        string
	}{
		"itself":       {u.Name, defaultPath, fmt.Sprintf("stdout: user %d in %s", u.UID, strings.Trim(fmt.Sprint(u.Groups), "[]"))},
		"another":      {"root", "", "stdout: sudo -n -u root -- " + script},
		"without sudo": {"root", dir, "sudo is not in PATH (" + dir + "); let the agent run as root, or install sudo and allow it to become root without a password"},
	} {
		command := Command{Path: agent, RunAs: u.Name, Timeout: time.Minute, Env: []string{childCase + "=agent-without-root", "SCRIPT=" + script, "RUNAS=" + c.runAs}}
		if c.path == "" {
			command = withFakeSudo(t, command)
		} else {
			command.Env = append(command.Env, "PATH="+c.path)
		}
		r, got := runRecorded(t, t.Context(), command)
		if text := strings.Join(got.lines, "\n"); !strings.Contains(text, c.want) {
			t.Errorf("%s: result %+v, %q, want %q", name, r, got.lines, c.want)
		}
	}
}

// agentWithoutRoot runs a script as the test above says, and writes what came of it.
func agentWithoutRoot() int {
	env := slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, childCase+"=") })
	r := Run(context.Background(), Command{Path: os.Getenv("SCRIPT"), RunAs: os.Getenv("RUNAS"), Env: env, Timeout: time.Minute,
		Line: func(stream string, line []byte) { fmt.Printf("%s: %s\n", stream, line) }})
	fmt.Println(r.Err)
	return 0
}

// A user who may not reach the script gets to know so, instead of a bare "permission denied".
func TestRunAsWithoutAccess(t *testing.T) {
	t.Parallel()
	needRoot(t)
	c := shell(t, "closed.sh", "#!/bin/sh\n")
	if err := os.Chmod(c.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	c.RunAs = serviceUser(t).Name
	r := Run(t.Context(), c)
	if r.Outcome != NotStarted || r.Err == nil || !strings.Contains(r.Err.Error(), "that user must be able to reach and execute the file") {
		t.Errorf("result = %+v", r)
	}
}
