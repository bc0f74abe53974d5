package install

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// branch is a name in a folder of the archive.
type branch struct {
	name     string
	meta              // links not followed
	folder   bool     // a folder, or a link to one
	circular bool     // a folder that is one of those above it
	children []branch // of a folder, in the order of their names
}

// deepest bounds the depth of a tree where links that lead in a circle cannot be told by their serial numbers.
const deepest = 500

// readTree returns what is in a folder and all below it. It follows links to folders, but not back to one that leads here:
// that would be an endless tree.
func readTree(ctx context.Context, path string, m meta) ([]branch, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := treeReader{ctx: ctx, fail: cancel, hands: make(chan struct{}, atOnce())}
	root := branch{folder: true}
	r.read(path, &root, []fileID{m.id()})
	r.reading.Wait()
	return root.children, context.Cause(ctx)
}

// treeReader reads folders side by side, as far as it has hands.
type treeReader struct {
	ctx     context.Context
	fail    context.CancelCauseFunc
	hands   chan struct{}
	reading sync.WaitGroup
}

// read fills a folder; above holds the folders that lead to it, and itself.
func (r *treeReader) read(path string, b *branch, above []fileID) {
	if r.ctx.Err() != nil {
		return
	}
	var err error
	if b.children, err = readFolder(path); err != nil {
		r.fail(err)
		return
	}
	slices.SortFunc(b.children, func(a, b branch) int { return cmp.Compare(a.name, b.name) })
	for i := range b.children {
		child := &b.children[i]
		below, target := path+"/"+child.name, child.meta
		if child.isLink() {
			if m, err := stat(below); err == nil {
				target = m
			}
		}
		child.folder = target.mode.IsDir()
		child.circular = child.folder && (target.serial != 0 && slices.Contains(above, target.id()) || len(above) > deepest)
		if child.folder && !child.circular {
			r.readBelow(below, child, append(above[:len(above):len(above)], target.id()))
		}
	}
}

func (r *treeReader) readBelow(path string, b *branch, above []fileID) {
	select {
	case r.hands <- struct{}{}:
		r.reading.Go(func() {
			r.read(path, b, above)
			<-r.hands
		})
	default:
		r.read(path, b, above)
	}
}
