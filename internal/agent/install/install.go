package install

import (
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strconv"

	"grapnel/internal/account"
	"grapnel/internal/agent/config"
	"grapnel/internal/appspec"
)

// Options say what to install and where this group's records are.
type Options struct {
	Archive          string // the unpacked bundle
	Root             string // where the agent keeps its own records, which no destination may lie in; "" for nowhere
	AppSpec          *appspec.AppSpec
	AppSpecPath      string           // for messages
	Behavior         string           // what the deployment wants done with files that exist already; the AppSpec's own wins
	CleanupFile      string           // of the group (agent.md 6.2)
	InstructionsFile string           // of the group, written for people
	Mode             fs.FileMode      // of these two files; 0 = 0644
	Hardening        config.Hardening // agent.md 15
	Log              *slog.Logger     // nil for none
}

// Plan is an Install that was compared with the host and has not run yet.
type Plan struct {
	options  Options
	accounts account.Cache
	old      *record // what the previous Install made

	steps    []step             // folders and files to make, in the order of the instructions
	folders  map[string]*folder // the steps that make folders, by path
	files    map[string]*file   // the steps that copy, by destination
	kept     []Change           // files of the host that stay, by RETAIN
	accesses []*access          // permissions to set, in the order of the AppSpec
	demands  demands
	// conflicts are what stands in the way. A plan that has some does not run.
	conflicts  []Change
	missing    []string          // destinations of sources that are not in the bundle
	installers map[string]string // group ids by path, nil until asked for
}

// New plans an Install. It reads the host and changes nothing. When something stands in the way the error is a *Refusal,
// which names everything that does. Every error says that nothing was changed.
func New(ctx context.Context, o Options) (*Plan, error) {
	p, err := Preview(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := p.refusal(); err != nil {
		return nil, err
	}
	return p, nil
}

// Preview plans an Install as New does, but what stands in its way is no error: it is found among the plan's Changes, and
// Run refuses such a plan. It serves those who want to see what an Install would do.
func Preview(ctx context.Context, o Options) (*Plan, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Mode = cmp.Or(o.Mode, 0o644)
	p := &Plan{options: o, folders: map[string]*folder{}, files: map[string]*file{}}
	for _, look := range []func(context.Context) error{p.readRecord, p.placeFiles, p.placePermissions, p.checkHost, p.checkLinks, p.measure} {
		if err := look(ctx); err != nil {
			return nil, &unchangedError{err}
		}
	}
	return p, nil
}

// Run removes what the previous Install made, writes the instructions and executes them. When it fails in the middle, the
// cleanup file tells the next Install what to remove.
func (p *Plan) Run(ctx context.Context) error {
	if p.options.Hardening.RejectSymlinkPermissionTargets {
		_ = p.checkLinks(ctx) // one may have come since
	}
	if err := p.refusal(); err != nil {
		return err
	}
	p.warnOfEdits()
	left, err := p.old.replay(ctx)
	if err != nil {
		return err
	}
	p.leave(left)
	if err := p.writeInstructions(); err != nil {
		return err
	}
	return p.execute(ctx)
}

// leave takes out of the plan the folders that are still there, because they hold something that is not ours.
func (p *Plan) leave(left map[string]bool) {
	p.steps = slices.DeleteFunc(p.steps, func(s step) bool { f, ok := s.(*folder); return ok && left[f.path] })
	p.accesses = slices.DeleteFunc(p.accesses, func(a *access) bool { return left[a.path] })
}

func (p *Plan) readRecord(ctx context.Context) (err error) {
	p.old, err = readRecord(ctx, p.options.CleanupFile, p.options.Log)
	return err
}

// warnOfEdits names the files that go although someone has changed them since they were installed (users.md row 23). They
// go as with stock agents, which do not say so.
func (p *Plan) warnOfEdits() {
	edited := slices.Sorted(maps.Keys(p.old.edited(p.options.InstructionsFile)))
	if len(edited) == 0 {
		return
	}
	p.options.Log.Warn("files of the previous deployment were changed on this host after it installed them; they are removed or replaced",
		slog.Int("count", len(edited)), slog.Any("first", edited[:min(len(edited), mostNamed)]))
}

// where names a line of the AppSpec, for messages.
func (p *Plan) where(line int) string {
	name := "AppSpec"
	if p.options.AppSpecPath != "" {
		name = filepath.Base(p.options.AppSpecPath)
	}
	return name + " line " + strconv.Itoa(line)
}
