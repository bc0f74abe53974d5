package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"

	"grapnel/internal/agent/source"
	"grapnel/internal/atomicfile"
	"grapnel/internal/bundle"
	"grapnel/internal/mount"
)

// downloadBundle gets the revision and unpacks it (agent.md 10). What a failure leaves behind is removed: a bundle that
// filled the disk must not make the next deployment fail too. The note says when nothing had to be downloaded.
func (e *Executor) downloadBundle(ctx context.Context, d *Deployment) (note string, err error) {
	dir := e.layout.deployment(d.GroupID, d.ID)
	if err := e.retire(d); err != nil {
		return "", err
	}
	if err := source.Forget(string(dir)); err != nil {
		return "", err
	}
	if e.reuse(ctx, d) {
		note = "the archive of deployment " + d.ReuseArchiveFrom + " was reused"
	} else if err := e.acquireTidily(ctx, d, dir); err != nil {
		source.Forget(string(dir)) //nolint:errcheck // the first error is the one that tells
		return "", err
	}
	if err := makeDir(e.layout.instructionsDir(), e.modes.Private); err != nil {
		return "", err
	}
	return note, atomicfile.WriteFile(e.layout.mostRecent(d.GroupID), []byte(dir), e.modes.State)
}

// reuse takes the archive of an earlier deployment with the same revision, if there is one that can be taken
// (agent.md 10.5). Whatever is wrong with it is no failure: the bundle is downloaded then.
func (e *Executor) reuse(ctx context.Context, d *Deployment) bool {
	if d.ReuseArchiveFrom == "" || !e.cfg.EnableArchiveReuse {
		return false
	}
	err := source.CheckReuse(d.ReuseArchiveFrom, d.ID)
	if err == nil {
		etag := ""
		if d.Revision.S3 != nil {
			etag = d.Revision.S3.ETag
		}
		earlier := e.layout.deployment(d.GroupID, d.ReuseArchiveFrom)
		_, err = e.source.Reuse(ctx, string(earlier), e.Folder(d), d.AppSpecFilename, etag)
	}
	if err != nil {
		e.log.Warn("the bundle is downloaded, because an earlier archive cannot be reused", slog.Any("error", err))
	}
	return err == nil
}

// acquireTidily removes what was taken away before it gives up for want of room.
func (e *Executor) acquireTidily(ctx context.Context, d *Deployment, dir deploymentDir) error {
	err := e.acquire(ctx, d, dir)
	noRoom := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if !noRoom || !e.Tidy() {
		return err
	}
	if err := source.Forget(string(dir)); err != nil {
		return err
	}
	return e.acquire(ctx, d, dir)
}

// acquire fetches the bundle, unpacks it, and looks for its AppSpec.
func (e *Executor) acquire(ctx context.Context, d *Deployment, dir deploymentDir) error {
	got, err := e.source.Fetch(ctx, d.Revision, dir.bundle(), dir.archive())
	if err != nil {
		return err
	}
	if !got.Unpacked {
		if err := e.unpack(ctx, d.Revision.Type(), dir); err != nil {
			return err
		}
	}
	if _, err := findAppSpec(dir, d.AppSpecFilename); err != nil {
		return err
	}
	return e.source.Record(string(dir), got)
}

// maxEntries is far above what anybody deploys. It bounds what a bundle can do to file systems that make inodes as needed,
// where nothing runs out that could be checked.
const maxEntries = 1_000_000

func (e *Executor) unpack(ctx context.Context, t bundle.Type, dir deploymentDir) error {
	on, err := mount.At(dir.archive())
	if err != nil {
		return err
	}
	_, err = bundle.Extract(ctx, dir.bundle(), t, dir.archive(), bundle.Options{
		MaxSize:         e.cfg.ArchiveMaxExtractionSize,
		MaxEntries:      maxEntries,
		Room:            func(bytes int64, entries int) error { return on.HasRoom(bytes, int64(entries)) },
		Owners:          os.Geteuid() == 0 && !e.cfg.Hardening.IgnoreOwnership, // as tar does
		Permissive:      e.cfg.TrustBundles,
		Notice:          func(entry, what string) { e.log.Warn("the bundle's " + entry + " " + what) },
		RejectLinks:     e.cfg.Hardening.RejectSymlinks,
		RejectTraversal: e.cfg.Hardening.RejectPathTraversal,
		RejectSetID:     e.cfg.Hardening.RejectUnsafePermissions,
	})
	if err == nil {
		_, err = bundle.StripWrapper(dir.archive())
	}
	if err != nil {
		return fmt.Errorf("the bundle cannot be unpacked: %w", err)
	}
	return nil
}
