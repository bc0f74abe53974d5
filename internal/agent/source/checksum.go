package source

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"net/http"
	"strings"
)

// checksum is computed over an object while it arrives, and compared with the one that the store keeps.
type checksum struct {
	name string // of the header
	want string // base64
	hash hash.Hash
	done int64 // bytes it covers, from the first on
}

// crc64NVME is the polynomial of x-amz-checksum-crc64nvme, reversed as hash/crc64 wants it.
const crc64NVME = 0x9a6c9329ac4bc9b5

// checksums are the algorithms in the order in which they are preferred: the cheapest first, they detect alike.
var checksums = []struct {
	name string
	make func() hash.Hash
}{
	{"X-Amz-Checksum-Crc32c", func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	{"X-Amz-Checksum-Crc32", func() hash.Hash { return crc32.NewIEEE() }},
	{"X-Amz-Checksum-Crc64nvme", func() hash.Hash { return crc64.New(crc64.MakeTable(crc64NVME)) }},
	{"X-Amz-Checksum-Sha256", sha256.New},
	{"X-Amz-Checksum-Sha1", sha1.New},
}

// newChecksum returns the checksum that the reply with a whole object names, nil if it names none. That of an object
// uploaded in parts may be one of the parts' checksums, "...-3", which takes their sizes to compute; it is left alone.
func newChecksum(h http.Header) *checksum {
	for _, c := range checksums {
		if want := h.Get(c.name); want != "" && !strings.Contains(want, "-") {
			return &checksum{name: c.name, want: want, hash: c.make()}
		}
	}
	return nil
}

// add takes the bytes that follow those already covered.
func (c *checksum) add(piece []byte) {
	if c != nil {
		c.hash.Write(piece)
		c.done += int64(len(piece))
	}
}

// check covers the rest of an object of that size, reading it from the file, and compares.
func (c *checksum) check(file io.ReaderAt, size int64) error {
	if c == nil {
		return nil
	}
	if _, err := io.Copy(c.hash, io.NewSectionReader(file, c.done, size-c.done)); err != nil {
		return fmt.Errorf("cannot read what was downloaded: %w", err)
	}
	if got := base64.StdEncoding.EncodeToString(c.hash.Sum(nil)); got != c.want {
		return &startOver{fmt.Errorf("the object did not arrive as it was stored: its %s is %s and should be %s", c.name, got, c.want)}
	}
	return nil
}
