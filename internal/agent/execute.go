package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"grapnel/internal/lifecycle"
)

// executor runs commands on this host. It knows nothing of the service that sends them.
type executor struct {
	layout       layout
	maxRevisions int
	maxUnpacked  int64 // bytes, 0 = no limit
	bundles      bundleStore
	env          []string // what scripts inherit
	workDir      string   // of scripts: the agent's own
	deployments  *deploymentsLog
	log          *slog.Logger
}

// errUnsupported is the end of a command that this agent does not know.
var errUnsupported = errors.New("unsupported command type")

// run executes one command. started is called with the process group of each script.
// The note is for whoever reads how the command ended.
func (e *executor) run(ctx context.Context, name string, spec *specification, started func(pgid int)) (note string, err error) {
	download, install := name == string(lifecycle.DownloadBundle), name == string(lifecycle.Install)
	if !download && !install && !isHook(name, spec) {
		return "", fmt.Errorf("%w %q: this agent runs DownloadBundle, Install and lifecycle event hooks", errUnsupported, name)
	}
	if err := makeDir(string(e.layout.deployment(spec.GroupID, spec.DeploymentID))); err != nil {
		return "", err
	}
	switch {
	case download:
		return "", e.downloadBundle(ctx, spec)
	case install:
		return e.install(ctx, spec)
	default:
		return "", e.hook(ctx, name, spec, started)
	}
}
