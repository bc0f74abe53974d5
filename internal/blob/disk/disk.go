// Package disk keeps objects in a folder.
//
//	ROOT/tmp/                            what is being written, or being removed
//	ROOT/buckets/BUCKET/bucket           its time of change is when the bucket was made
//	ROOT/buckets/BUCKET/objects/KEY      a record (record.go) under an escaped name (name.go): the current version
//	ROOT/buckets/BUCKET/uploads/ID/      an unfinished upload: its own record, and one for each part
//	ROOT/buckets/BUCKET/versioning       the blob.Versioning, once it was set
//	ROOT/buckets/BUCKET/versions/KEY/ID  the other versions (version.go), likewise
//
// Everything is written in tmp, synced, renamed to its place, and the place's folder synced, before it is acknowledged.
// So a crash leaves either the old object or the new one, and of what was not acknowledged at most a file in tmp, which
// the next Open removes. One process at a time owns a root.
package disk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"grapnel/internal/blob"
)

// Store is a blob.Store, blob.Buckets, blob.Multipart and blob.Versions in a folder.
type Store struct {
	root string
	log  *slog.Logger

	// mu is held while names are made and removed, so that a folder cannot go away between the check that it is there
	// and the rename into it. It is never held while data is copied or synced.
	mu sync.Mutex

	writing    locks // files of objects that are about to be replaced or removed
	completing locks // ids of uploads
}

var (
	_ blob.Store     = (*Store)(nil)
	_ blob.Buckets   = (*Store)(nil)
	_ blob.Multipart = (*Store)(nil)
	_ blob.Versions  = (*Store)(nil)
)

// Open opens the store in the folder root, which is made if it does not exist, and removes what a crash left in tmp. log is
// told of damaged files.
func Open(root string, log *slog.Logger) (*Store, error) {
	s := &Store{root: root, log: log}
	if err := os.RemoveAll(s.tmp()); err != nil {
		return nil, fmt.Errorf("clear bundle store: %w", err)
	}
	for _, dir := range []string{s.tmp(), s.buckets()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make bundle store: %w", err)
		}
	}
	if err := syncDir(root); err != nil {
		return nil, fmt.Errorf("make bundle store: %w", err)
	}
	return s, nil
}

func (s *Store) tmp() string     { return filepath.Join(s.root, "tmp") }
func (s *Store) buckets() string { return filepath.Join(s.root, "buckets") }

// newID is unguessable, and safe as a file name.
func newID() string { return rand.Text() }

// isID reports whether a client's id can be one of newID's: others may be paths.
func isID(id string) bool {
	return id != "" && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// Reap drops uploads to which nothing was added for blob.UploadLife before now. It returns how many. The store does not
// call it by itself.
func (s *Store) Reap(ctx context.Context, now time.Time) (int, error) {
	buckets, err := s.ListBuckets(ctx)
	if err != nil {
		return 0, err
	}
	reaped := 0
	for _, bucket := range buckets {
		n, err := s.reapBucket(s.uploads(bucket.Name), now.Add(-blob.UploadLife))
		if reaped += n; err != nil {
			return reaped, fmt.Errorf("drop abandoned uploads of %s: %w", bucket.Name, err)
		}
	}
	return reaped, ctx.Err()
}

func (s *Store) reapBucket(uploads string, before time.Time) (int, error) {
	entries, err := os.ReadDir(uploads)
	if err != nil {
		return 0, gone(err)
	}
	reaped := 0
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.ModTime().After(before) {
			continue
		}
		if err == nil {
			err = s.discard(filepath.Join(uploads, entry.Name()))
		}
		if gone(err) != nil {
			return reaped, err
		}
		reaped++
	}
	return reaped, nil
}

// gone forgives that something has been removed by another request meanwhile.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// publish renames a finished file from tmp to the path below base. Folders between the two are made; base itself must
// exist, or else missing is returned.
func (s *Store) publish(tmp, base, path string, missing error) error {
	if err := s.place(tmp, base, path, missing); err != nil {
		return full(err)
	}
	return syncUp(filepath.Dir(path), base)
}

func (s *Store) place(tmp, base, path string, missing error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// remove deletes a file, if there is one, and then the folders between it and base that are empty.
func (s *Store) remove(base, path string) error {
	s.mu.Lock()
	err := os.Remove(path)
	if err == nil {
		prune(filepath.Dir(path), base)
	}
	s.mu.Unlock()
	if err != nil {
		return gone(err)
	}
	return syncUp(filepath.Dir(path), base)
}

// prune removes dir and the folders between it and base as far as they are empty; mu is held.
func prune(dir, base string) {
	for dir != base && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
}

// discard removes a folder: at once for everybody to see, and then its files.
func (s *Store) discard(dir string) error {
	s.mu.Lock()
	grave, err := s.bury(dir)
	s.mu.Unlock()
	return s.erase(dir, grave, err)
}

// bury moves a folder to tmp; mu is held.
func (s *Store) bury(dir string) (grave string, err error) {
	grave = filepath.Join(s.tmp(), newID())
	return grave, os.Rename(dir, grave)
}

// erase ends what bury began, if it went well.
func (s *Store) erase(dir, grave string, err error) error {
	if err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); gone(err) != nil {
		return err
	}
	return os.RemoveAll(grave)
}

// syncUp makes the entries of dir, and of the folders above it up to base, durable. A folder that has gone meanwhile
// needs no sync: whoever removed it has synced that.
func syncUp(dir, base string) error {
	for {
		if err := syncDir(dir); gone(err) != nil {
			return err
		}
		if dir == base {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// full marks errors that mean that the disk is full.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}

// locks has a lock for each name. The zero locks are all open.
type locks struct{ held sync.Map } // name → chan struct{}, closed by unlock

// lock waits until nobody else holds the name's lock.
func (l *locks) lock(name string) (unlock func()) {
	mine := make(chan struct{})
	for {
		other, busy := l.held.LoadOrStore(name, mine)
		if !busy {
			return func() { l.held.Delete(name); close(mine) }
		}
		<-other.(chan struct{})
	}
}

// readCloser joins a reader and what must be closed after it.
type readCloser struct {
	io.Reader
	io.Closer
}

// WriteTo lets the kernel copy from the file to a socket, which net/http does for a bare LimitedReader alone.
func (r readCloser) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, r.Reader) }
