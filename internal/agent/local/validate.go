package local

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/agent/executor"
	"grapnel/internal/agent/source"
	"grapnel/internal/appspec"
	"grapnel/internal/bundle"
)

// deployment is what a valid command line wants to be run.
type deployment struct {
	executor.Deployment
	events []string // in their order
}

// deployment checks the command line, in the order of stock agents (agent.md 1.2).
func (o *options) deployment() (*deployment, error) {
	types := []string{string(bundle.Tgz), string(bundle.Tar), string(bundle.Zip), string(source.Directory)}
	if !slices.Contains(types, o.kind) {
		return nil, fmt.Errorf("--type %q is none of %s", o.kind, strings.Join(types, ", "))
	}
	r, err := revision(o.location, o.kind, o.token)
	if err != nil {
		return nil, err
	}
	if r.Local != nil && r.Local.Type == source.Directory {
		if err := o.checkAppSpec(r.Local.Location); err != nil {
			return nil, err
		}
	}
	events := split(o.events)
	if err := checkOrder(events); err != nil {
		return nil, err
	}
	if err := checkNames(events); err != nil {
		return nil, err
	}
	if err := o.checkRest(); err != nil {
		return nil, err
	}
	all := completed(events)
	own := all[slices.Index(all, downloadBundle)+1:]
	return &deployment{
		Deployment: executor.Deployment{
			ID:                 newID(),
			GroupID:            o.group,
			GroupName:          o.groupName,
			ApplicationName:    cmp.Or(o.application, o.name(r)),
			Creator:            "user",
			Type:               "IN_PLACE",
			AppSpecFilename:    o.appSpec,
			FileExistsBehavior: o.behavior,
			PossibleEvents:     possible(events),
			Revision:           r,
			WayPast:            "run it again with --events " + strings.Join(own, ","), // without the scripts of the revision before
		},
		events: all,
	}, nil
}

// name is the location as the run's messages and scripts see it: of a folder or file its absolute path.
func (o *options) name(r source.Revision) string {
	if r.Local != nil {
		return r.Local.Location
	}
	return o.location
}

// checkAppSpec looks for the AppSpec of a folder before it is copied. A name that was given must be there; without one both
// of the usual names will do.
func (o *options) checkAppSpec(folder string) error {
	names := []string{o.appSpec}
	if o.appSpec == appspec.DefaultName {
		names = []string{"appspec.yml", "appspec.yaml"}
	}
	for _, name := range names {
		if info, err := os.Stat(filepath.Join(folder, name)); err == nil && !info.IsDir() {
			return nil
		}
	}
	advice := "write one, name it with --appspec-filename, or name the folder that has it with --bundle-location"
	if o.appSpec != appspec.DefaultName {
		advice = "correct --appspec-filename, which is a path in the folder"
	}
	return fmt.Errorf("the folder %s has no %s; %s", folder, strings.Join(names, " or "), advice)
}

// checkRest looks at what stock agents find out only in the middle of a deployment.
func (o *options) checkRest() error {
	behaviors := []string{appspec.Disallow, appspec.Overwrite, appspec.Retain}
	o.behavior = strings.ToUpper(o.behavior)
	if !slices.Contains(behaviors, o.behavior) {
		return fmt.Errorf("--file-exists-behavior %q is none of %s", o.behavior, strings.Join(behaviors, ", "))
	}
	if !executor.IsGroup(o.group) {
		return fmt.Errorf("--deployment-group %q cannot be the name of a folder in the deployment root; choose another", o.group)
	}
	if o.groupName == "" {
		return errors.New("--deployment-group-name is empty; leave it out or give a name")
	}
	if !filepath.IsLocal(o.appSpec) {
		return fmt.Errorf("--appspec-filename %q leads out of the bundle; it is a path in the bundle", o.appSpec)
	}
	return nil
}

// newID makes up a deployment id in the form of stock agents: d-XXXXXXXXX-local.
func newID() string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	id := make([]byte, 9)
	for i := range id {
		id[i] = letters[rand.N(len(letters))]
	}
	return "d-" + string(id) + "-local"
}
