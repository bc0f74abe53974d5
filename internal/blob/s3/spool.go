package s3

import (
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"syscall"

	"grapnel/internal/blob"
)

// spooled is a body that has come to its end.
type spooled struct {
	*os.File
	size int64
	md5  []byte
}

// receive reads a body to its end into a file without a name, which goes with the process, however that ends.
func (s *Store) receive(body io.Reader) (*spooled, error) {
	f, err := os.CreateTemp(s.spool, "receiving-")
	if err != nil {
		return nil, full(err)
	}
	b, err := fill(f, body)
	if err != nil {
		return nil, errors.Join(full(err), f.Close())
	}
	return b, nil
}

func fill(f *os.File, body io.Reader) (*spooled, error) {
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	sum := md5.New()
	size, err := io.Copy(io.MultiWriter(f, sum), body)
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(0, io.SeekStart)
	return &spooled{f, size, sum.Sum(nil)}, err
}

// prove adds the digest that the store checks what it gets with: the client's, or if it sent none, MD5.
func (b *spooled) prove(h http.Header, sum *blob.Checksum) {
	if sum == nil {
		h.Set("Content-Md5", base64.StdEncoding.EncodeToString(b.md5))
	}
	setChecksum(h, sum)
}

func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	}
	return err
}
