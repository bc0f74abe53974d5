package sigv4

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Bounds on the work that an unauthenticated request can cause.
const (
	maxSignedHeaders = 100
	maxAuthorization = 8 << 10 // bytes of the header
	maxQuery         = 8 << 10 // bytes of the query string; S3's longest are a presigned URL with its session token
)

// tokenName is the header, and the parameter of a presigned URL, that holds a session token.
const tokenName = "X-Amz-Security-Token"

// Parse reads the signature of a request from its Authorization header or its URL, and reads no byte of the body.
// Every error is an *Error.
func Parse(r *http.Request) (*Request, error) {
	q := &Request{http: r}
	if len(r.URL.RawQuery) > maxQuery {
		return nil, Errorf(Incomplete, "The query string is longer than %d bytes.", maxQuery)
	}
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Errorf(Incomplete, "The query string cannot be decoded: %v.", err)
	}
	auth := r.Header.Values("Authorization")
	_, q.presigned = params.lookup("X-Amz-Algorithm")

	switch {
	case len(auth) > 1, len(auth) == 1 && q.presigned:
		return nil, Errorf(Incomplete, "Only one signature is allowed: one Authorization header, or one in the URL.")
	case len(auth) == 1:
		err = q.parseHeader(auth[0])
	case q.presigned:
		err = q.parsePresigned(params)
	case params.get("AWSAccessKeyId") != "":
		return nil, Errorf(Missing, "The URL is signed with the old version 2, which is not supported. Sign it with version 4: "+
			"aws configure set default.s3.signature_version s3v4, or in boto3 Config(signature_version=\"s3v4\").")
	default:
		return nil, Errorf(Missing, "The request is not signed. Sign it with AWS Signature Version 4.")
	}
	if err == nil {
		err = q.check()
	}
	if e, ok := err.(*Error); ok {
		e.Presigned = q.presigned
		return nil, e
	}
	return q, err
}

// parseHeader reads `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`; the space after a comma is
// optional.
func (q *Request) parseHeader(value string) error {
	if len(value) > maxAuthorization {
		return Errorf(Incomplete, "Authorization is longer than %d bytes.", maxAuthorization)
	}
	scheme, rest, _ := strings.Cut(value, " ")
	if scheme != algorithm {
		return Errorf(Incomplete, "Authorization must use %s.", algorithm)
	}
	var credential, signed string
	fields := map[string]*string{"Credential": &credential, "SignedHeaders": &signed, "Signature": &q.signature}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		field := fields[name]
		if field == nil || *field != "" {
			return Errorf(Incomplete, "Authorization has an unknown or repeated part %q.", name)
		}
		*field = value
	}
	if err := q.parseCredential(credential); err != nil {
		return err
	}
	q.parseSignedHeaders(signed)
	q.Token = q.http.Header.Get(tokenName)
	q.payload = q.http.Header.Get("X-Amz-Content-Sha256")
	if q.payload == "" && q.Scope.Service == serviceS3 {
		return Errorf(Incomplete, "The header x-amz-content-sha256 is missing.")
	}
	return q.parseHeaderTime()
}

// parseHeaderTime takes X-Amz-Date, or Date where a client set that one itself.
func (q *Request) parseHeaderTime() (err error) {
	if date := q.http.Header.Get("X-Amz-Date"); date != "" {
		return q.parseTime(date)
	}
	if q.time, err = http.ParseTime(q.http.Header.Get("Date")); err != nil {
		return Errorf(Incomplete, "The request needs a valid X-Amz-Date or Date header.")
	}
	if !q.Signed("date") {
		return Errorf(HeaderNotSigned, "The header date is not signed.")
	}
	q.time = q.time.UTC()
	return nil
}

// parsePresigned reads the query parameters of a presigned URL. Only S3 has those.
func (q *Request) parsePresigned(params query) error {
	if params.get("X-Amz-Algorithm") != algorithm {
		return Errorf(Incomplete, "X-Amz-Algorithm must be %s.", algorithm)
	}
	if err := q.parseCredential(params.get("X-Amz-Credential")); err != nil {
		return err
	}
	if q.Scope.Service != serviceS3 {
		return Errorf(Incomplete, "Presigned URLs are for s3 alone; sign with the Authorization header.")
	}
	q.parseSignedHeaders(params.get("X-Amz-SignedHeaders"))
	q.signature = params.get("X-Amz-Signature")
	q.Token = params.get(tokenName)
	seconds, err := strconv.ParseInt(params.get("X-Amz-Expires"), 10, 64)
	if err != nil || seconds < 1 || seconds > int64(maxExpiry/time.Second) {
		return Errorf(Incomplete, "X-Amz-Expires must be between 1 second and 7 days.")
	}
	q.expires = time.Duration(seconds) * time.Second

	q.payload = unsignedPayload
	if hash := params.get("X-Amz-Content-Sha256"); hash != "" {
		q.payload = hash
	}
	if hash := q.http.Header.Get("X-Amz-Content-Sha256"); hash != "" {
		q.payload = hash // check insists that it is signed
	}
	return q.parseTime(params.get("X-Amz-Date"))
}

func (q *Request) parseTime(value string) (err error) {
	if q.time, err = time.Parse(timeFormat, value); err != nil {
		return Errorf(Incomplete, "X-Amz-Date must look like %s.", timeFormat)
	}
	return nil
}

// parseCredential reads `AccessKeyID/date/region/service/aws4_request`.
func (q *Request) parseCredential(value string) error {
	parts := strings.Split(value, "/")
	if len(parts) != 5 || parts[4] != terminator || slices.Contains(parts, "") {
		return Errorf(Incomplete, "Credential must look like ACCESS_KEY/yyyymmdd/region/service/%s.", terminator)
	}
	q.Scope = Scope{AccessKeyID: parts[0], Date: parts[1], Region: parts[2], Service: parts[3]}
	return nil
}

func (q *Request) parseSignedHeaders(value string) {
	q.signed = strings.Split(strings.ToLower(value), ";")
	slices.Sort(q.signed)
}

// check holds what both forms have in common.
func (q *Request) check() error {
	if len(q.signature) != 64 {
		return Errorf(Incomplete, "The signature must be 64 hexadecimal digits.")
	}
	if q.Scope.Date != q.time.Format("20060102") {
		return Errorf(BadSignature, "The date in the credential scope is not that of the request.")
	}
	if err := q.checkPayload(); err != nil {
		return err
	}
	if len(q.signed) > maxSignedHeaders {
		return Errorf(Incomplete, "More than %d headers are signed.", maxSignedHeaders)
	}
	return q.checkSigned()
}

// checkSigned insists that the host and every x-amz- header are covered: someone between client and server could add an
// X-Amz-Target or x-amz-copy-source, and so turn one signed request into another.
func (q *Request) checkSigned() error {
	if !q.Signed("host") {
		return Errorf(HeaderNotSigned, "The header host is not signed.")
	}
	for name := range q.http.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !q.Signed(name) {
			return Errorf(HeaderNotSigned, "The header %s is not signed.", name)
		}
	}
	return nil
}

func (q *Request) checkPayload() error {
	switch {
	case isHash(q.payload):
		return nil
	case q.Scope.Service != serviceS3:
		if q.payload != "" {
			return Errorf(Incomplete, "X-Amz-Content-Sha256 must be a SHA-256 digest; only s3 knows other values.")
		}
		return nil
	}
	switch q.payload {
	case unsignedPayload, unsignedPayloadTrailer, streamingSigned, streamingSignedTrailer:
		return nil
	}
	return Errorf(Incomplete, "The value of X-Amz-Content-Sha256 is not supported.")
}

func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func contains(sorted []string, header string) bool {
	_, found := slices.BinarySearch(sorted, strings.ToLower(header))
	return found
}
