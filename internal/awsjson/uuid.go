package awsjson

import (
	"crypto/rand"
	"fmt"
)

// UUID returns a random UUID (version 4) in lower case: the form of request ids and of the ids of applications,
// deployment groups and deployment configs (service.md 1).
func UUID() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // never fails since Go 1.24
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
