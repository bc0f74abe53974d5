package executor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"grapnel/internal/appspec"
	"grapnel/internal/lifecycle"
)

// loadedAppSpec is an AppSpec with the path it was read from.
type loadedAppSpec struct {
	*appspec.AppSpec
	path string
}

// loadAppSpec reads the AppSpec of a deployment's archive.
func loadAppSpec(dir deploymentDir, name string) (*loadedAppSpec, error) {
	path, err := findAppSpec(dir, name)
	if err != nil {
		return nil, err
	}
	spec, err := appspec.ParseFile(path)
	if err != nil {
		return nil, fmt.Errorf("the AppSpec file of the revision is not valid: %w", err)
	}
	return &loadedAppSpec{spec, path}, nil
}

func findAppSpec(dir deploymentDir, name string) (string, error) {
	if _, err := os.Stat(dir.archive()); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no unpacked revision at %s", dir.archive())
	}
	path, err := appspec.Find(dir.archive(), name)
	if err != nil {
		return "", fmt.Errorf("no AppSpec file: %w", err)
	}
	return path, nil
}

// origin says whose scripts an event runs.
type origin int

const (
	current origin = iota
	lastSuccessful
	mostRecent
)

// originOf implements the table of agent.md 9.1.
func originOf(event string, d *Deployment) origin {
	rollback := d.Creator == "codeDeployRollback" && d.Type == "BLUE_GREEN"
	switch lifecycle.Event(event) {
	case lifecycle.BeforeBlockTraffic, lifecycle.AfterBlockTraffic:
		if rollback {
			return mostRecent
		}
		return lastSuccessful
	case lifecycle.ApplicationStop:
		return lastSuccessful
	case lifecycle.BeforeAllowTraffic, lifecycle.AfterAllowTraffic:
		if rollback {
			return lastSuccessful
		}
	}
	return current
}

// chosen is the revision whose AppSpec and scripts an event runs.
type chosen struct {
	dir      deploymentDir
	previous bool // not the revision being deployed
}

// choose returns the revision for an event, false when there is none: the first deployment of a group has no revision to
// stop. An earlier revision counts only until the current one is unpacked.
func (l layout) choose(event string, d *Deployment) (chosen, bool, error) {
	dir := l.deployment(d.GroupID, d.ID)
	from := originOf(event, d)
	if from == current {
		return chosen{dir: dir}, true, nil
	}
	if _, err := os.Stat(dir.archive()); err == nil {
		return chosen{dir: dir}, true, nil
	}
	pointer := l.lastSuccessful(d.GroupID)
	if from == mostRecent {
		pointer = l.mostRecent(d.GroupID)
	}
	previous, found, err := readPointer(pointer)
	return chosen{dir: previous, previous: true}, found, err
}

// scripts returns what an event runs, nothing when there is no revision to run it for.
func (l layout) scripts(event string, d *Deployment) (chosen, []appspec.Script, error) {
	from, found, err := l.choose(event, d)
	if err != nil || !found {
		return chosen{}, nil, err
	}
	app, err := loadAppSpec(from.dir, d.AppSpecFilename)
	if err != nil && from.previous {
		return chosen{}, nil, fmt.Errorf("%s runs the scripts of the revision installed before this one: %w%s", event, err, wayPast(event, d))
	} else if err != nil {
		return chosen{}, nil, err
	}
	return from, app.Hooks[event], nil
}

// wayPast says how to deploy although the previous revision is broken. Its scripts cannot be mended by a new revision, so
// without this a bad one would block every deployment after it.
func wayPast(event string, d *Deployment) string {
	info, ok := lifecycle.Lookup(lifecycle.Event(event))
	if !ok || !info.Ignorable {
		return ""
	}
	return ". To deploy past it: " + cmp.Or(d.WayPast, "aws deploy create-deployment ... --ignore-application-stop-failures")
}

// isHook reports whether a command names an event whose scripts this agent runs. Custom events are those that the service
// lists beyond its own.
func isHook(event string, d *Deployment) bool {
	info, known := lifecycle.Lookup(lifecycle.Event(event))
	if known {
		return info.Runner == lifecycle.Host && info.Scripts != lifecycle.NoScripts
	}
	return slices.Contains(d.PossibleEvents, event)
}

// scriptPath is where a location leads: below the archive even when it starts with "/", but "../" may leave it. The path
// is left as it is but for doubled slashes, so that the kernel resolves ".." where symbolic links are involved.
func scriptPath(archive, location string) string {
	path := archive + "/" + location
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}
