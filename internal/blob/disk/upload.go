package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"grapnel/internal/blob"
)

// CreateUpload implements blob.Multipart. The upload's folder holds a record named "upload", without bytes, that says
// what the object will be.
func (s *Store) CreateUpload(_ context.Context, bucket, key string, attrs *blob.Attributes) (string, error) {
	if _, _, err := s.locate(bucket, key); err != nil {
		return "", err
	}
	id := newID()
	if err := s.createUpload(blob.Upload{Bucket: bucket, Key: key, ID: id}, attrs); err != nil {
		return "", fmt.Errorf("create upload of %s/%s: %w", bucket, key, err)
	}
	return id, nil
}

func (s *Store) createUpload(u blob.Upload, attrs *blob.Attributes) error {
	tmp, _, err := s.write(func(io.Writer) (blob.Object, error) {
		return blob.Object{Key: u.Key, Modified: now(), Attributes: *attrs}, nil
	})
	if err != nil {
		return err
	}
	uploads := filepath.Join(s.bucketDir(u.Bucket), "uploads")
	return s.publish(tmp, uploads, filepath.Join(uploads, u.ID, "upload"), blob.ErrNoBucket)
}

// PutPart implements blob.Multipart.
func (s *Store) PutPart(_ context.Context, u blob.Upload, number int, body io.Reader, attrs *blob.Attributes) (blob.Part, error) {
	dir, _, err := s.openUpload(u)
	if err != nil {
		return blob.Part{}, err
	}
	if number < 1 || number > blob.MaxParts {
		return blob.Part{}, fmt.Errorf("%w: its number must be 1 to %d", blob.ErrPart, blob.MaxParts)
	}
	tmp, record, err := s.write(func(w io.Writer) (blob.Object, error) {
		size, etag, err := copyDigested(w, body)
		return blob.Object{Size: size, ETag: etag, Modified: now(), Attributes: blob.Attributes{Checksum: attrs.Checksum}}, err
	})
	if err == nil {
		err = s.publish(tmp, dir, partPath(dir, number), blob.ErrNoUpload)
	}
	if err != nil {
		return blob.Part{}, fmt.Errorf("put part %d of %s/%s: %w", number, u.Bucket, u.Key, err)
	}
	return part(number, record), nil
}

func partPath(dir string, number int) string { return filepath.Join(dir, fmt.Sprintf("%05d", number)) }

func part(number int, record blob.Object) blob.Part {
	return blob.Part{Number: number, Size: record.Size, ETag: record.ETag, Modified: record.Modified, Checksum: record.Checksum}
}

// openUpload returns the folder of an upload and what CreateUpload stored.
func (s *Store) openUpload(u blob.Upload) (string, blob.Object, error) {
	if _, err := s.objects(u.Bucket); err != nil {
		return "", blob.Object{}, err
	}
	if u.ID == "" || strings.Trim(u.ID, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") != "" {
		return "", blob.Object{}, noUpload(u) // not one of newID's, and perhaps a path
	}
	dir := filepath.Join(s.bucketDir(u.Bucket), "uploads", u.ID)
	record, err := statRecord(filepath.Join(dir, "upload"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && record.Key != u.Key {
		return "", record, noUpload(u)
	}
	return dir, record, err
}

func noUpload(u blob.Upload) error {
	return fmt.Errorf("%w: %q of %s/%s", blob.ErrNoUpload, u.ID, u.Bucket, u.Key)
}

// ListParts implements blob.Multipart.
func (s *Store) ListParts(_ context.Context, u blob.Upload) ([]blob.Part, blob.Attributes, error) {
	dir, upload, err := s.openUpload(u)
	if err != nil {
		return nil, blob.Attributes{}, err
	}
	entries, err := os.ReadDir(dir) // sorted by name, and so by number
	if err != nil {
		return nil, blob.Attributes{}, fmt.Errorf("list parts of %s/%s: %w", u.Bucket, u.Key, err)
	}
	var parts []blob.Part
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // the upload's own record
		}
		record, err := statRecord(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, blob.Attributes{}, fmt.Errorf("list parts of %s/%s: %w", u.Bucket, u.Key, err)
		}
		parts = append(parts, part(number, record))
	}
	return parts, upload.Attributes, nil
}

// CompleteUpload implements blob.Multipart. It copies the parts into one record; until the end this takes their size
// twice on the disk. If it is cut short the upload is still there, and may be completed again.
func (s *Store) CompleteUpload(ctx context.Context, u blob.Upload, listed []blob.Part, want string) (blob.Object, error) {
	defer s.begin(u.ID)()
	stored, attrs, err := s.ListParts(ctx, u)
	if errors.Is(err, blob.ErrNoUpload) && u.ID != "" {
		if object, e := s.Stat(ctx, u.Bucket, u.Key); e == nil && object.Upload == u.ID {
			return object, nil
		}
	}
	if err != nil {
		return blob.Object{}, err
	}
	parts, err := blob.CheckParts(stored, listed)
	if err != nil {
		return blob.Object{}, err
	}
	object, err := s.completeUpload(u, parts, attrs, want)
	if err != nil {
		return blob.Object{}, fmt.Errorf("complete upload of %s/%s: %w", u.Bucket, u.Key, err)
	}
	return object, nil
}

// begin waits until nobody else completes the upload. done lets the next one in.
func (s *Store) begin(id string) (done func()) {
	mine := make(chan struct{})
	for {
		other, busy := s.completing.LoadOrStore(id, mine)
		if !busy {
			return func() { s.completing.Delete(id); close(mine) }
		}
		<-other.(chan struct{})
	}
}

func (s *Store) completeUpload(u blob.Upload, parts []blob.Part, attrs blob.Attributes, want string) (blob.Object, error) {
	dir := filepath.Join(s.bucketDir(u.Bucket), "uploads", u.ID)
	base, path, err := s.locate(u.Bucket, u.Key)
	if err != nil {
		return blob.Object{}, err
	}
	etag, err := blob.PartsETag(parts)
	if err != nil {
		return blob.Object{}, err
	}
	tmp, object, err := s.write(func(w io.Writer) (blob.Object, error) {
		size, sum, err := join(w, dir, parts, attrs.Checksum)
		if err == nil && want != "" && (sum == nil || sum.Value != want) {
			err = blob.ErrChecksum
		}
		attrs.Checksum = sum
		return blob.Object{Key: u.Key, Size: size, ETag: etag, Modified: now(), Upload: u.ID, Attributes: attrs}, err
	})
	if err == nil {
		err = s.publish(tmp, base, path, blob.ErrNoBucket)
	}
	if err == nil {
		err = s.discard(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = noUpload(u) // aborted by another request meanwhile
	}
	return object, err
}

// join writes parts one after the other, and returns the checksum that was announced for the whole: none, one of the bytes,
// or one of the parts' checksums. Where nothing has to see the bytes, the kernel copies them.
func join(w io.Writer, dir string, parts []blob.Part, announced *blob.Checksum) (size int64, sum *blob.Checksum, err error) {
	if announced == nil {
		size, err = copyParts(w, dir, parts)
		return size, nil, err
	}
	if announced.Composite {
		size, err = copyParts(w, dir, parts)
		return size, blob.PartsChecksum(announced.Algorithm, parts), err
	}
	whole := announced.Algorithm.New()
	size, err = copyParts(io.MultiWriter(w, whole), dir, parts)
	return size, &blob.Checksum{Algorithm: announced.Algorithm, Value: blob.Encode(whole)}, err
}

func copyParts(w io.Writer, dir string, parts []blob.Part) (size int64, err error) {
	for _, p := range parts {
		n, err := copyPart(w, dir, p)
		if size += n; err != nil {
			return size, err
		}
	}
	return size, nil
}

// copyPart writes a part. It may have been replaced since it was checked; then it is not the one that was meant.
func copyPart(w io.Writer, dir string, want blob.Part) (int64, error) {
	file, record, err := openRecord(partPath(dir, want.Number))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if record.ETag != want.ETag {
		return 0, fmt.Errorf("%w: %d was replaced meanwhile", blob.ErrPart, want.Number)
	}
	return io.CopyN(w, file, record.Size)
}

// AbortUpload implements blob.Multipart.
func (s *Store) AbortUpload(_ context.Context, u blob.Upload) error {
	dir, _, err := s.openUpload(u)
	if err != nil {
		return err
	}
	err = s.discard(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return noUpload(u)
	}
	if err != nil {
		return fmt.Errorf("abort upload of %s/%s: %w", u.Bucket, u.Key, err)
	}
	return nil
}
