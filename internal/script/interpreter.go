package script

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultPath is the PATH of a script whose environment names none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Interpreter returns the program that the first line of a script wants, as a path or as a name that env looks up, and
// whether it is on this host. A script without such a line wants none, and /bin/sh runs it.
func Interpreter(path string, env []string) (program string, found bool) {
	words := shebang(path)
	if len(words) == 0 {
		return "", true
	}
	program = strings.TrimSuffix(words[0], "\r")
	if filepath.Base(program) == "env" {
		if i := slices.IndexFunc(words[1:], func(w string) bool { return w[0] != '-' && !strings.Contains(w, "=") }); i >= 0 {
			program = strings.TrimSuffix(words[1+i], "\r")
		}
	}
	if strings.Contains(program, "/") {
		_, err := os.Stat(program)
		return program, err == nil
	}
	_, err := find(program, withPath(env))
	return program, err == nil
}

// shebang returns the words of the first line of a script that begins with "#!", nil for others.
func shebang(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	head := make([]byte, 256) // all that the kernel reads
	n, _ := f.Read(head)
	line, isScript := strings.CutPrefix(string(head[:n]), "#!")
	if !isScript {
		return nil
	}
	line, _, _ = strings.Cut(line, "\n")
	return strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
}

// find looks a program up in the PATH of env, which need not be the agent's.
func find(program string, env []string) (string, error) {
	for _, dir := range filepath.SplitList(value(env, "PATH")) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not in PATH (%s)", program, value(env, "PATH"))
}

// withPath returns env with a PATH.
func withPath(env []string) []string {
	if value(env, "PATH") == "" {
		env = append(env, "PATH="+defaultPath)
	}
	return env
}

// value returns what env sets key to. The last setting counts, as in os/exec.
func value(env []string, key string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], key+"="); ok {
			return v
		}
	}
	return ""
}
