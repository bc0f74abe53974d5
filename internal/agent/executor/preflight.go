package executor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/account"
	"grapnel/internal/appspec"
	"grapnel/internal/lifecycle"
)

// preflight looks at the scripts that will run once the new revision is installed, before anything is changed. What is
// certain to fail is an error now: a script that is not in the bundle, and of the script that runs next its user and its
// interpreter. Of later scripts these are doubts, told to people: an earlier script may make the user or the program.
func (e *Executor) preflight(archive string, app *loadedAppSpec) (doubts []string, err error) {
	next := true
	for _, event := range afterInstall() {
		for _, s := range app.Hooks[event] {
			if isOutside(archive, s.Location) {
				next = false // may be made by this Install
				continue
			}
			if failure := findScript(archive, s); failure != nil {
				failure.Message += fmt.Sprintf(". %s would fail, so nothing was changed on this host", event)
				return nil, failure
			}
			trouble := e.foresee(scriptPath(archive, s.Location), s, app)
			if trouble != nil && next {
				return nil, fmt.Errorf("%s would fail, so nothing was changed on this host: %w", event, trouble)
			}
			if trouble != nil {
				doubts = append(doubts, fmt.Sprintf("%s may fail: %v", event, trouble))
			}
			next = false
		}
	}
	return doubts, nil
}

// afterInstall lists the events that run scripts of the new revision after Install, in their order.
func afterInstall() []string {
	var events []string
	installed := false
	for _, info := range lifecycle.ServerEvents {
		if installed && info.Scripts == lifecycle.NewRevision {
			events = append(events, string(info.Event))
		}
		installed = installed || info.Event == lifecycle.Install
	}
	return events
}

// foresee returns why a script that is there could not be started.
func (e *Executor) foresee(path string, s appspec.Script, app *loadedAppSpec) error {
	if s.RunAs != "" {
		if _, err := account.Find(s.RunAs); err != nil {
			return fmt.Errorf("script %s (AppSpec line %d): runas: %w", s.Location, s.Line, err)
		}
	}
	program, err := interpreter(path)
	if err != nil || program == "" || e.provides(app, program) {
		return err
	}
	if _, err := e.lookPath(program); err != nil {
		return fmt.Errorf("the interpreter of script %s, %q, is not on this host: install it or correct the first line of the script", s.Location, program)
	}
	return nil
}

// interpreter returns the program that the first line of a script names, "" when there is none: a path, or what env looks up.
func interpreter(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head := make([]byte, 256) // all that the kernel reads
	n, _ := f.Read(head)
	line, isScript := strings.CutPrefix(string(head[:n]), "#!")
	if !isScript {
		return "", nil
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.Fields(strings.Trim(line, " \t")) // a "\r" at the end is left out: the start of the script explains it better
	if len(words) == 0 {
		return "", nil
	}
	if filepath.Base(words[0]) != "env" {
		return words[0], nil
	}
	rest := slices.DeleteFunc(words[1:], func(w string) bool { return strings.HasPrefix(w, "-") || strings.Contains(w, "=") })
	if len(rest) == 0 {
		return words[0], nil
	}
	return rest[0], nil
}

// lookPath finds a program as a script's start would, in the PATH that scripts get.
func (e *Executor) lookPath(program string) (string, error) {
	if strings.Contains(program, "/") {
		_, err := os.Stat(program)
		return program, err
	}
	for _, dir := range filepath.SplitList(variable(e.env, "PATH")) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", errors.Join(fs.ErrNotExist)
}

// provides reports whether a program lies where this revision's files go: an interpreter may be part of the application.
func (e *Executor) provides(app *loadedAppSpec, program string) bool {
	return slices.ContainsFunc(app.Files, func(f appspec.File) bool {
		rest, below := strings.CutPrefix(program, strings.TrimSuffix(f.Destination, "/"))
		return below && strings.HasPrefix(rest, "/")
	})
}

func variable(env []string, name string) string {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}
