package executor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"grapnel/internal/agent/install"
	"grapnel/internal/appspec"
	"grapnel/internal/atomicfile"
	"grapnel/internal/lifecycle"
)

// install copies the revision's files to where its AppSpec wants them (agent.md 8). What can be known to fail fails before
// anything on the host is changed; what fails in the middle leaves a cleanup file from which the next Install puts things
// right.
func (e *Executor) install(ctx context.Context, d *Deployment) (note string, err error) {
	dir := e.layout.deployment(d.GroupID, d.ID)
	app, err := loadAppSpec(dir, d.AppSpecFilename)
	if err != nil {
		return "", err
	}
	if err := checkEvents(app, d); err != nil {
		return "", err
	}
	doubts, err := e.preflight(dir.archive(), app)
	if err != nil {
		return "", err
	}
	if err := makeDir(e.layout.instructionsDir(), e.modes.Private); err != nil {
		return "", err
	}
	plan, err := install.New(ctx, e.installOptions(d, app))
	if err != nil {
		return "", err
	}
	if err := plan.Run(ctx); err != nil {
		return "", err
	}
	if unknown := unknownHooks(app, d); unknown != "" {
		doubts = append(doubts, unknown)
	}
	return strings.Join(doubts, "; "), atomicfile.WriteFile(e.layout.lastSuccessful(d.GroupID), []byte(dir), e.modes.State)
}

func (e *Executor) installOptions(d *Deployment, app *loadedAppSpec) install.Options {
	return install.Options{
		Archive:          e.layout.deployment(d.GroupID, d.ID).archive(),
		Root:             e.layout.root,
		AppSpec:          app.AppSpec,
		AppSpecPath:      app.path,
		Behavior:         d.FileExistsBehavior,
		CleanupFile:      e.layout.cleanup(d.GroupID),
		InstructionsFile: e.layout.instructions(d.GroupID),
		Mode:             e.modes.State,
		Hardening:        e.cfg.Hardening,
		Log:              e.log,
	}
}

// CheckEvents says before Install, of a revision's folder, that Install will refuse its hooks. An AppSpec that cannot be read is Install's to tell.
func CheckEvents(folder string, d *Deployment) error {
	path, err := appspec.Find(folder, d.AppSpecFilename)
	if err != nil {
		return nil
	}
	app, err := appspec.ParseFile(path)
	if err != nil {
		return nil
	}
	return checkEvents(&loadedAppSpec{app, path}, d)
}

// checkEvents compares the AppSpec's hooks with the events that the service knows, if it told them (agent.md 5.3).
func checkEvents(app *loadedAppSpec, d *Deployment) error {
	if len(d.PossibleEvents) == 0 {
		return nil
	}
	var unknown, missing []string
	for name := range app.Hooks {
		if !slices.Contains(d.PossibleEvents, name) {
			unknown = append(unknown, name)
		}
	}
	for _, name := range d.PossibleEvents {
		_, builtin := lifecycle.Lookup(lifecycle.Event(name))
		if _, ok := app.Hooks[name]; !ok && !builtin {
			missing = append(missing, name)
		}
	}
	slices.Sort(unknown)
	switch {
	case len(unknown) > 0:
		return fmt.Errorf("%s has hooks for events that this deployment does not have: %s; nothing was changed on this host", app.path, strings.Join(unknown, ", "))
	case len(missing) > 0:
		return fmt.Errorf("%s has no hooks for the custom events %s; nothing was changed on this host", app.path, strings.Join(missing, ", "))
	}
	return nil
}

// unknownHooks names the hooks of an AppSpec that no event runs, most often because of a typing mistake: "" when there are
// none. Stock agents say nothing, and the deployment succeeds without the script.
func unknownHooks(app *loadedAppSpec, d *Deployment) string {
	events := make([]string, len(lifecycle.ServerEvents))
	for i, info := range lifecycle.ServerEvents {
		events[i] = string(info.Event)
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(app.Hooks)) {
		if slices.Contains(events, name) || slices.Contains(d.PossibleEvents, name) {
			continue
		}
		if near := appspec.Suggest(name, events); near != "" {
			name += " (did you mean " + near + "?)"
		}
		found = append(found, name)
	}
	if len(found) == 0 {
		return ""
	}
	return "the AppSpec has hooks for no lifecycle event, which never run: " + strings.Join(found, ", ")
}
