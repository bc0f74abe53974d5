package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"grapnel/internal/blob"
)

// The current version of a key is the file in objects, as in a bucket without versions; those that it replaced are files
// in the folder that the key has in versions. A write moves between states that are whole, one rename or link at a time:
//
//	objects/K   versions/K/
//	  A           -           A is current
//	  A           A           ...and kept: one file with two names, listed once
//	  B           A           B is current
//	  M           A B         M, a delete marker, is current: to readers there is no object
//	  -           A B M       ...and out of the way of listings
//
// A crash between two lines leaves the upper one, or the lower: whoever reads finds the same versions in both, and the
// next write begins from either. The order of versions is that of their times, which commit makes ascend.

func (s *Store) versionsDir(bucket string) string {
	return filepath.Join(s.bucketDir(bucket), "versions")
}

// history is the folder of the versions of a key that are not current.
func (s *Store) history(bucket, key string) string {
	return filepath.Join(s.versionsDir(bucket), keyPath(key))
}

// versioning reads whether the bucket keeps versions.
func (s *Store) versioning(bucket string) (blob.Versioning, error) {
	state, err := os.ReadFile(filepath.Join(s.bucketDir(bucket), "versioning"))
	if gone(err) != nil {
		return "", fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return blob.Versioning(state), nil
}

// SetVersioning implements blob.Versions.
func (s *Store) SetVersioning(_ context.Context, bucket string, v blob.Versioning) error {
	if _, err := s.objects(bucket); err != nil {
		return err
	}
	if err := s.setVersioning(bucket, v); err != nil {
		return fmt.Errorf("set versioning of %s: %w", bucket, full(err))
	}
	return nil
}

// setVersioning makes the folder first: what the file promises must find its place.
func (s *Store) setVersioning(bucket string, v blob.Versioning) error {
	if err := os.Mkdir(s.versionsDir(bucket), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := s.draft()
	if err != nil {
		return err
	}
	defer d.drop()
	if _, err := d.WriteString(string(v)); err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return err
	}
	dir := s.bucketDir(bucket)
	return s.publish(d.Name(), dir, filepath.Join(dir, "versioning"), blob.ErrNoBucket)
}

// succeed gives a new version its id and a time later than those before, and keeps the one that it will replace.
func (s *Store) succeed(bucket string, versioning blob.Versioning, object, before *blob.Object) error {
	object.Modified = now()
	if versioning == blob.NeverVersioned {
		return nil
	}
	object.Version = blob.NullVersion
	if versioning == blob.Enabled {
		object.Version = newID()
	}
	if before == nil {
		return nil
	}
	if !object.Modified.After(before.Modified) {
		object.Modified = before.Modified.Add(time.Millisecond)
	}
	if before.Version == object.Version {
		return nil // the null version is replaced by the new one
	}
	return s.keep(bucket, *before)
}

// keep gives the current version, which is about to be replaced, its second name.
func (s *Store) keep(bucket string, latest blob.Object) error {
	_, path, err := s.locate(bucket, latest.Key)
	if err != nil {
		return err
	}
	tmp := filepath.Join(s.tmp(), newID())
	if err := os.Link(path, tmp); err != nil {
		return gone(err) // a delete marker: it is there already
	}
	defer os.Remove(tmp) // a rename to another name of the same file does nothing
	return s.publish(tmp, s.versionsDir(bucket), filepath.Join(s.history(bucket, latest.Key), latest.Version), blob.ErrNoBucket)
}

// settle removes the null version that a new one has replaced.
func (s *Store) settle(bucket string, object blob.Object) error {
	if object.Version != blob.NullVersion {
		return nil
	}
	return s.remove(s.versionsDir(bucket), filepath.Join(s.history(bucket, object.Key), blob.NullVersion))
}

// mark makes a delete marker the current version, and then moves it out of objects.
func (s *Store) mark(bucket, key string, when blob.Condition) (blob.Object, error) {
	marker, err := s.commit(bucket, key, when, func(io.Writer) (blob.Object, error) { return blob.Object{DeleteMarker: true}, nil })
	if err != nil {
		return blob.Object{}, err
	}
	base, path, err := s.locate(bucket, key)
	if err != nil {
		return blob.Object{}, err
	}
	defer s.writing.lock(path)()
	if latest, err := statRecord(path); err != nil || latest.Version != marker.Version || !latest.DeleteMarker {
		return marker, gone(err) // another write came between, and has kept the marker
	}
	if err := s.publish(path, s.versionsDir(bucket), filepath.Join(s.history(bucket, key), marker.Version), blob.ErrNoBucket); err != nil {
		return blob.Object{}, err
	}
	s.mu.Lock()
	prune(filepath.Dir(path), base)
	s.mu.Unlock()
	return marker, syncUp(filepath.Dir(path), base)
}

// versions returns all versions of a key, the newest first. In a bucket that never had versions this is the object. If the
// current one is damaged (errDamaged), the older ones come with the error.
func (s *Store) versions(bucket, key string) ([]blob.Object, error) {
	_, path, err := s.locate(bucket, key)
	if err != nil {
		return nil, err
	}
	var all []blob.Object
	// The history is read after the current version: one that is replaced between the two is then seen twice, not never.
	current, damage := s.current(bucket, path)
	if damage != nil && !errors.Is(damage, errDamaged) {
		return nil, damage
	}
	if current != nil {
		all = append(all, *current)
	}
	older, err := s.readHistory(bucket, key)
	if err != nil {
		return nil, err
	}
	for _, v := range older {
		if len(all) == 0 || v.Version != all[0].Version {
			all = append(all, v)
		}
	}
	if damage == nil && len(all) > 0 {
		all[0].Latest = true
	}
	return all, damage
}

// readHistory returns the versions in the folder of the key, the newest first, without those that are damaged.
func (s *Store) readHistory(bucket, key string) ([]blob.Object, error) {
	dir := s.history(bucket, key)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, gone(err)
	}
	var versions []blob.Object
	for _, entry := range entries {
		v, found, err := s.look(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		if found {
			v.Version = entry.Name() // the null version was perhaps stored when there were no versions
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, func(a, b blob.Object) int {
		return cmp.Or(b.Modified.Compare(a.Modified), cmp.Compare(a.Version, b.Version))
	})
	return versions, nil
}

// current is the version in objects, if there is one.
func (s *Store) current(bucket, path string) (*blob.Object, error) {
	object, err := statRecord(path)
	if err != nil {
		return nil, gone(err)
	}
	object.Version, err = s.versionOf(bucket, object)
	return &object, err
}

// latest is the newest version of a key, if there is one. Where it is in objects no other has to be read.
func (s *Store) latest(bucket, key string) (*blob.Object, error) {
	_, path, err := s.locate(bucket, key)
	if err != nil {
		return nil, err
	}
	if current, err := s.current(bucket, path); current != nil || err != nil {
		return current, err
	}
	older, err := s.readHistory(bucket, key)
	if err != nil || len(older) == 0 {
		return nil, err
	}
	return &older[0], nil
}

// versionOf is the version's id: what was stored before the bucket had versions is the null version.
func (s *Store) versionOf(bucket string, object blob.Object) (string, error) {
	if object.Version != "" {
		return object.Version, nil
	}
	versioning, err := s.versioning(bucket)
	if versioning == blob.NeverVersioned {
		return "", err
	}
	return blob.NullVersion, err
}

// find opens the record of a version, or of the current object.
func (s *Store) find(bucket, key, version string) (*os.File, blob.Object, error) {
	_, path, err := s.locate(bucket, key)
	if err != nil {
		return nil, blob.Object{}, err
	}
	if version != "" {
		return s.findVersion(bucket, key, version, path)
	}
	f, object, err := openRecord(path)
	if errors.Is(err, fs.ErrNotExist) {
		marker, e := s.marker(bucket, key)
		return nil, marker, cmp.Or(e, noKey(err, bucket, key))
	}
	if err != nil {
		return nil, blob.Object{}, err
	}
	if object.DeleteMarker {
		return nil, object, errors.Join(noKey(fs.ErrNotExist, bucket, key), f.Close())
	}
	object.Version, err = s.versionOf(bucket, object)
	return f, object, err
}

// marker is the delete marker that is the reason why there is no object, if any is.
func (s *Store) marker(bucket, key string) (blob.Object, error) {
	versions, err := s.readHistory(bucket, key)
	if err != nil || len(versions) == 0 || !versions[0].DeleteMarker {
		return blob.Object{}, err
	}
	return versions[0], nil
}

// isVersion reports whether a client's id can be a version's.
func isVersion(id string) bool { return id == blob.NullVersion || isID(id) }

// findVersion looks at the current version and then into the history. One that is made current again meanwhile goes the
// other way: it is there at the second look.
func (s *Store) findVersion(bucket, key, version, path string) (*os.File, blob.Object, error) {
	if !isVersion(version) {
		return nil, blob.Object{}, noVersion(bucket, key, version)
	}
	var damage error // of the current version: it may be the one that is asked for, unless that is found
	for range 2 {
		for _, path := range []string{path, filepath.Join(s.history(bucket, key), version)} {
			f, object, err := openRecord(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if errors.Is(err, errDamaged) {
				damage = err
				continue
			}
			if err != nil {
				return nil, blob.Object{}, err
			}
			object.Version = cmp.Or(object.Version, blob.NullVersion)
			if object.Version == version && object.DeleteMarker {
				return nil, object, errors.Join(blob.ErrDeleteMarker, f.Close())
			}
			if object.Version == version {
				return f, object, nil
			}
			f.Close()
		}
	}
	return nil, blob.Object{}, cmp.Or(damage, noVersion(bucket, key, version))
}

func noVersion(bucket, key, version string) error {
	return fmt.Errorf("%w: %q of %s/%s", blob.ErrNoVersion, version, bucket, key)
}

// deleteVersion removes a version for good. If it is the newest, the one before it takes its place first. A damaged version
// that is current keeps its place; one that is not is removed like others.
func (s *Store) deleteVersion(bucket, key, version string, when blob.Condition) (blob.Object, error) {
	base, path, err := s.locate(bucket, key)
	if err != nil {
		return blob.Object{}, err
	}
	defer s.writing.lock(path)()
	all, err := s.versions(bucket, key)
	damaged := errors.Is(err, errDamaged)
	if err != nil && !damaged {
		return blob.Object{}, err
	}
	i := slices.IndexFunc(all, func(v blob.Object) bool { return cmp.Or(v.Version, blob.NullVersion) == version })
	if i < 0 {
		err := when.Check(blob.Object{}, false)
		if err == nil && isVersion(version) {
			err = s.forget(bucket, key, version) // it may be there, damaged
		}
		return blob.Object{Version: version}, err
	}
	if err := when.Check(all[i], true); err != nil {
		return blob.Object{}, err
	}
	if i == 0 && !damaged {
		if err := s.promote(bucket, all, base, path); err != nil {
			return blob.Object{}, err
		}
	}
	return all[i], s.forget(bucket, key, version)
}

// promote replaces the newest version by the one before it. A delete marker has its place in the history alone.
func (s *Store) promote(bucket string, all []blob.Object, base, path string) error {
	key := all[0].Key
	if !all[0].DeleteMarker {
		// Its second name, if a crash has left one, must not outlive it.
		if err := s.forget(bucket, key, all[0].Version); err != nil {
			return err
		}
	}
	if len(all) == 1 || all[1].DeleteMarker {
		return s.remove(base, path)
	}
	tmp := filepath.Join(s.tmp(), newID())
	if err := os.Link(filepath.Join(s.history(bucket, key), all[1].Version), tmp); err != nil {
		return err
	}
	defer os.Remove(tmp)
	if err := s.publish(tmp, base, path, blob.ErrNoBucket); err != nil {
		return err
	}
	return s.forget(bucket, key, all[1].Version)
}

// forget removes a version from the history, if it is there.
func (s *Store) forget(bucket, key, version string) error {
	return s.remove(s.versionsDir(bucket), filepath.Join(s.history(bucket, key), version))
}

// ListVersions implements blob.Versions.
func (s *Store) ListVersions(ctx context.Context, bucket string, q blob.VersionQuery) (blob.VersionPage, error) {
	if _, err := s.objects(bucket); err != nil {
		return blob.VersionPage{}, err
	}
	keys, err := s.allKeys(bucket)
	if err != nil {
		return blob.VersionPage{}, fmt.Errorf("list versions of %s: %w", bucket, err)
	}
	page, err := blob.SelectVersions(keys, q, func(key string) ([]blob.Object, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		_, path, err := s.locate(bucket, key)
		if err != nil {
			return nil, err
		}
		defer s.writing.lock(path)() // a version that changes its place would be missed
		all, err := s.versions(bucket, key)
		if errors.Is(err, errDamaged) {
			return all, nil // List tells the log of it
		}
		return all, err
	})
	if err != nil {
		return blob.VersionPage{}, fmt.Errorf("list versions of %s: %w", bucket, err)
	}
	return page, nil
}

// allKeys returns the sorted keys of which the bucket has any version.
func (s *Store) allKeys(bucket string) ([]string, error) {
	keys, err := s.objectKeys(filepath.Join(s.bucketDir(bucket), "objects"))
	if err != nil {
		return nil, err
	}
	older, err := s.listKeys(s.versionsDir(bucket), filepath.Dir)
	if err != nil {
		return nil, err
	}
	keys = append(keys, older...)
	slices.Sort(keys)
	return slices.Compact(keys), nil
}
