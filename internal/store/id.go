package store

import (
	"crypto/rand"
	"strings"

	"grapnel/internal/awsapi"
)

// idAlphabet is what a deployment id is made of after its prefix (service.md 1).
const idAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// NewDeploymentID returns a random deployment id: "d-" and nine of A-Z and 0-9 (service.md 1). It may exist already (once in
// 10^14 pairs); whoever stores the deployment is then told ErrExists.
func NewDeploymentID() string {
	var id strings.Builder
	id.WriteString("d-")
	for id.Len() < len("d-")+9 {
		var b [1]byte
		rand.Read(b[:]) //nolint:errcheck // never fails since Go 1.24
		// 252 is the largest multiple of 36 in a byte: bytes above it would make the first letters likelier than the last.
		if b[0] < 252 {
			id.WriteByte(idAlphabet[int(b[0])%len(idAlphabet)])
		}
	}
	return id.String()
}

// NewInstanceARN returns the ARN of an on-premises instance that is being registered. Unlike the one that policies name, it ends
// in ten characters that no other registration has (service.md 1).
func NewInstanceARN(region, account, name string) string {
	return awsapi.InstanceARN(region, account, name) + "_" + rand.Text()[:10]
}
