package executor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"grapnel/internal/agent/install"
	"grapnel/internal/appspec"
	"grapnel/internal/lifecycle"
	"grapnel/internal/mount"
)

// Preview is what a deployment would do on this host, and what would stop it.
type Preview struct {
	Failures []string         `json:"failures"` // why it would fail, beside conflicts among Changes and scripts that fail
	Doubts   []string         `json:"doubts"`   // why it may fail
	Changes  []install.Change `json:"changes"`
	Scripts  []PlannedScript  `json:"scripts"` // in the order in which they would run
	Room     []mount.Room     `json:"room"`    // for the bundle, its archive and the installed files
}

// PlannedScript is a script that a deployment would run.
type PlannedScript struct {
	Event    string `json:"event"`
	Location string `json:"location"`
	Line     int    `json:"line"`               // of the AppSpec
	Previous string `json:"previous,omitempty"` // folder of the revision installed before, when the script is of that one
	RunAs    string `json:"runas,omitempty"`
	Sudo     bool   `json:"sudo,omitempty"`
	Timeout  int    `json:"timeout"`           // seconds
	Problem  string `json:"problem,omitempty"` // why it fails, or may fail
	Fails    bool   `json:"fails,omitempty"`   // the problem is certain
}

// Preview says what Run would do for the events, one after the other. It brings and unpacks the bundle in temp, a folder
// that the caller removes, and changes nothing else. An error means that it was broken off.
func (e *Executor) Preview(ctx context.Context, d *Deployment, events []string, temp string) (*Preview, error) {
	p := &preview{executor: e, deployment: d, events: events, temp: deploymentDir(temp), out: &Preview{
		Failures: []string{}, Doubts: []string{}, Changes: []install.Change{}, Scripts: []PlannedScript{}, Room: []mount.Room{}, // JSON has lists
	}}
	for _, event := range events {
		look := func(context.Context) error { return p.hook(event) }
		switch event {
		case string(lifecycle.DownloadBundle):
			look = p.download
		case string(lifecycle.Install):
			look = p.install
		}
		err := look(ctx)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			p.fail(fmt.Errorf("%s would fail: %w", event, err))
		}
		if err != nil && event == string(lifecycle.DownloadBundle) {
			break // nothing is known of the revision
		}
	}
	p.nameBundle()
	return p.out, nil
}

// preview is a Preview in the making.
type preview struct {
	executor   *Executor
	deployment *Deployment
	events     []string
	temp       deploymentDir
	unpacked   bool
	refused    []string // paths that Install refuses, each told among the failures
	out        *Preview
}

func (p *preview) fail(err error) { p.out.Failures = append(p.out.Failures, err.Error()) }

func (p *preview) download(ctx context.Context) error {
	if err := p.executor.acquire(ctx, p.deployment, p.temp); err != nil {
		return err
	}
	p.unpacked = true
	return nil
}

// hook lists the scripts of an event. Before DownloadBundle they are those of an earlier revision.
func (p *preview) hook(event string) error {
	from, app, err := p.revision(event)
	if err != nil || app == nil {
		return err
	}
	for _, s := range app.Hooks[event] {
		p.out.Scripts = append(p.out.Scripts, p.planned(event, s, from, app))
	}
	return nil
}

// revision returns the AppSpec that an event takes its scripts from, nil for none.
func (p *preview) revision(event string) (chosen, *loadedAppSpec, error) {
	if p.unpacked {
		app, err := loadAppSpec(p.temp, p.deployment.AppSpecFilename)
		return chosen{dir: p.temp}, app, err
	}
	from, found, err := p.executor.layout.choose(event, p.deployment)
	if err != nil || !found {
		return chosen{}, nil, err
	}
	app, err := loadAppSpec(from.dir, p.deployment.AppSpecFilename)
	if err != nil && from.previous {
		err = fmt.Errorf("it runs the scripts of the revision installed before: %w", err)
	}
	return from, app, err
}

func (p *preview) planned(event string, s appspec.Script, from chosen, app *loadedAppSpec) PlannedScript {
	planned := PlannedScript{
		Event: event, Location: s.Location, Line: s.Line, RunAs: s.RunAs, Sudo: s.Sudo, Timeout: int(s.Timeout.Seconds()),
	}
	if from.previous {
		planned.Previous = from.dir.archive()
	}
	planned.Problem, planned.Fails = p.problem(s, from, app)
	return planned
}

// problem foresees the failure of a script. It is certain when the script is not in the bundle, or when nothing runs before
// it that could mend it.
func (p *preview) problem(s appspec.Script, from chosen, app *loadedAppSpec) (problem string, certain bool) {
	archive := from.dir.archive()
	if appspec.ClimbsOut(s.Location) {
		return p.problemOutside(s, from)
	}
	if failure := findScript(archive, s); failure != nil {
		return failure.Message, true
	}
	if err := p.executor.foresee(scriptPath(archive, s.Location), s, app); err != nil {
		return err.Error(), len(p.out.Scripts) == 0
	}
	return "", false
}

// problemOutside looks for a script that is not in the bundle where it will be: the way there begins at the deployment's own
// folder and not at the temporary one.
func (p *preview) problemOutside(s appspec.Script, from chosen) (problem string, certain bool) {
	if p.executor.cfg.Hardening.RejectPathTraversal {
		return outsideRefused(s).Message, true
	}
	archive := from.dir.archive()
	if from.dir == p.temp {
		archive = p.executor.layout.deployment(p.deployment.GroupID, p.deployment.ID).archive()
	}
	path := filepath.Clean(scriptPath(archive, s.Location))
	_, err := os.Stat(path)
	if err == nil || slices.ContainsFunc(p.out.Changes, func(c install.Change) bool { return c.Path == path }) {
		return "", false
	}
	return fmt.Sprintf("script %s (AppSpec line %d) lies outside the bundle, and %s is not there now", s.Location, s.Line, path), false
}

// install compares the revision with the host. All that is wrong is gathered, so that it can be mended in one go.
func (p *preview) install(ctx context.Context) error {
	app, err := loadAppSpec(p.temp, p.deployment.AppSpecFilename)
	if err != nil {
		return err
	}
	if err := checkEvents(app, p.deployment); err != nil {
		p.fail(err)
	}
	p.lookAtOthers(app)
	options := p.executor.installOptions(p.deployment, app)
	options.Archive = p.temp.archive()
	plan, err := install.Preview(ctx, options)
	if err != nil {
		return err
	}
	for _, c := range plan.Changes() {
		if c.Action != install.Refused {
			p.out.Changes = append(p.out.Changes, c)
			continue
		}
		p.refused = append(p.refused, c.Path)
		p.out.Failures = append(p.out.Failures, strings.TrimSuffix(c.Reason+". "+c.Advice, ". "))
	}
	p.doubtConflicts()
	return p.measure(plan.Room())
}

// lookAtOthers looks at the scripts of events that are not among those of this deployment: Install insists on them too.
func (p *preview) lookAtOthers(app *loadedAppSpec) {
	for _, event := range afterInstall() {
		if slices.Contains(p.events, event) {
			continue
		}
		for _, s := range app.Hooks[event] {
			if failure := findScript(p.temp.archive(), s); failure != nil && !appspec.ClimbsOut(s.Location) {
				p.fail(failure)
			}
		}
	}
}

// doubtConflicts says that a script may clear the way: many a BeforeInstall removes what is in it.
func (p *preview) doubtConflicts() {
	if len(p.out.Scripts) == 0 || !slices.ContainsFunc(p.out.Changes, func(c install.Change) bool { return c.Action == install.Conflict }) {
		return
	}
	last := p.out.Scripts[len(p.out.Scripts)-1]
	p.out.Doubts = append(p.out.Doubts, fmt.Sprintf("the conflicts are those of now: %s (%s), which runs before Install, may remove what is in the way",
		last.Location, last.Event))
}

// measure adds what the bundle and its archive take below the deployment root. What they take in the temporary folder counts
// as free.
func (p *preview) measure(rooms []mount.Room) error {
	bytes, files, err := usage(string(p.temp))
	if err != nil {
		return err
	}
	here, err := mount.At(string(p.temp))
	if err != nil {
		return err
	}
	root, err := mount.At(p.executor.cfg.RootDir)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(rooms, func(r mount.Room) bool { return r.Mount == root.Point })
	if at < 0 {
		rooms, at = append(rooms, root.Room(0, 0)), len(rooms)
	}
	rooms[at].Bytes += bytes
	rooms[at].Files += files
	for i := range rooms {
		if rooms[i].Mount == here.Point {
			rooms[i].FreeBytes += bytes
			if rooms[i].FreeFiles >= 0 {
				rooms[i].FreeFiles += files
			}
		}
	}
	p.out.Room = rooms
	p.refuseShortage(rooms[at])
	return nil
}

// refuseShortage is about the mount of the deployment root. Install has found the shortages of the others.
func (p *preview) refuseShortage(r mount.Room) {
	if short := r.Shortage("the deployment"); short != nil && !slices.Contains(p.refused, r.Mount) {
		p.fail(short)
	}
}

// block is the usual unit in which file systems give out space.
const block = 4096

// usage adds up what a folder takes on a disk.
func usage(folder string) (bytes, files int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		bytes += (info.Size() + block - 1) / block * block
		files++
		return nil
	})
	return bytes, files, err
}

// nameBundle takes the temporary folder out of what people read: it is gone by then.
func (p *preview) nameBundle() {
	name := func(text *string) { *text = strings.ReplaceAll(*text, p.temp.archive(), "BUNDLE") }
	for i := range p.out.Failures {
		name(&p.out.Failures[i])
	}
	for i := range p.out.Changes {
		name(&p.out.Changes[i].Reason)
	}
	for i := range p.out.Scripts {
		name(&p.out.Scripts[i].Problem)
	}
}

// PreviousRevision is the folder of the revision installed before, when the event runs its scripts and not those of the
// revision being deployed; else "".
func (e *Executor) PreviousRevision(event string, d *Deployment) string {
	from, found, err := e.layout.choose(event, d)
	if err != nil || !found || !from.previous {
		return ""
	}
	return from.dir.archive()
}
