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
// All failures are told in one error, which is a *[ScriptError] when the first one is.
func (e *Executor) preflight(archive string, app *loadedAppSpec) (doubts []string, err error) {
	var failures []error
	next := true
	for _, event := range afterInstall() {
		for _, s := range app.Hooks[event] {
			if appspec.ClimbsOut(s.Location) {
				next = false // may be made by this Install
				continue
			}
			if failure := findScript(archive, s); failure != nil {
				failure.Message += fmt.Sprintf(". %s would fail%s", event, unchanged)
				failures = append(failures, failure)
				next = false
				continue
			}
			trouble := e.foresee(scriptPath(archive, s.Location), s, app)
			if trouble != nil && next {
				failures = append(failures, fmt.Errorf("%s would fail%s: %w", event, unchanged, trouble))
			} else if trouble != nil {
				doubts = append(doubts, fmt.Sprintf("%s may fail: %v", event, trouble))
			}
			next = false
		}
	}
	if len(failures) > 0 {
		return nil, together(failures)
	}
	return doubts, nil
}

const unchanged = ", so nothing was changed on this host"

// mostTold is how many failures a message names: messages travel to the service, which cuts long ones.
const mostTold = 10

// together is the first error, which tells the others too.
func together(failures []error) error {
	var others strings.Builder
	for _, f := range failures[1:min(len(failures), mostTold)] {
		others.WriteString("; also: " + strings.Replace(f.Error(), unchanged, "", 1))
	}
	if more := len(failures) - mostTold; more > 0 {
		fmt.Fprintf(&others, "; and %d more", more)
	}
	if script, ok := failures[0].(*ScriptError); ok {
		script.Message += others.String()
		return script
	}
	return fmt.Errorf("%w%s", failures[0], others.String())
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
