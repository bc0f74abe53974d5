// Package objects is the S3 endpoint over a blob store: what `aws deploy push`, `aws s3`, the SDKs and host agents need
// of S3, path style and virtual-host style.
//
// The caller has verified the request before (package sigv4) and hands on the one that Verifier.Verify returned: its body
// is decoded, its trailers come with the body's end, and reading the body to its end proves it. Requests that were
// refused before they came here are answered with WriteError.
//
// What S3 has and this endpoint does not (ACLs, tags, encryption, ...) is refused as NotImplemented, never
// silently left out.
package objects

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	"grapnel/internal/blob"
)

// Store is what the endpoint needs of a provider.
type Store interface {
	blob.Store
	blob.Buckets
	blob.Multipart
	blob.Versions
}

// ErrDenied is what Options.Authorize wraps to refuse a request.
var ErrDenied = errors.New("access denied")

// ErrSlowDown is what an error wraps that asks the client to wait and try again, for WriteError.
var ErrSlowDown = errors.New("reduce your request rate")

// DefaultMaxObject is S3's limit on a body in one request, in bytes.
const DefaultMaxObject = 5 << 30

// Options configure the endpoint.
type Options struct {
	Region string       // returned as the buckets' location
	Domain string       // buckets are also found at BUCKET.Domain; "" for path style alone
	Log    *slog.Logger // required

	// MaxObject limits an object or a part, in bytes; 0 means DefaultMaxObject.
	MaxObject int64

	// Authorize, which is required, is called before anything is read, neither of the store nor of the body. An error that
	// wraps ErrDenied is AccessDenied to the client, another one InternalError.
	Authorize func(ctx context.Context, a Access) error
}

// Access is what a request is about to do.
type Access struct {
	Action      string // as IAM policies name it, such as "s3:GetObject", or "s3:GetObjectVersion" where a version is named
	Bucket, Key string // "" where the action concerns none
	Version     string // "" for the current one
}

// New returns the endpoint.
func New(store Store, opts Options) http.Handler {
	if opts.MaxObject == 0 {
		opts.MaxObject = DefaultMaxObject
	}
	return &handler{store: store, Options: opts}
}

type handler struct {
	store Store
	Options
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{handler: h, w: w, r: r, query: r.URL.Query()}
	c.bucket, c.key = Locate(r, h.Domain)
	err := c.serve()
	if err == nil {
		return
	}
	c.logFailure(writeError(w, r, err), err)
}

// logFailure logs what is the server's own failure.
func (c *call) logFailure(e *apiError, err error) {
	if e.status >= 500 && e.status != http.StatusNotImplemented {
		c.Log.ErrorContext(c.r.Context(), "s3 request failed", "method", c.r.Method, "bucket", c.bucket, "key", c.key,
			"request", c.w.Header().Get(requestIDHeader), "error", err)
	}
}

// Locate finds bucket and key in host (BUCKET.domain; domain may be "") and path. They are not yet checked.
func Locate(r *http.Request, domain string) (bucket, key string) {
	path := strings.TrimPrefix(r.URL.Path, "/")
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if bucket, ok := strings.CutSuffix(host, "."+strings.ToLower(domain)); ok && domain != "" {
		return bucket, path
	}
	bucket, key, _ = strings.Cut(path, "/")
	return bucket, key
}

// call is one request on its way through the endpoint.
type call struct {
	*handler
	w           http.ResponseWriter
	r           *http.Request
	query       url.Values
	bucket, key string
}

func (c *call) serve() error {
	setRequestID(c.w)
	op, err := c.operation()
	if err != nil {
		return err
	}
	if len(c.key) > blob.MaxKey {
		return errKeyTooLong
	}
	if op.action != "" {
		if err := c.authorize(op.action, c.key, c.version()); err != nil {
			return err
		}
	}
	return op.serve(c)
}

// version is the one that is asked for, or "".
func (c *call) version() string { return c.query.Get("versionId") }

func (c *call) authorize(action, key, version string) error {
	return c.Authorize(c.r.Context(), Access{versioned(action, version), c.bucket, key, version})
}

const requestIDHeader = "X-Amz-Request-Id"

// setRequestID names the request, unless the caller has.
func setRequestID(w http.ResponseWriter) {
	if w.Header().Get(requestIDHeader) == "" {
		w.Header().Set(requestIDHeader, rand.Text()[:16])
	}
}

const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

// timeFormat is how XML answers write times.
const timeFormat = "2006-01-02T15:04:05.000Z"

// reply sends an XML document. A client that has gone away is nobody's error.
func (c *call) reply(document any) error {
	data, err := xml.Marshal(document)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/xml")
	c.w.Write(append([]byte(xml.Header), data...))
	return nil
}

// done sends an answer without a body.
func (c *call) done(status int) error {
	c.w.WriteHeader(status)
	return nil
}

func quote(etag string) string { return `"` + etag + `"` }
