package install

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// execute makes what was planned.
func (p *Plan) execute(ctx context.Context) error {
	l, err := createLedger(p.options.CleanupFile, p.options.Mode)
	if err != nil {
		return err
	}
	for _, stage := range []func(context.Context, *ledger) error{p.makeSteps, p.setAccesses, p.setContexts} {
		if err = stage(ctx, l); err != nil {
			break
		}
	}
	return errors.Join(err, l.close())
}

// make notes the folder afterwards: one that somebody else has made meanwhile is not ours to remove.
func (f *folder) make(l *ledger) error {
	err := os.Mkdir(f.path, 0o755)
	if err == nil {
		f.made = true
		return l.note(f.path)
	}
	if m, statErr := stat(f.path); errors.Is(err, fs.ErrExist) && statErr == nil && m.mode.IsDir() {
		return nil
	}
	return fmt.Errorf("cannot make the folder: %w", err)
}

// batch is how many files are noted with one write before they are copied.
const batch = 16

// makeSteps makes the folders in their order while others copy side by side what is to be in them. The first error ends all.
func (p *Plan) makeSteps(ctx context.Context, l *ledger) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan []*file)
	var copiers sync.WaitGroup
	for range min(atOnce(), 1+len(p.files)/batch) {
		copiers.Go(func() {
			c := newCopier()
			for files := range batches {
				if err := c.copyBatch(ctx, l, files); err != nil {
					cancel(err)
				}
			}
		})
	}
	if err := p.handOut(ctx, l, batches); err != nil {
		cancel(err)
	}
	close(batches)
	copiers.Wait()
	return context.Cause(ctx)
}

// handOut makes the folders and hands out the files, in batches. A file that takes the place of another is alone in its
// batch: if this Install ends before it is copied, then the other must not be noted as ours, because the next Install
// removes what is noted.
func (p *Plan) handOut(ctx context.Context, l *ledger, batches chan<- []*file) error {
	var files []*file
	for _, s := range p.steps {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		switch s := s.(type) {
		case *folder:
			if err := s.make(l); err != nil {
				return err
			}
		case *file:
			if s.replaced != nil {
				batches <- []*file{s}
			} else if files = append(files, s); len(files) == batch {
				batches <- files
				files = nil
			}
		}
	}
	if len(files) > 0 {
		batches <- files
	}
	return nil
}

func (c *copier) copyBatch(ctx context.Context, l *ledger, files []*file) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.destination
	}
	if err := l.note(names...); err != nil {
		return err
	}
	for i, f := range files {
		if i > 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.copy(ctx, l, f); err != nil {
			if f.replaced != nil {
				l.withdraw(f.destination)
			}
			return fmt.Errorf("cannot copy to %s: %w", f.destination, err)
		}
	}
	return nil
}

// copy makes the file under another name first. Renaming instead of writing in place replaces a program that is running
// and does not write through a link, and nobody sees half a file. In a folder that this Install has just made there is
// nothing to replace, and nobody who relies on what is there: such a file, if it is still the first of its name, gets it
// at once, which spares the system a tenth of all its work for many small files.
func (c *copier) copy(ctx context.Context, l *ledger, f *file) error {
	if f.in != nil && f.in.made {
		err := c.copyTo(ctx, f, f.destination)
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	temp := tempName(f.destination)
	err := c.copyTo(ctx, f, temp)
	if errors.Is(err, fs.ErrExist) {
		if !isLeftover(temp) || os.Remove(temp) != nil {
			temp = filepath.Join(filepath.Dir(temp), ".codedeploy-"+strings.ToLower(rand.Text()[:16]))
			if err := l.note(temp); err != nil {
				return err
			}
			defer l.withdraw(temp)
		}
		err = c.copyTo(ctx, f, temp)
	}
	if err != nil {
		return err
	}
	if err := rename(temp, f.destination); err != nil {
		_ = os.Remove(temp) // the error that matters is the first
		return err
	}
	return nil
}

// copyTo makes path, which must not be there, the copy.
func (c *copier) copyTo(ctx context.Context, f *file, path string) error {
	if !f.from.isLink() {
		return c.copyFile(ctx, f, path)
	}
	target, err := os.Readlink(f.source)
	if err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// tempName is where a copy is made before it gets its name. It follows from the destination, so that the next Install
// finds what a crash left behind, and it has the same short length for every name.
func tempName(destination string) string {
	dir, base := filepath.Split(destination)
	sum := sha256.Sum256([]byte(base))
	return dir + ".codedeploy-" + hex.EncodeToString(sum[:8])
}

// isLeftover reports whether what has a temporary name may be what a crash left of a copy. Anything else belongs to somebody.
func isLeftover(temp string) bool {
	m, err := lstat(temp)
	return err == nil && !m.mode.IsDir() && (m.uid < 0 || m.uid == os.Geteuid())
}

// tempLength is that of every temporary name, with the slash before it.
var tempLength = len(tempName("/"))

// finish gives a file that was just made the owner, mode and access list that it is to have. The set-id bits of the source
// are kept only if its owner could be kept too: otherwise they would lend the agent's own rights (agent.md 8.2).
func (f *file) finish(h handle) error {
	mode, a := f.from.mode&permissionBits, f.access
	if a == nil || a.owner.uid < 0 || a.owner.gid < 0 {
		err := h.chown(ids{f.from.uid, f.from.gid})
		if isForbidden(err) {
			mode &^= fs.ModeSetuid | fs.ModeSetgid
		} else if err != nil {
			return err
		}
	}
	if a == nil {
		return h.chmod(mode)
	}
	if a.mode == nil {
		a = &access{path: a.path, mode: &mode, acl: a.acl, owner: a.owner}
	}
	return a.set(h)
}
