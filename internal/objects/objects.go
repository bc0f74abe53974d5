// Package objects is the S3 endpoint over a blob store: what `aws deploy push`, `aws s3`, the SDKs and host agents need
// of S3, path style and virtual-host style.
//
// The caller has verified the request before (package sigv4) and hands on the one that Verifier.Verify returned: its body
// is decoded, its trailers come with the body's end, and reading the body to its end proves it. Requests that were
// refused before they came here are answered with WriteError.
//
// What S3 has and this endpoint does not (versions, ACLs, tags, encryption, ...) is refused as NotImplemented, never
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

	// Authorize, which is required, is called with the action as IAM policies name it ("s3:GetObject") before anything is read, neither of
	// the store nor of the body. bucket and key are "" where the action concerns none. An error that wraps ErrDenied is
	// AccessDenied to the client, another one InternalError.
	Authorize func(ctx context.Context, action, bucket, key string) error
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
	if e := writeError(w, r, err); e.status >= 500 && e.status != http.StatusNotImplemented {
		h.Log.ErrorContext(r.Context(), "s3 request failed", "method", r.Method, "bucket", c.bucket, "key", c.key,
			"request", w.Header().Get(requestIDHeader), "error", err)
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
		if err := c.Authorize(c.r.Context(), op.action, c.bucket, c.key); err != nil {
			return err
		}
	}
	return op.serve(c)
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
