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
	d, err := s.draft()
	if err != nil {
		return err
	}
	defer d.drop()
	if err := d.finish(blob.Object{Key: u.Key, Modified: now(), Attributes: *attrs}); err != nil {
		return err
	}
	uploads := s.uploads(u.Bucket)
	return s.publish(d.Name(), uploads, filepath.Join(uploads, u.ID, "upload"), blob.ErrNoBucket)
}

func (s *Store) uploads(bucket string) string { return filepath.Join(s.bucketDir(bucket), "uploads") }

// PutPart implements blob.Multipart.
func (s *Store) PutPart(_ context.Context, u blob.Upload, number int, body io.Reader, attrs *blob.Attributes) (blob.Part, error) {
	dir, _, err := s.openUpload(u)
	if err != nil {
		return blob.Part{}, err
	}
	if number < 1 || number > blob.MaxParts {
		return blob.Part{}, fmt.Errorf("%w: its number must be 1 to %d", blob.ErrPart, blob.MaxParts)
	}
	record, err := s.putPart(dir, number, body, attrs)
	if err != nil {
		return blob.Part{}, fmt.Errorf("put part %d of %s/%s: %w", number, u.Bucket, u.Key, err)
	}
	return part(number, record), nil
}

func (s *Store) putPart(dir string, number int, body io.Reader, attrs *blob.Attributes) (blob.Object, error) {
	d, err := s.draft()
	if err != nil {
		return blob.Object{}, err
	}
	defer d.drop()
	size, etag, err := copyDigested(d, body)
	if err != nil {
		return blob.Object{}, err
	}
	record := blob.Object{Size: size, ETag: etag, Modified: now(), Attributes: blob.Attributes{Checksum: attrs.Checksum}}
	if err := d.finish(record); err != nil {
		return blob.Object{}, err
	}
	return record, s.publish(d.Name(), dir, partPath(dir, number), blob.ErrNoUpload)
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
	if !isID(u.ID) {
		return "", blob.Object{}, noUpload(u)
	}
	dir := filepath.Join(s.uploads(u.Bucket), u.ID)
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
func (s *Store) ListParts(_ context.Context, u blob.Upload) ([]blob.Part, *blob.Checksum, error) {
	dir, upload, err := s.openUpload(u)
	if err != nil {
		return nil, nil, err
	}
	parts, err := readParts(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("list parts of %s/%s: %w", u.Bucket, u.Key, err)
	}
	return parts, upload.Checksum, nil
}

// readParts returns the parts in the folder of an upload.
func readParts(dir string) ([]blob.Part, error) {
	entries, err := os.ReadDir(dir) // sorted by name, and so by number
	if err != nil {
		return nil, err
	}
	var parts []blob.Part
	for _, entry := range entries {
		number, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // the upload's own record
		}
		record, err := statRecord(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		parts = append(parts, part(number, record))
	}
	return parts, nil
}

// ListUploads implements blob.Multipart.
func (s *Store) ListUploads(_ context.Context, bucket, prefix string) ([]blob.UnfinishedUpload, error) {
	if _, err := s.objects(bucket); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(s.uploads(bucket))
	if err != nil {
		return nil, fmt.Errorf("list uploads of %s: %w", bucket, err)
	}
	var uploads []blob.UnfinishedUpload
	for _, entry := range entries {
		record, found, err := s.look(filepath.Join(s.uploads(bucket), entry.Name(), "upload"))
		if err != nil {
			return nil, fmt.Errorf("list uploads of %s: %w", bucket, err)
		}
		if !found || !strings.HasPrefix(record.Key, prefix) {
			continue
		}
		uploads = append(uploads, blob.UnfinishedUpload{
			Upload: blob.Upload{Bucket: bucket, Key: record.Key, ID: entry.Name()}, Started: record.Modified, Checksum: record.Checksum,
		})
	}
	slices.SortFunc(uploads, func(a, b blob.UnfinishedUpload) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), a.Started.Compare(b.Started), strings.Compare(a.ID, b.ID))
	})
	return uploads, nil
}

// CompleteUpload implements blob.Multipart. It copies the parts into one record; until the end this takes their size
// twice on the disk. If it is cut short the upload is still there, and may be completed again.
func (s *Store) CompleteUpload(_ context.Context, u blob.Upload, listed []blob.Part, want string, when blob.Condition) (blob.Object, error) {
	defer s.completing.lock(u.ID)()
	dir, upload, err := s.openUpload(u)
	if err == nil || errors.Is(err, blob.ErrNoUpload) {
		if object, done := s.completed(u); done {
			return object, gone(s.discard(filepath.Join(s.uploads(u.Bucket), u.ID))) // a crash may have left it
		}
	}
	if err != nil {
		return blob.Object{}, err
	}
	stored, err := readParts(dir)
	if err != nil {
		return blob.Object{}, fmt.Errorf("complete upload of %s/%s: %w", u.Bucket, u.Key, err)
	}
	parts, err := blob.CheckParts(stored, listed)
	if err != nil {
		return blob.Object{}, err
	}
	object, err := s.completeUpload(u, parts, upload.Attributes, want, when)
	if err != nil {
		return blob.Object{}, fmt.Errorf("complete upload of %s/%s: %w", u.Bucket, u.Key, err)
	}
	return object, nil
}

// completed finds the object that an upload has made.
func (s *Store) completed(u blob.Upload) (blob.Object, bool) {
	if !isID(u.ID) {
		return blob.Object{}, false
	}
	versions, err := s.versions(u.Bucket, u.Key)
	i := slices.IndexFunc(versions, func(o blob.Object) bool { return o.Upload == u.ID })
	if err != nil || i < 0 {
		return blob.Object{}, false
	}
	object := versions[i]
	object.Latest = false // as CompleteUpload says it the first time
	return object, true
}

func (s *Store) completeUpload(u blob.Upload, parts []blob.Part, attrs blob.Attributes, want string, when blob.Condition) (blob.Object, error) {
	dir := filepath.Join(s.uploads(u.Bucket), u.ID)
	etag, err := blob.PartsETag(parts)
	if err != nil {
		return blob.Object{}, err
	}
	object, err := s.commit(u.Bucket, u.Key, when, func(w io.Writer) (blob.Object, error) {
		size, sum, err := join(w, dir, parts, attrs.Checksum)
		if err == nil && want != "" && (sum == nil || sum.Value != want) {
			err = blob.ErrChecksum
		}
		attrs.Checksum = sum
		return blob.Object{Size: size, ETag: etag, Upload: u.ID, Parts: sizes(parts), Attributes: attrs}, full(err)
	})
	if err == nil {
		err = s.discard(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = noUpload(u) // aborted by another request meanwhile
	}
	return object, err
}

func sizes(parts []blob.Part) []int64 {
	sizes := make([]int64, len(parts))
	for i, p := range parts {
		sizes[i] = p.Size
	}
	return sizes
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
