package agent

import (
	"context"
	"fmt"
	"os"

	"grapnel/internal/atomicfile"
	"grapnel/internal/bundle"
)

// downloadBundle gets the revision and unpacks it (agent.md 10). What a failure leaves behind is removed: a bundle that
// filled the disk must not make the next deployment fail too.
func (e *executor) downloadBundle(ctx context.Context, spec *specification) error {
	dir := e.layout.deployment(spec.GroupID, spec.DeploymentID)
	if err := e.retire(spec); err != nil {
		return err
	}
	if err := discard(dir); err != nil {
		return err
	}
	if err := e.acquire(ctx, spec, dir); err != nil {
		discard(dir) //nolint:errcheck // the first error is the one that tells
		return err
	}
	if err := makeDir(e.layout.instructionsDir()); err != nil {
		return err
	}
	return atomicfile.WriteFile(e.layout.mostRecent(spec.GroupID), []byte(dir), 0o644)
}

func discard(dir deploymentDir) error {
	for _, path := range []string{dir.bundle(), dir.archive()} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("cannot remove what an earlier attempt left: %w", err)
		}
	}
	return nil
}

func (e *executor) acquire(ctx context.Context, spec *specification, dir deploymentDir) error {
	if err := e.fetch(ctx, spec.Revision, dir.bundle()); err != nil {
		return err
	}
	if err := e.unpack(ctx, spec.Revision.S3.BundleType, dir); err != nil {
		return err
	}
	_, err := findAppSpec(dir, spec.AppSpecFilename)
	return err
}

// fetch brings the bundle of any kind of revision to path.
func (e *executor) fetch(ctx context.Context, r revision, path string) error {
	switch r.Type {
	case "S3":
		return e.bundles.fetch(ctx, r.S3, path)
	default: // GitHub, Local File, Local Directory
		return fmt.Errorf("revisions of the type %q are not served by this version of the agent, they come with the next: put the bundle into S3", r.Type)
	}
}

// maxEntries is far above what anybody deploys. It bounds what a bundle can do to file systems that make inodes as needed,
// where mount.check has nothing to compare with.
const maxEntries = 1_000_000

func (e *executor) unpack(ctx context.Context, t bundle.Type, dir deploymentDir) error {
	size, err := bundle.Measure(ctx, dir.bundle(), t)
	if err != nil {
		return fmt.Errorf("the bundle cannot be read: %w", err)
	}
	m, err := mountOf(dir.archive())
	if err != nil {
		return err
	}
	if err := m.check("the unpacked bundle", dir.archive(), size.Bytes, int64(size.Entries)); err != nil {
		return err
	}
	owners := os.Geteuid() == 0 // as tar does
	options := bundle.Options{MaxSize: e.maxUnpacked, MaxEntries: maxEntries, Owners: owners}
	if _, err := bundle.Extract(ctx, dir.bundle(), t, dir.archive(), options); err != nil {
		return fmt.Errorf("the bundle cannot be unpacked: %w", err)
	}
	if _, err := bundle.StripWrapper(dir.archive()); err != nil {
		return fmt.Errorf("the bundle cannot be unpacked: %w", err)
	}
	return nil
}
