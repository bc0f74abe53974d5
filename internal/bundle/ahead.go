package bundle

import (
	"context"
	"io"
)

// aheadBlocks is how many blocks the inflating side may be ahead of the writing side: enough to carry one over the other's
// pauses, half a MiB in all.
const aheadBlocks = 8

// ahead reads a source in a goroutine of its own, so that inflating and writing use two processors. It counts what has been
// read from it.
type ahead struct {
	blocks  chan block    // read, in order; closed after the one with an error
	free    chan []byte   // to be read into
	stopped chan struct{} // closed when the goroutine has ended
	stop    context.CancelFunc

	current block
	n       int64
}

// block is one result of a Read.
type block struct {
	data   []byte
	unread []byte // the end of data
	err    error
}

// readAhead begins to read. close must be called before the source is closed.
func readAhead(ctx context.Context, source io.Reader) *ahead {
	ctx, stop := context.WithCancel(ctx)
	a := &ahead{
		blocks:  make(chan block, aheadBlocks+1), // and one for the error of the end
		free:    make(chan []byte, aheadBlocks),
		stopped: make(chan struct{}),
		stop:    stop,
	}
	for range aheadBlocks {
		a.free <- make([]byte, blockLength)
	}
	go a.run(ctx, source)
	return a
}

func (a *ahead) run(ctx context.Context, source io.Reader) {
	defer close(a.stopped)
	defer close(a.blocks)
	for {
		var data []byte
		select {
		case data = <-a.free:
		case <-ctx.Done():
			a.blocks <- block{err: ctx.Err()}
			return
		}
		n, err := readBlock(source, data)
		a.blocks <- block{data: data, unread: data[:n], err: err}
		if err != nil {
			return
		}
	}
}

// Read returns what was read ahead.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.current.unread) == 0 {
		if a.current.err != nil {
			return 0, a.current.err
		}
		if a.current.data != nil {
			a.free <- a.current.data
		}
		a.current = <-a.blocks
	}
	n := copy(p, a.current.unread)
	a.current.unread = a.current.unread[n:]
	a.n += int64(n)
	return n, nil
}

// close ends the reading and waits for it.
func (a *ahead) close() {
	a.stop()
	<-a.stopped
}
