package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// hashReader proves a body against the digest that was signed: it ends in io.EOF only if they agree.
type hashReader struct {
	body io.ReadCloser
	hash hash.Hash
	want string
}

func newHashReader(body io.ReadCloser, want string) *hashReader {
	return &hashReader{body: body, hash: sha256.New(), want: want}
}

func (h *hashReader) Read(p []byte) (int, error) {
	n, err := h.body.Read(p)
	h.hash.Write(p[:n])
	if err == io.EOF && !same(hex.EncodeToString(h.hash.Sum(nil)), h.want) {
		err = Errorf(BadDigest, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	return n, err
}

func (h *hashReader) Close() error { return h.body.Close() }
