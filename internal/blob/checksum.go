package blob

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"slices"
)

// Checksum is a digest that the writer of an object sent with it.
type Checksum struct {
	Algorithm Algorithm `json:"algorithm"`
	Value     string    `json:"value"`               // base64; "-" and the number of parts follow if composite
	Composite bool      `json:"composite,omitempty"` // of the parts' checksums, not of the whole object
}

// Algorithm is the name of a checksum algorithm as S3 writes it. The zero value is none.
type Algorithm string

// The algorithms that AWS clients use.
const (
	CRC32     Algorithm = "CRC32"
	CRC32C    Algorithm = "CRC32C"
	CRC64NVME Algorithm = "CRC64NVME"
	SHA1      Algorithm = "SHA1"
	SHA256    Algorithm = "SHA256"
)

// Algorithms lists them all.
func Algorithms() []Algorithm { return []Algorithm{CRC32, CRC32C, CRC64NVME, SHA1, SHA256} }

// Known reports whether a is one of Algorithms.
func (a Algorithm) Known() bool { return slices.Contains(Algorithms(), a) }

// nvme is the reversed polynomial 0xAD93D23594C93659 of the NVM Express specification.
var nvme = crc64.MakeTable(0x9A6C9329AC4BC9B5)

// New returns a hash of the algorithm, which must be known.
func (a Algorithm) New() hash.Hash {
	switch a {
	case CRC32:
		return crc32.NewIEEE()
	case CRC32C:
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case CRC64NVME:
		return crc64.New(nvme)
	case SHA1:
		return sha1.New()
	case SHA256:
		return sha256.New()
	}
	panic("blob: unknown checksum algorithm " + string(a))
}

// Encode returns the hash's value as it is written in headers.
func Encode(h hash.Hash) string { return base64.StdEncoding.EncodeToString(h.Sum(nil)) }
