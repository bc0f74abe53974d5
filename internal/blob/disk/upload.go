package disk

import (
	"context"
	"errors"
	"fmt"
	"hash"
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
	tmp, _, err := s.write(strings.NewReader(""), func(int64, string) (blob.Object, error) {
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
	tmp, record, err := s.write(body, func(size int64, md5 string) (blob.Object, error) {
		return blob.Object{Size: size, ETag: md5, Modified: now(), Attributes: blob.Attributes{Checksum: attrs.Checksum}}, nil
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
	stored, attrs, err := s.ListParts(ctx, u)
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

func (s *Store) completeUpload(u blob.Upload, parts []blob.Part, attrs blob.Attributes, want string) (blob.Object, error) {
	dir := filepath.Join(s.bucketDir(u.Bucket), "uploads", u.ID)
	base, path, err := s.locate(u.Bucket, u.Key)
	if err != nil {
		return blob.Object{}, err
	}
	joined := &partsReader{dir: dir, parts: parts}
	defer joined.Close()
	body, sum := tee(joined, attrs.Checksum)

	tmp, object, err := s.write(body, func(size int64, _ string) (blob.Object, error) {
		attrs.Checksum = objectChecksum(attrs.Checksum, sum, parts)
		if want != "" && (attrs.Checksum == nil || attrs.Checksum.Value != want) {
			return blob.Object{}, blob.ErrChecksum
		}
		etag, err := blob.PartsETag(parts)
		return blob.Object{Key: u.Key, Size: size, ETag: etag, Modified: now(), Attributes: attrs}, err
	})
	if err == nil {
		err = s.publish(tmp, base, path, blob.ErrNoBucket)
	}
	if err == nil {
		err = s.discard(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = noUpload(u) // completed or aborted by another request meanwhile
	}
	return object, err
}

// tee computes the announced checksum while body is read, if it is one of the whole object.
func tee(body io.Reader, announced *blob.Checksum) (io.Reader, hash.Hash) {
	if announced == nil || announced.Composite {
		return body, nil
	}
	sum := announced.Algorithm.New()
	return io.TeeReader(body, sum), sum
}

// objectChecksum is the checksum that an object of these parts has: none, the whole object's, or one of its parts'.
func objectChecksum(announced *blob.Checksum, sum hash.Hash, parts []blob.Part) *blob.Checksum {
	switch {
	case announced == nil:
		return nil
	case sum != nil:
		return &blob.Checksum{Algorithm: announced.Algorithm, Value: blob.Encode(sum)}
	default:
		return blob.PartsChecksum(announced.Algorithm, parts)
	}
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

// partsReader reads the parts of an upload one after the other, with one file open at a time.
type partsReader struct {
	dir   string
	parts []blob.Part // still to be opened
	file  *os.File
	left  int64 // of the open one, bytes
}

func (p *partsReader) Read(b []byte) (int, error) {
	for p.left == 0 {
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n, err := p.file.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next opens the next part. It may have been replaced since it was checked; then it is not the one that was meant.
func (p *partsReader) next() error {
	if err := p.Close(); err != nil {
		return err
	}
	if len(p.parts) == 0 {
		return io.EOF
	}
	want := p.parts[0]
	p.parts = p.parts[1:]
	file, record, err := openRecord(partPath(p.dir, want.Number))
	if err != nil {
		return err
	}
	p.file, p.left = file, record.Size
	if record.ETag != want.ETag {
		return fmt.Errorf("%w: %d was replaced meanwhile", blob.ErrPart, want.Number)
	}
	return nil
}

func (p *partsReader) Close() error {
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	p.file = nil
	return err
}
