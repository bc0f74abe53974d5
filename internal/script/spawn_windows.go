package script

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// spawn starts the script with the given outputs: through PowerShell or the command interpreter where its name says so,
// otherwise as a program. There are no other users to become.
func spawn(c Command, stdout, stderr *os.File) (*exec.Cmd, error) {
	if c.RunAs != "" || c.Sudo {
		return nil, fmt.Errorf("run %s: 'runas' and 'sudo' on Windows: %w; remove them from the AppSpec", c.Path, errors.ErrUnsupported)
	}
	argv := []string{c.Path}
	switch strings.ToLower(filepath.Ext(c.Path)) {
	case ".ps1":
		argv = []string{"powershell.exe", "-ExecutionPolicy", "Bypass", "-File", c.Path}
	case ".bat", ".cmd":
		argv = []string{"cmd.exe", "/C", c.Path}
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = withID(c), c.Dir, stdout, stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Path, err)
	}
	return cmd, nil
}

// endGroup ends the script and what it has started, as far as that still hangs together. Programs without a window cannot be
// asked, so there is no grace.
func endGroup(pid int, _ time.Duration) bool {
	return exec.Command("taskkill.exe", "/T", "/F", "/PID", strconv.Itoa(pid)).Run() == nil
}

// awaitExit waits until the process has exited.
func awaitExit(cmd *exec.Cmd) { cmd.Wait() }

// holders cannot be told here.
func holders(*os.File) []string { return nil }

// endingSignal is empty: there are no signals here.
func endingSignal(*os.ProcessState) string { return "" }
