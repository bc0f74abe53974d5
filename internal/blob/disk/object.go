package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"grapnel/internal/blob"
)

// Put implements blob.Store.
func (s *Store) Put(_ context.Context, bucket, key string, body io.Reader, attrs *blob.Attributes, when blob.Condition) (blob.Object, error) {
	object, err := s.commit(bucket, key, when, func(w io.Writer) (blob.Object, error) {
		size, etag, err := copyDigested(w, body)
		return blob.Object{Size: size, ETag: etag, Attributes: *attrs}, err
	})
	if err != nil {
		return blob.Object{}, fmt.Errorf("put %s/%s: %w", bucket, key, err)
	}
	return object, nil
}

// commit makes what body writes the current object of the key. body returns what it knows of it at its end.
func (s *Store) commit(bucket, key string, when blob.Condition, body func(io.Writer) (blob.Object, error)) (blob.Object, error) {
	base, path, err := s.locate(bucket, key)
	if err != nil {
		return blob.Object{}, err
	}
	d, err := s.draft()
	if err != nil {
		return blob.Object{}, err
	}
	defer d.drop()
	object, err := body(d)
	if err != nil {
		return blob.Object{}, err
	}
	defer s.writing.lock(path)()
	versioning, err := s.versioning(bucket) // once: it may be turned on meanwhile
	if err != nil {
		return blob.Object{}, err
	}
	before, err := s.precede(bucket, key, versioning, when)
	if err != nil {
		return blob.Object{}, err
	}
	object.Key = key
	if err := s.succeed(bucket, versioning, &object, before); err != nil {
		return blob.Object{}, err
	}
	if err := d.finish(object); err != nil {
		return blob.Object{}, err
	}
	if err := s.publish(d.Name(), base, path, blob.ErrNoBucket); err != nil {
		return blob.Object{}, err
	}
	return object, s.settle(bucket, object)
}

// Open implements blob.Store.
func (s *Store) Open(_ context.Context, bucket, key, version string, r blob.Range) (io.ReadCloser, blob.Object, error) {
	f, object, err := s.find(bucket, key, version)
	if err != nil {
		return nil, object, err
	}
	offset, count, err := r.Resolve(object.Size)
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		return nil, object, errors.Join(err, f.Close())
	}
	return readCloser{&io.LimitedReader{R: f, N: count}, f}, object, nil
}

// Stat implements blob.Store.
func (s *Store) Stat(_ context.Context, bucket, key, version string) (blob.Object, error) {
	f, object, err := s.find(bucket, key, version)
	if err != nil {
		return object, err
	}
	return object, f.Close()
}

// Delete implements blob.Store.
func (s *Store) Delete(_ context.Context, bucket, key, version string, when blob.Condition) (blob.Object, error) {
	object, err := s.delete(bucket, key, version, when)
	if err != nil {
		return blob.Object{}, fmt.Errorf("delete %s/%s: %w", bucket, key, err)
	}
	return object, nil
}

func (s *Store) delete(bucket, key, version string, when blob.Condition) (blob.Object, error) {
	if version != "" {
		return s.deleteVersion(bucket, key, version, when)
	}
	if removed, err := s.deleteUnversioned(bucket, key, when); removed || err != nil {
		return blob.Object{}, err
	}
	return s.mark(bucket, key, when)
}

// deleteUnversioned removes the object, unless the bucket keeps versions: there is no way back from that.
func (s *Store) deleteUnversioned(bucket, key string, when blob.Condition) (removed bool, err error) {
	base, path, err := s.locate(bucket, key)
	if err != nil {
		return false, err
	}
	defer s.writing.lock(path)()
	versioning, err := s.versioning(bucket) // not before the lock: a version that was stored meanwhile must be kept
	if err != nil || versioning != blob.NeverVersioned {
		return false, err
	}
	if _, err := s.precede(bucket, key, versioning, when); err != nil {
		return false, err
	}
	return true, s.remove(base, path)
}

// precede returns the version, if there is one, that a write of the key will follow, and checks the condition. Where neither
// matters what is there is not looked at. A damaged file is in the way of conditions alone.
func (s *Store) precede(bucket, key string, versioning blob.Versioning, when blob.Condition) (*blob.Object, error) {
	if versioning == blob.NeverVersioned && when == (blob.Condition{}) {
		return nil, nil
	}
	latest, err := s.latest(bucket, key)
	if errors.Is(err, errDamaged) && when == (blob.Condition{}) {
		return nil, nil // replaced, but not kept
	}
	if err != nil {
		return nil, err
	}
	if latest == nil || latest.DeleteMarker {
		return latest, when.Check(blob.Object{}, false)
	}
	return latest, when.Check(*latest, true)
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context, bucket string, q blob.Query) (blob.Page, error) {
	base, err := s.objects(bucket)
	if err != nil {
		return blob.Page{}, err
	}
	keys, err := s.objectKeys(base)
	if err != nil {
		return blob.Page{}, fmt.Errorf("list %s: %w", bucket, err)
	}
	selected := blob.Select(keys, q)
	page := blob.Page{Prefixes: selected.Prefixes, Next: selected.Next}
	for _, key := range selected.Keys {
		if err := ctx.Err(); err != nil {
			return blob.Page{}, err
		}
		object, found, err := s.look(filepath.Join(base, keyPath(key)))
		if err != nil {
			return blob.Page{}, fmt.Errorf("list %s: %w", bucket, err)
		}
		if found && !object.DeleteMarker { // a marker is on its way to the versions
			page.Objects = append(page.Objects, object)
		}
	}
	return page, nil
}

// objectKeys returns the sorted keys of the current versions, which are the files below base.
func (s *Store) objectKeys(base string) ([]string, error) {
	return s.listKeys(base, func(file string) string { return file })
}

// listKeys returns the sorted keys that have files below base; place is the path of a file's key. Files that others have
// put there, as file systems do, are passed over.
func (s *Store) listKeys(base string, place func(file string) string) ([]string, error) {
	var keys []string
	err := filepath.WalkDir(base, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(base, path)
		if err != nil {
			return err
		}
		if key, err := pathKey(place(relative)); err == nil && keyPath(key) == place(relative) {
			keys = append(keys, key)
		} else {
			s.log.Warn("a file in the bundle store is none of its own", slog.String("path", path))
		}
		return nil
	})
	slices.Sort(keys)
	return keys, err
}

// locate returns the folder of the bucket's objects and the file of the key.
func (s *Store) locate(bucket, key string) (base, path string, err error) {
	if err := blob.CheckKey(key); err != nil {
		return "", "", err
	}
	base, err = s.objects(bucket)
	return base, filepath.Join(base, keyPath(key)), err
}

// objects returns the folder of the bucket's objects, which exists.
func (s *Store) objects(bucket string) (string, error) {
	base := filepath.Join(s.bucketDir(bucket), "objects")
	if blob.CheckBucket(bucket) != nil {
		return "", noBucket(bucket)
	}
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		return "", noBucket(bucket)
	} else if err != nil {
		return "", fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return base, nil
}

func noBucket(name string) error { return fmt.Errorf("%w: %s", blob.ErrNoBucket, name) }

func noKey(err error, bucket, key string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s/%s", blob.ErrNoKey, bucket, key)
	}
	return err
}

// now has the resolution that S3 shows.
func now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
