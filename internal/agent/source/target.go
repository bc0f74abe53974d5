package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// target is the file that a bundle is written to.
type target struct {
	file    *os.File
	mode    fs.FileMode
	hasRoom func(bytes int64) error
	granted int64 // there is room for the file up to this size
}

// growth is for how much more room is asked at a time while the size of what comes is unknown.
const growth = 64 << 20

// create makes the file, which must not be there yet: Fetch removed what was.
func (s *Source) create(path string) (*target, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, s.Mode)
	if err != nil {
		return nil, fmt.Errorf("cannot make the bundle's file: %w", err)
	}
	return &target{file: file, mode: s.Mode, hasRoom: func(bytes int64) error { return s.HasRoom(path, bytes) }}, nil
}

// begin empties the file and sees whether there is room for a bundle of the size, -1 if it is unknown.
func (t *target) begin(size int64) error {
	if err := t.file.Truncate(0); err != nil {
		return err
	}
	t.granted = 0
	if size < 0 {
		return nil
	}
	if err := t.hasRoom(size); err != nil {
		return err
	}
	t.granted = size
	return nil
}

// WriteAt implements [io.WriterAt]. Several streams may write at once if the size was known.
func (t *target) WriteAt(p []byte, at int64) (int, error) {
	if at+int64(len(p)) > t.granted {
		if err := t.hasRoom(growth); err != nil {
			return 0, err
		}
		t.granted += growth
	}
	return t.file.WriteAt(p, at)
}

// finish gives the file its mode, whatever the umask, and closes it.
func (t *target) finish() error {
	return errors.Join(t.file.Chmod(t.mode), t.file.Close())
}

// brokenOff is a failure of the network or of a busy server: another try may do better.
type brokenOff struct{ err error }

// Error returns the network's own words.
func (b *brokenOff) Error() string { return b.err.Error() }

// Unwrap makes the cause visible.
func (b *brokenOff) Unwrap() error { return b.err }

// bufferSize is what a stream holds in memory. A quarter and four times of it were as fast.
const bufferSize = 128 << 10

// pour writes a body to the target from byte *next on, and moves *next along. The body's own failures are *brokenOff. more
// is called after each piece and says whether to go on.
func pour(body io.Reader, t *target, next *int64, more func(piece []byte) bool) error {
	buf := make([]byte, bufferSize)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, err := t.WriteAt(buf[:n], *next); err != nil {
				return err
			}
			*next += int64(n)
			if !more(buf[:n]) {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return &brokenOff{fmt.Errorf("the connection broke off: %w", err)}
		}
	}
}

// watchdog ends a context when nothing was heard for too long: a connection can stay open and bring nothing for hours.
type watchdog struct {
	patience time.Duration
	timer    *time.Timer
	cancel   context.CancelCauseFunc
}

// watch returns a context that the watchdog ends. Its stop must be called.
func watch(ctx context.Context, patience time.Duration) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{patience: patience, cancel: cancel}
	w.timer = time.AfterFunc(patience, func() {
		cancel(&brokenOff{fmt.Errorf("nothing came for %v", patience)})
	})
	return ctx, w
}

func (w *watchdog) heard() { w.timer.Reset(w.patience) }

func (w *watchdog) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// whyEnded replaces the error of a call whose context has ended by the reason for that.
func whyEnded(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
