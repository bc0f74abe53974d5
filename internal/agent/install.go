package agent

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"grapnel/internal/appspec"
	"grapnel/internal/atomicfile"
	"grapnel/internal/lifecycle"
)

// install copies the revision's files to where its AppSpec wants them (agent.md 8). A plan that does not stand leaves the
// host as it is; one that fails in the middle leaves a cleanup file from which the next Install puts things right.
func (e *executor) install(ctx context.Context, spec *specification) (note string, err error) {
	dir := e.layout.deployment(spec.GroupID, spec.DeploymentID)
	app, err := loadAppSpec(dir, spec.AppSpecFilename)
	if err != nil {
		return "", err
	}
	if err := checkEvents(app, spec); err != nil {
		return "", err
	}
	e.warnOfMissingScripts(dir, app)
	if err := makeDir(e.layout.instructionsDir()); err != nil {
		return "", err
	}
	cleanup := e.layout.cleanup(spec.GroupID)
	old, err := readCleanup(cleanup)
	if err != nil {
		return "", err
	}
	plan, err := planInstall(dir.archive(), app.AppSpec, spec.FileExistsBehavior, old)
	if err != nil {
		return "", err
	}
	if err := plan.checkSpace(old); err != nil {
		return "", err
	}
	if err := replayCleanup(cleanup, old); err != nil {
		return "", err
	}
	if err := writeInstructions(e.layout.instructions(spec.GroupID), plan.steps); err != nil {
		return "", err
	}
	if err := execute(ctx, cleanup, plan.steps); err != nil {
		return "", err
	}
	return unknownHooks(app, spec), atomicfile.WriteFile(e.layout.lastSuccessful(spec.GroupID), []byte(dir), 0o644)
}

func execute(ctx context.Context, cleanup string, steps []instruction) error {
	c, err := createCleanup(cleanup)
	if err != nil {
		return err
	}
	for _, step := range steps {
		err := context.Cause(ctx)
		if err == nil {
			err = step.run(c)
		}
		if err != nil {
			c.close()
			return err
		}
	}
	return c.close()
}

// checkSpace compares what the copies take with what is free on each mount once the old entries are gone.
func (p *installPlan) checkSpace(old []string) error {
	d := demands{}
	for _, step := range p.steps {
		var err error
		switch s := step.(type) {
		case copyInstruction:
			err = d.add(s.Destination, s.size)
		case mkdirInstruction:
			err = d.add(s.Directory, 0)
		}
		if err != nil {
			return err
		}
	}
	for _, path := range slices.Concat(old, p.replaced) {
		d.release(path)
	}
	return d.check("installing this revision")
}

// checkEvents compares the AppSpec's hooks with the events that the service knows, if it told them (agent.md 5.3).
func checkEvents(app *loadedAppSpec, spec *specification) error {
	if spec.PossibleEvents == nil {
		return nil
	}
	var unknown, missing []string
	for name := range app.Hooks {
		if !slices.Contains(spec.PossibleEvents, name) {
			unknown = append(unknown, name)
		}
	}
	for _, name := range spec.PossibleEvents {
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
func unknownHooks(app *loadedAppSpec, spec *specification) string {
	events := make([]string, len(lifecycle.ServerEvents))
	for i, info := range lifecycle.ServerEvents {
		events[i] = string(info.Event)
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(app.Hooks)) {
		if slices.Contains(events, name) || slices.Contains(spec.PossibleEvents, name) {
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

// warnOfMissingScripts says early what will fail at its event: by then the files have been replaced.
func (e *executor) warnOfMissingScripts(dir deploymentDir, app *loadedAppSpec) {
	for event, scripts := range app.Hooks {
		info, known := lifecycle.Lookup(lifecycle.Event(event))
		if known && info.Scripts != lifecycle.NewRevision {
			continue
		}
		for _, s := range scripts {
			if isOutside(dir.archive(), s.Location) {
				continue // may be made by this Install
			}
			if failure := findScript(dir.archive(), s); failure != nil {
				e.log.Warn("a hook of the new revision will fail", slog.String("event", event), slog.String("reason", failure.message))
			}
		}
	}
}
