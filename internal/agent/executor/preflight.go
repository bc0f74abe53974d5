package executor

import (
	"fmt"
	"slices"
	"strings"

	"grapnel/internal/account"
	"grapnel/internal/appspec"
	"grapnel/internal/lifecycle"
	"grapnel/internal/script"
)

// preflight looks at the scripts that will run once the new revision is installed, before anything is changed. What is
// certain to fail is an error now: a script that is not in the bundle, and of the script that runs next its user and its
// interpreter. Of later scripts these are doubts, told to people: an earlier script may make the user or the program.
func (e *Executor) preflight(archive string, app *loadedAppSpec) (doubts []string, err error) {
	next := true
	for _, event := range afterInstall() {
		for _, s := range app.Hooks[event] {
			if appspec.ClimbsOut(s.Location) {
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
	program, found := script.Interpreter(path, e.env)
	if !found && !provides(app, program) {
		return fmt.Errorf("the interpreter of script %s, %q, is not on this host: install it or correct the first line of the script", s.Location, program)
	}
	return nil
}

// provides reports whether a program lies where this revision's files go: an interpreter may be part of the application.
func provides(app *loadedAppSpec, program string) bool {
	return slices.ContainsFunc(app.Files, func(f appspec.File) bool {
		rest, below := strings.CutPrefix(program, strings.TrimSuffix(f.Destination, "/"))
		return below && strings.HasPrefix(rest, "/")
	})
}
