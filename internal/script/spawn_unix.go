//go:build unix

package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// busyTries and busyPause bound the wait for a script that is "text file busy": a process forked by another hook in the
// moment in which the agent wrote the script holds it open for writing until its own exec.
const (
	busyTries = 10
	busyPause = 20 * time.Millisecond
)

// spawn starts the script with the given outputs, in a group of its own. A file without "#!" is run by /bin/sh, as a shell
// would (agent.md 9.2).
func spawn(c Command, stdout, stderr *os.File) (*exec.Cmd, error) {
	argv, attr, env, err := plan(c)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		cmd := &exec.Cmd{
			Path: argv[0], Args: argv, Env: env, Dir: c.Dir,
			Stdout: stdout, Stderr: stderr, SysProcAttr: attr, // no Stdin: reads get EOF
		}
		err := cmd.Start()
		switch {
		case err == nil:
			return cmd, nil
		case errors.Is(err, syscall.ENOEXEC) && argv[0] == c.Path:
			argv = []string{"/bin/sh", c.Path}
		case errors.Is(err, syscall.ETXTBSY) && try < busyTries:
			time.Sleep(busyPause)
		default:
			return nil, explain(c, err)
		}
	}
}

// plan turns the command into an argument list, process attributes and an environment; the table is in the package's
// comment.
func plan(c Command) (argv []string, attr *syscall.SysProcAttr, env []string, err error) {
	attr = &syscall.SysProcAttr{Setpgid: true}
	env = withPath(withID(c))
	if c.Sudo {
		argv, err = sudoCommand(c, env, "install sudo, or remove 'sudo: true' from the script's entry in the AppSpec")
		return argv, attr, withOwnUser(env), err
	}
	if c.RunAs == "" {
		return []string{c.Path}, attr, withOwnUser(env), nil
	}
	u, err := runAs(c.RunAs)
	if err != nil {
		return nil, nil, nil, err
	}
	if !canBecome(u) {
		argv, err = sudoCommand(c, env, "let the agent run as root, or install sudo and allow it to become "+c.RunAs+" without a password")
		return argv, attr, withOwnUser(env), err
	}
	attr.Credential = credential(u)
	return []string{c.Path}, attr, environ(u, env), nil
}

// sudoCommand returns the argument list that runs the script through sudo. It never asks for a password: nobody would see
// the question. advice is what to do without sudo.
func sudoCommand(c Command, env []string, advice string) ([]string, error) {
	sudo, err := find("sudo", env)
	if err != nil {
		return nil, fmt.Errorf("run %s with sudo: %w; %s", c.Path, err, advice)
	}
	argv := []string{sudo, "-n"}
	if c.RunAs != "" {
		argv = append(argv, "-u", c.RunAs)
	}
	return append(argv, "--", c.Path), nil
}

// explain adds to the error of a failed start what the kernel does not say.
func explain(c Command, err error) error {
	info, statErr := os.Stat(c.Path)
	switch {
	case statErr != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a folder, not a script: %w", c.Path, err)
	case errors.Is(err, syscall.ENOENT):
		return explainMissing(c, err)
	case errors.Is(err, syscall.EPERM) && c.RunAs != "":
		return fmt.Errorf("run %s as %s: %w; the agent runs as root without the right to become another user "+
			"(CAP_SETUID and CAP_SETGID; see CapabilityBoundingSet of its service)", c.Path, c.RunAs, err)
	case errors.Is(err, syscall.EACCES) && c.RunAs != "":
		return fmt.Errorf("run %s as %s: %w; that user must be able to reach and execute the file", c.Path, c.RunAs, err)
	}
	return err
}

// explainMissing tells why the kernel says "no such file" of a script that exists: it means the working folder, or the
// program after "#!".
func explainMissing(c Command, err error) error {
	if c.Dir != "" {
		if _, statErr := os.Stat(c.Dir); statErr != nil {
			return fmt.Errorf("run %s: working folder: %w", c.Path, statErr)
		}
	}
	interpreter := ""
	if words := shebang(c.Path); words != nil {
		interpreter = words[0]
	}
	if strings.HasSuffix(interpreter, "\r") {
		return fmt.Errorf("%s has Windows line endings, so its interpreter is taken to be %q: %w; save it with Unix line endings (dos2unix)",
			c.Path, interpreter, err)
	}
	if interpreter != "" {
		return fmt.Errorf("the interpreter of %s, %s, is not on this host: %w; install it or correct the first line of the script",
			c.Path, interpreter, err)
	}
	return err
}
