package disk

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"grapnel/internal/blob"
)

// A record is a file that holds an object's bytes, then its blob.Object as JSON, then the JSON's length as 8 bytes, most
// significant first, then magic. Bytes and description in one file are replaced by one rename; the description stands
// behind because ETag and checksums are known last.
const (
	magic         = "GRAPNEL1"
	footerSize    = 8 + int64(len(magic))
	maxDescriptor = 1 << 20 // bytes; a bound for reading damaged files
)

// write makes a new record in tmp and syncs it: body writes the bytes, and then knows what describes them.
func (s *Store) write(body func(io.Writer) (blob.Object, error)) (string, blob.Object, error) {
	f, err := os.OpenFile(filepath.Join(s.tmp(), newID()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", blob.Object{}, full(err)
	}
	object, err := fill(f, body)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", blob.Object{}, full(errors.Join(err, os.Remove(f.Name())))
	}
	return f.Name(), object, nil
}

func fill(f *os.File, body func(io.Writer) (blob.Object, error)) (blob.Object, error) {
	object, err := body(f)
	if err != nil {
		return blob.Object{}, err
	}
	descriptor, err := json.Marshal(object)
	if err != nil {
		return blob.Object{}, err
	}
	footer := binary.BigEndian.AppendUint64(descriptor, uint64(len(descriptor)))
	if _, err := f.Write(append(footer, magic...)); err != nil {
		return blob.Object{}, err
	}
	return object, f.Sync()
}

// copyDigested copies body and returns its length, and its MD5 as an ETag has it.
func copyDigested(w io.Writer, body io.Reader) (size int64, etag string, err error) {
	sum := md5.New()
	size, err = io.Copy(io.MultiWriter(w, sum), body)
	return size, hex.EncodeToString(sum.Sum(nil)), err
}

// openRecord opens a record; its bytes are at the beginning of the file.
func openRecord(path string) (*os.File, blob.Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, blob.Object{}, err
	}
	object, err := readDescriptor(f)
	if err != nil {
		return nil, object, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	return f, object, nil
}

func readDescriptor(f *os.File) (object blob.Object, err error) {
	info, err := f.Stat()
	if err != nil {
		return object, err
	}
	end := info.Size() - footerSize
	footer := make([]byte, footerSize)
	if end < 0 {
		return object, errors.New("not a record of the bundle store: too short")
	}
	if _, err := f.ReadAt(footer, end); err != nil {
		return object, err
	}
	length := binary.BigEndian.Uint64(footer)
	if string(footer[8:]) != magic || length > min(uint64(end), maxDescriptor) {
		return object, errors.New("not a record of the bundle store: bad footer")
	}
	descriptor := make([]byte, length)
	if _, err := f.ReadAt(descriptor, end-int64(length)); err != nil {
		return object, err
	}
	if err := json.Unmarshal(descriptor, &object); err != nil {
		return object, fmt.Errorf("descriptor: %w", err)
	}
	if object.Size != end-int64(length) {
		return object, errors.New("not a record of the bundle store: bad length")
	}
	return object, nil
}

// statRecord reads a record's description alone.
func statRecord(path string) (blob.Object, error) {
	f, object, err := openRecord(path)
	if err != nil {
		return object, err
	}
	return object, f.Close()
}
