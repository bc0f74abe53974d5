package bundle

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
)

// crew writes small files of a tar while the next headers are read. The reader makes the files, in the archive's order, so that
// the order of names stays what decides; only filling and closing them, which goes by descriptors, is left to the crew.
type crew struct {
	ctx   context.Context // ends with the first error
	stop  context.CancelFunc
	files chan unfinished
	free  chan []byte // buffers, which bound memory and open files
	done  sync.WaitGroup

	once sync.Once
	err  error // the first
}

// unfinished is a file that was made and is yet empty, with its content.
type unfinished struct {
	f       *os.File
	dir     *folder // may be closed by now
	entry   *entry
	content []byte
}

const (
	crewSize    = 2
	crewBuffers = 32
)

func (u *unpacker) crew(ctx context.Context) *crew {
	ctx, stop := context.WithCancel(ctx)
	c := &crew{ctx: ctx, stop: stop, files: make(chan unfinished, crewBuffers), free: make(chan []byte, crewBuffers)}
	for range crewBuffers {
		c.free <- nil // made when first used
	}
	for range crewSize {
		c.done.Go(func() { c.run(u) })
	}
	return c
}

// run finishes files until there are no more. After an error or the context's end it only closes them: then they are empty, which
// must not pass for a success.
func (c *crew) run(u *unpacker) {
	for file := range c.files {
		err := c.ctx.Err()
		if err == nil {
			err = inEntry(file.entry.name, judge(u.finishSmall(file)))
		}
		c.fail(err)
		file.f.Close()
		c.free <- file.content[:0]
	}
}

func (c *crew) fail(err error) {
	if err != nil {
		c.once.Do(func() { c.err = err })
		c.stop()
	}
}

// takes reports whether a file is for the crew.
func (c *crew) takes(e *entry) bool { return c != nil && finishesByDescriptor && e.size <= smallFile }

// smallFile is the size up to which reading a file whole and handing it over is cheaper than waiting for its blocks.
const smallFile = 32 << 10

// add reads the content and hands the file over, which is closed in any case.
func (c *crew) add(f *os.File, dir *folder, e *entry, content io.Reader) error {
	select {
	case buffer := <-c.free:
		if buffer == nil {
			buffer = make([]byte, 0, smallFile)
		}
		buffer = buffer[:e.size]
		if _, err := readBlock(content, buffer); err != nil && !errors.Is(err, io.EOF) {
			f.Close()
			return corrupt(err)
		}
		c.files <- unfinished{f, dir, e, buffer} // never waits: there are no more buffers than places
		return nil
	case <-c.ctx.Done():
		f.Close()
		return c.ctx.Err()
	}
}

// wait ends the crew's work and returns its first error, which counts more than what the reader ended with: it came from an
// earlier entry.
func (c *crew) wait(err error) error {
	close(c.files)
	c.done.Wait()
	c.stop()
	if c.err != nil {
		return c.err
	}
	return err
}

// finishSmall fills a file, like fill, and completes it.
func (u *unpacker) finishSmall(file unfinished) error {
	if isZero(file.content) {
		if err := file.f.Truncate(int64(len(file.content))); err != nil {
			return err
		}
	} else if _, err := file.f.Write(file.content); err != nil {
		return err
	}
	u.written.Add(int64(len(file.content)))
	return complete(file.f, file.dir, file.entry)
}
