package sigv4

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

// DefaultMaxBody is the limit in bytes on bodies that are read as a whole.
const DefaultMaxBody = 1 << 20

// Verifier checks signatures. The zero value is ready; it may be used by many goroutines.
type Verifier struct {
	// MaxBody limits, in bytes, the bodies of all services but s3, which are read as a whole. 0 means DefaultMaxBody.
	// The bodies of s3 are streamed and have no limit here.
	MaxBody int64

	keys keyCache
}

// Verify checks the signature and returns the request to go on with.
//
// Of an s3 request nothing of the body is read here; net/http sends "100 Continue" on the first read, and so not before
// the client is authenticated. The Body that is returned is decoded from aws-chunked and proves itself by reaching io.EOF
// (a read may end in an *Error instead), ContentLength is the decoded length, and Trailer holds the body's trailers after
// io.EOF.
//
// The body of any other service is read and proven before Verify returns: most of these clients do not declare its digest,
// without which the signature cannot be checked, and a decoder of JSON may stop before io.EOF.
//
// Every error is an *Error.
func (v *Verifier) Verify(q *Request, secret string, now time.Time) (*http.Request, error) {
	if err := q.checkTime(now); err != nil {
		return nil, q.mark(err)
	}
	body, payload := q.http.Body, q.payload
	if body == nil {
		body = http.NoBody
	}
	if q.Scope.Service != serviceS3 {
		data, err := v.readBody(body, q.http.ContentLength)
		if err != nil {
			return nil, q.mark(err)
		}
		body, payload = io.NopCloser(bytes.NewReader(data)), hexHash(data)
	}
	key := v.keys.get(secret, q.Scope)
	if err := q.checkSignature(key, payload); err != nil {
		return nil, q.mark(err)
	}
	v.keys.put(secret, q.Scope, key)
	return q.open(body, key)
}

// mark records where the signature was, which some protocols name errors by.
func (q *Request) mark(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		e.Presigned = q.presigned
	}
	return err
}

func (q *Request) checkTime(now time.Time) error {
	skew := maxSkew(q.Scope.Service)
	earliest, latest := now.Add(-skew), now.Add(skew)
	if q.presigned {
		if end := q.time.Add(q.expires); now.After(end) {
			return Errorf(Expired, "Request has expired at %s; it is now %s.", end.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
		}
		earliest = q.time
	}
	if q.time.Before(earliest) {
		return Errorf(Skewed, "Signature expired: %s is now earlier than %s (%s - %d min.)",
			stamp(q.time), stamp(earliest), stamp(now), skew/time.Minute)
	}
	if q.time.After(latest) {
		return Errorf(Skewed, "Signature not yet current: %s is still later than %s (%s + %d min.)",
			stamp(q.time), stamp(latest), stamp(now), skew/time.Minute)
	}
	return nil
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }

// readBody reads a body, none of it when it says that it is too long (declared is -1 when it says nothing).
func (v *Verifier) readBody(body io.Reader, declared int64) ([]byte, error) {
	limit := v.MaxBody
	if limit == 0 {
		limit = DefaultMaxBody
	}
	if declared > limit {
		return nil, Errorf(TooLarge, "The request body is larger than %d bytes.", limit)
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, Errorf(Incomplete, "The request body did not come whole or not in time.")
	}
	if int64(len(data)) > limit {
		return nil, Errorf(TooLarge, "The request body is larger than %d bytes.", limit)
	}
	return data, nil
}

func (q *Request) checkSignature(key []byte, payload string) error {
	params, err := parseQuery(q.http.URL.RawQuery)
	if err != nil {
		return Errorf(Incomplete, "The query string cannot be decoded: %v.", err)
	}
	canonical := canonicalRequest(q.http, q.Scope.Service, params, q.signed, payload)
	want := hexMAC(key, stringToSign(stamp(q.time), q.Scope, canonical))
	if !same(want, q.signature) {
		return Errorf(BadSignature, "The request signature we calculated does not match the signature you provided. "+
			"Check your secret access key and signing method.")
	}
	return nil
}

// same compares in constant time, so that timing does not tell how much of a guess was right.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// open returns the request with its body decoded.
func (q *Request) open(body io.ReadCloser, key []byte) (*http.Request, error) {
	r := q.http.WithContext(q.http.Context())
	r.Body, r.Trailer = body, nil // trailers of HTTP itself are not signed
	switch {
	case q.Scope.Service != serviceS3, q.payload == unsignedPayload:
		return r, nil
	case isHash(q.payload):
		r.Body = newHashReader(body, q.payload)
		return r, nil
	}
	length, err := decodedLength(r)
	if err != nil {
		return nil, q.mark(err)
	}
	r.ContentLength, r.Trailer = length, http.Header{}
	r.Body = newChunkReader(body, q, key, length, r.Trailer)
	return r, nil
}

// decodedLength is the length of an aws-chunked body without its framing, -1 if it is not declared.
func decodedLength(r *http.Request) (int64, error) {
	value := r.Header.Get("X-Amz-Decoded-Content-Length")
	if value == "" {
		return -1, nil
	}
	length, err := strconv.ParseInt(value, 10, 64)
	if err != nil || length < 0 {
		return 0, Errorf(Incomplete, "X-Amz-Decoded-Content-Length must be a number of bytes.")
	}
	return length, nil
}
