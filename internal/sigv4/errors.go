package sigv4

import "fmt"

// Problem says what is wrong with a signature, in terms that every protocol can translate into its own error name.
type Problem int

const (
	Missing         Problem = iota + 1 // no signature at all
	Incomplete                         // a signature that cannot be read
	UnknownKey                         // no such access key; found by the caller
	BadToken                           // a session token that is not this key's, or is none; found by the caller
	ExpiredToken                       // a session token after its time; found by the caller
	HeaderNotSigned                    // a header that decides something is not covered
	Skewed                             // signed too long ago, or in the future
	Expired                            // a presigned URL after its time
	BadSignature                       // the signature is not the one that the secret gives
	BadDigest                          // the body is not the one that was signed
	BadChunk                           // the aws-chunked framing is broken
	TooLarge                           // the body is over the limit
)

// Error is a refused signature. Its text is meant for the client and holds no secret.
type Error struct {
	Problem   Problem
	Presigned bool // the signature was in the URL
	Text      string
}

func (e *Error) Error() string { return e.Text }

// Errorf returns an *Error; for callers that find a problem of their own, such as an unknown key.
func Errorf(p Problem, format string, args ...any) *Error {
	return &Error{Problem: p, Text: fmt.Sprintf(format, args...)}
}
