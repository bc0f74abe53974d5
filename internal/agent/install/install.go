// Package install is the Install event (agent.md 8): it copies a revision's files to where its AppSpec wants them and sets
// their permissions, after it has removed what the group's previous Install made.
package install

import (
	"context"
	"log/slog"
	"slices"

	"grapnel/internal/appspec"
)

// Options say what to install and where this group's records are.
type Options struct {
	Archive          string // the unpacked bundle
	AppSpec          *appspec.AppSpec
	AppSpecPath      string // for messages
	Behavior         string // what the deployment wants done with files that exist already; the AppSpec's own wins
	CleanupFile      string // of the group (agent.md 6.2)
	InstructionsFile string // of the group
	Flags            Flags
	Log              *slog.Logger
}

// Flags are the hardening switches that touch an Install (agent.md 15), all off by default.
type Flags struct {
	RejectPathTraversal            bool // reject_path_traversal_in_bundle
	RejectUnsafePermissions        bool // reject_unsafe_permissions_in_bundle
	RejectUnconfinedSELinux        bool // reject_unconfined_selinux_in_bundle
	RejectSymlinkPermissionTargets bool // reject_symlink_permission_targets
}

// Plan is an Install that has been checked against the host.
type Plan struct {
	*installPlan
	options Options
	old     []string
}

// New plans an Install. It reads the host and changes nothing.
func New(_ context.Context, o Options) (*Plan, error) {
	old, err := readCleanup(o.CleanupFile)
	if err != nil {
		return nil, err
	}
	plan, err := planInstall(o.Archive, o.AppSpec, o.Behavior, old)
	if err != nil {
		return nil, err
	}
	if err := plan.checkSpace(old); err != nil {
		return nil, err
	}
	return &Plan{installPlan: plan, options: o, old: old}, nil
}

// Run removes what the previous Install made, writes the instructions and executes them. When it fails in the middle, the
// cleanup file tells the next Install what to remove.
func (p *Plan) Run(ctx context.Context) error {
	if err := replayCleanup(p.options.CleanupFile, p.old); err != nil {
		return err
	}
	if err := writeInstructions(p.options.InstructionsFile, p.steps); err != nil {
		return err
	}
	return execute(ctx, p.options.CleanupFile, p.steps)
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
