// Package sigv4 verifies and makes AWS Signature Version 4 signatures: the Authorization header, presigned S3 URLs, and
// the chunk and trailer signatures of S3 uploads.
//
// A server takes three steps, so that it can route before it looks a key up, and authenticate before it reads a body:
//
//	q, err := sigv4.Parse(r)                            // no secret needed: q.Scope names key, region and service
//	secret, err := lookUp(q.Scope.AccessKeyID, q.Token) // the caller's; an unknown key is sigv4.Errorf(sigv4.UnknownKey, ...)
//	r, err = verifier.Verify(q, secret, time.Now())
//
// The request that Verify returns carries the decoded body. That of s3 is proven by reading it to io.EOF: a body whose
// digest, chunk signature or trailer signature is wrong ends in an *Error instead, so nothing read from it may take effect
// before. Any other body is proven already.
package sigv4

import (
	"net/http"
	"time"
)

// Scope is what a request says about its signature: who signed it, and for what.
type Scope struct {
	AccessKeyID string
	Date        string // yyyymmdd, UTC
	Region      string
	Service     string // the signing name: "codedeploy", "s3", "iam", ...
}

// String is the credential scope as it enters the string to sign.
func (s Scope) String() string {
	return s.Date + "/" + s.Region + "/" + s.Service + "/" + terminator
}

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	serviceS3  = "s3"
)

// Values of X-Amz-Content-Sha256 that are not a digest. All but the first announce an aws-chunked body.
const (
	unsignedPayload        = "UNSIGNED-PAYLOAD"
	unsignedPayloadTrailer = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks           = algorithm + "-PAYLOAD"
	streamingSigned        = "STREAMING-" + signedChunks
	streamingSignedTrailer = "STREAMING-" + signedChunks + "-TRAILER"
)

// emptyHash is the SHA-256 digest of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// maxSkew is how far a request's date may be from the server's clock: service.md section 1 for all, S3 allows more.
func maxSkew(service string) time.Duration {
	if service == serviceS3 {
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

// maxExpiry is the longest life of a presigned URL.
const maxExpiry = 7 * 24 * time.Hour

// Request is a parsed, not yet verified signature together with the request it belongs to.
type Request struct {
	Scope Scope
	Token string // of a session (X-Amz-Security-Token), covered by the signature; "" for an access key

	http      *http.Request
	presigned bool
	time      time.Time
	expires   time.Duration // presigned only
	signed    []string      // lower case, sorted
	signature string        // hex
	payload   string        // X-Amz-Content-Sha256, or what stands for it in a presigned URL; "" if not declared
}

// Signed reports whether the header is among the signed ones. What is not signed, a third party may have added.
func (q *Request) Signed(header string) bool { return contains(q.signed, header) }
