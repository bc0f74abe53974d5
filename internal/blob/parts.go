package blob

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

const (
	// MaxParts is the highest part number.
	MaxParts = 10_000
	// MinPart is the size in bytes below which only the last part may be.
	MinPart = 5 << 20
	// UploadLife is how long an upload may lie unfinished before its store drops it.
	UploadLife = 7 * 24 * time.Hour
)

// CheckParts looks up the parts that an upload is to be completed with. Each of listed must name a stored part by number,
// with its ETag and, if it has one, its checksum (ErrPart); the numbers must ascend (ErrPartOrder); all but the last must
// have MinPart bytes (ErrPartTooSmall).
func CheckParts(stored, listed []Part) ([]Part, error) {
	if len(listed) == 0 {
		return nil, fmt.Errorf("%w: at least one must be listed", ErrPart)
	}
	for i := 1; i < len(listed); i++ {
		if listed[i].Number <= listed[i-1].Number {
			return nil, fmt.Errorf("%w: %d follows %d", ErrPartOrder, listed[i].Number, listed[i-1].Number)
		}
	}
	byNumber := make(map[int]Part, len(stored))
	for _, p := range stored {
		byNumber[p.Number] = p
	}
	parts := make([]Part, len(listed))
	for i, want := range listed {
		got, ok := byNumber[want.Number]
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: %d was not uploaded", ErrPart, want.Number)
		case got.ETag != want.ETag:
			return nil, fmt.Errorf("%w: %d has ETag %s, not %s", ErrPart, want.Number, got.ETag, want.ETag)
		case want.Checksum != nil && (got.Checksum == nil || *got.Checksum != *want.Checksum):
			return nil, fmt.Errorf("%w: %d has another checksum", ErrPart, want.Number)
		case i < len(listed)-1 && got.Size < MinPart:
			return nil, fmt.Errorf("%w: %d has %d bytes; all but the last need %d", ErrPartTooSmall, want.Number, got.Size, MinPart)
		}
		parts[i] = got
	}
	return parts, nil
}

// PartsETag is the ETag of an object made of parts.
func PartsETag(parts []Part) (string, error) {
	sum := md5.New()
	for _, p := range parts {
		part, err := hex.DecodeString(p.ETag)
		if err != nil {
			return "", fmt.Errorf("%w: ETag of %d is %q", ErrPart, p.Number, p.ETag)
		}
		sum.Write(part)
	}
	return hex.EncodeToString(sum.Sum(nil)) + "-" + strconv.Itoa(len(parts)), nil
}

// PartsChecksum is the composite checksum of an object made of parts: the checksum of their checksums. It is nil if a
// part has none of this algorithm.
func PartsChecksum(a Algorithm, parts []Part) *Checksum {
	sum := a.New()
	for _, p := range parts {
		if p.Checksum == nil || p.Checksum.Algorithm != a {
			return nil
		}
		part, err := base64.StdEncoding.DecodeString(p.Checksum.Value)
		if err != nil {
			return nil
		}
		sum.Write(part)
	}
	return &Checksum{Algorithm: a, Value: Encode(sum) + "-" + strconv.Itoa(len(parts)), Composite: true}
}
