package disk

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"grapnel/internal/blob"
)

func (s *Store) bucketDir(name string) string { return filepath.Join(s.buckets(), name) }

// CreateBucket implements blob.Buckets. The bucket is made in tmp and appears as a whole.
func (s *Store) CreateBucket(_ context.Context, name string) error {
	if err := blob.CheckBucket(name); err != nil {
		return err
	}
	if err := s.createBucket(name); err != nil {
		return fmt.Errorf("create bucket %s: %w", name, full(err))
	}
	return nil
}

func (s *Store) createBucket(name string) error {
	draft := filepath.Join(s.tmp(), newID())
	defer os.RemoveAll(draft)
	for _, dir := range []string{draft, filepath.Join(draft, "objects"), filepath.Join(draft, "uploads")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(draft, "bucket"), nil, 0o600); err != nil {
		return err
	}
	if err := syncDir(draft); err != nil {
		return err
	}
	s.mu.Lock()
	err := os.Rename(draft, s.bucketDir(name))
	s.mu.Unlock()
	if errors.Is(err, fs.ErrExist) {
		return blob.ErrBucketExists
	}
	if err != nil {
		return err
	}
	return syncDir(s.buckets())
}

// DeleteBucket implements blob.Buckets.
func (s *Store) DeleteBucket(_ context.Context, name string) error {
	if _, err := s.objects(name); err != nil {
		return err
	}
	dir := s.bucketDir(name)
	grave, err := s.buryEmpty(name)
	if err = s.erase(dir, grave, err); err != nil {
		return fmt.Errorf("delete bucket %s: %w", name, err)
	}
	return nil
}

// buryEmpty moves a bucket to tmp unless it has objects or versions; none may appear between the look and the move.
func (s *Store) buryEmpty(name string) (grave string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, err := s.allKeys(name)
	if err != nil {
		return "", err
	}
	if len(keys) > 0 {
		return "", blob.ErrBucketNotEmpty
	}
	return s.bury(s.bucketDir(name))
}

// StatBucket implements blob.Buckets.
func (s *Store) StatBucket(_ context.Context, name string) (blob.Bucket, error) {
	if blob.CheckBucket(name) != nil {
		return blob.Bucket{}, noBucket(name)
	}
	info, err := os.Stat(filepath.Join(s.bucketDir(name), "bucket"))
	if errors.Is(err, fs.ErrNotExist) {
		return blob.Bucket{}, noBucket(name)
	}
	if err != nil {
		return blob.Bucket{}, fmt.Errorf("open bucket %s: %w", name, err)
	}
	versioning, err := s.versioning(name)
	return blob.Bucket{Name: name, Created: info.ModTime().UTC(), Versioning: versioning}, err
}

// ListBuckets implements blob.Buckets.
func (s *Store) ListBuckets(ctx context.Context) ([]blob.Bucket, error) {
	entries, err := os.ReadDir(s.buckets())
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	var buckets []blob.Bucket
	for _, entry := range entries {
		bucket, err := s.StatBucket(ctx, entry.Name())
		if errors.Is(err, blob.ErrNoBucket) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		buckets = append(buckets, bucket)
	}
	return buckets, nil
}
