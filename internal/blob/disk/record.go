package disk

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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

// draft is a record that is being written, in tmp.
type draft struct{ *os.File }

func (s *Store) draft() (draft, error) {
	f, err := os.OpenFile(filepath.Join(s.tmp(), newID()), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	return draft{f}, full(err)
}

// finish writes what describes the bytes, and syncs both.
func (d draft) finish(object blob.Object) error {
	descriptor, err := json.Marshal(object)
	if err != nil {
		return err
	}
	footer := binary.BigEndian.AppendUint64(descriptor, uint64(len(descriptor)))
	if _, err := d.Write(append(footer, magic...)); err != nil {
		return full(err)
	}
	return full(d.Sync())
}

// drop closes the draft and removes what has not been published of it. What cannot be removed goes at the next Open.
func (d draft) drop() {
	d.Close()
	os.Remove(d.Name())
}

// copyDigested copies body and returns its length, and its MD5 as an ETag has it.
func copyDigested(w io.Writer, body io.Reader) (size int64, etag string, err error) {
	sum := md5.New()
	size, err = io.Copy(io.MultiWriter(w, sum), body)
	return size, hex.EncodeToString(sum.Sum(nil)), full(err)
}

// errDamaged is what reading a file that is no record, or cannot be read, wraps. It must stay the trouble of its key alone.
var errDamaged = errors.New("damaged")

// openRecord opens a record; its bytes are at the beginning of the file.
func openRecord(path string) (*os.File, blob.Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, blob.Object{}, err
	}
	object, err := readDescriptor(f)
	if err != nil {
		return nil, object, errors.Join(fmt.Errorf("read %s: %w: %w", path, errDamaged, err), f.Close())
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

// look is statRecord for listings. There is nothing to list of what was removed meanwhile, nor of what is damaged: it must
// not hide the rest.
func (s *Store) look(path string) (object blob.Object, found bool, err error) {
	object, err = statRecord(path)
	if errors.Is(err, errDamaged) {
		s.log.Warn("a damaged file of the bundle store is left out of a listing; restore it, or replace what it holds", slog.Any("error", err))
		return object, false, nil
	}
	return object, err == nil, gone(err)
}

// statRecord reads a record's description alone.
func statRecord(path string) (blob.Object, error) {
	f, object, err := openRecord(path)
	if err != nil {
		return object, err
	}
	return object, f.Close()
}
