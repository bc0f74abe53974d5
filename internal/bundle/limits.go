package bundle

import (
	"errors"
	"fmt"
	"math"
	"syscall"

	"grapnel/internal/mount"
)

// demand adds up what the entries declare and holds it against the limits. That is enough to stop a bomb of any kind, because
// both formats are read in a way that never yields more than an entry declared.
type demand struct {
	Stats
}

// add counts an entry that is about to be unpacked.
func (d *demand) add(e *entry, o *Options) error {
	d.Entries++
	if limit := o.MaxEntries; limit > 0 && d.Entries > limit {
		return &Error{Message: fmt.Sprintf("the archive has more than %d entries, the limit on this host", limit)}
	}
	if !e.regular() {
		return nil
	}
	if e.size < 0 || e.size > math.MaxInt64-d.Bytes {
		return &Error{Message: "its size is impossible"}
	}
	if limit := o.MaxSize; limit > 0 && e.size > limit-d.Bytes {
		return &Error{Message: fmt.Sprintf("with it the archive unpacks to more than %d bytes, the limit on this host", limit)}
	}
	d.Bytes += e.size
	return nil
}

// room asks whether there is space for so much.
func (s Stats) room(o *Options) error {
	if o.Room == nil {
		return nil
	}
	if err := o.Room(s.Bytes, s.Entries); err != nil {
		return noRoom{err}
	}
	return nil
}

// noRoom is an answer of Room, which says what is needed and what there is.
type noRoom struct{ error }

func (e noRoom) Unwrap() error { return e.error }

// diskFull says what is needed and what there was room for, when the disk filled up in the middle.
func (u *unpacker) diskFull(dst string, err error) error {
	known := noRoom{}
	if errors.As(err, &known) || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return err
	}
	need := max(u.wanted.Bytes, u.estimate.Bytes)
	return fmt.Errorf("disk full: unpacked it needs at least %s, and there was room for %s; the part that was unpacked is removed again, "+
		"make room (bytes or inodes) where %s lies, or keep fewer old revisions with max_revisions: %w",
		mount.MiB(need), mount.MiB(u.written.Load()), dst, err)
}
