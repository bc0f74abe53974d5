package s3

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"grapnel/internal/blob"
)

// Attributes travel as headers, which are set and read here as they are: the SDK has a member for each, in each of its
// structs, and some of them it parses.

const (
	metaPrefix     = "X-Amz-Meta-"
	checksumPrefix = "X-Amz-Checksum-"
)

var storedHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

// with sends headers along.
func with(headers http.Header) func(*s3.Options) {
	set := middleware.BuildMiddlewareFunc("Attributes", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (
		middleware.BuildOutput, middleware.Metadata, error,
	) {
		request, ok := in.Request.(*smithyhttp.Request)
		if !ok {
			return middleware.BuildOutput{}, middleware.Metadata{}, errors.New("the request is not one of HTTP")
		}
		for name, values := range headers {
			request.Header[name] = values
		}
		return next.HandleBuild(ctx, in)
	})
	return func(o *s3.Options) {
		o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error { return stack.Build.Add(set, middleware.Before) })
	}
}

// received are the headers of an answer.
func received(metadata middleware.Metadata) http.Header {
	if raw, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response); ok {
		return raw.Header
	}
	return http.Header{}
}

// genuineDelete is genuine for the answer to a DELETE, which has no content.
func genuineDelete(metadata middleware.Metadata) error {
	raw, ok := awsmiddleware.GetRawResponse(metadata).(*smithyhttp.Response)
	if !ok || raw.StatusCode != http.StatusNoContent {
		return errors.New("the answer to the DELETE has not the status 204, so it is none of an S3's")
	}
	return nil
}

// describing are the headers that tell attributes, without the checksum.
func describing(attrs *blob.Attributes) http.Header {
	h := http.Header{}
	if attrs.ContentType != "" {
		h.Set("Content-Type", attrs.ContentType)
	}
	for name, value := range attrs.Headers {
		h.Set(name, value)
	}
	for key, value := range attrs.Metadata {
		h.Set(metaPrefix+key, mime.QEncoding.Encode("utf-8", value)) // as S3 itself shows what is not ASCII
	}
	return h
}

func setChecksum(h http.Header, sum *blob.Checksum) {
	if sum != nil {
		h.Set(checksumPrefix+string(sum.Algorithm), sum.Value)
	}
}

func setCondition(h http.Header, when blob.Condition) {
	if when.Absent {
		h.Set("If-None-Match", "*")
	}
	switch when.ETag {
	case "":
	case "*":
		h.Set("If-Match", "*")
	default:
		h.Set("If-Match", `"`+when.ETag+`"`)
	}
}

// attributes reads what describing and setChecksum wrote.
func attributes(h http.Header) blob.Attributes {
	attrs := blob.Attributes{ContentType: h.Get("Content-Type"), Checksum: checksumIn(h)}
	for _, name := range storedHeaders {
		if value := h.Get(name); value != "" {
			attrs.Headers = add(attrs.Headers, name, value)
		}
	}
	for name := range h {
		key, ok := strings.CutPrefix(name, metaPrefix)
		if !ok {
			continue
		}
		value, err := new(mime.WordDecoder).DecodeHeader(h.Get(name))
		if err != nil {
			value = h.Get(name) // another character set: as it is
		}
		attrs.Metadata = add(attrs.Metadata, strings.ToLower(key), value)
	}
	return attrs
}

func add(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

func checksumIn(h http.Header) *blob.Checksum {
	for _, a := range blob.Algorithms() {
		if value := h.Get(checksumPrefix + string(a)); value != "" {
			return newChecksum(a, value)
		}
	}
	return nil
}

// newChecksum knows a composite checksum by the number of parts behind it: not every store says which kind one is.
func newChecksum(a blob.Algorithm, value string) *blob.Checksum {
	return &blob.Checksum{Algorithm: a, Value: value, Composite: strings.Contains(value, "-")}
}

// object is what the answer to a GET, HEAD or PUT says of the object.
func object(key string, h http.Header) blob.Object {
	o := blob.Object{
		Key: key, ETag: unquote(h.Get("ETag")), Modified: modified(h), Attributes: attributes(h),
		Version: h.Get("X-Amz-Version-Id"), DeleteMarker: h.Get("X-Amz-Delete-Marker") == "true",
	}
	length := h.Get("Content-Length")
	if _, total, ranged := strings.Cut(h.Get("Content-Range"), "/"); ranged {
		length = total
	}
	o.Size, _ = strconv.ParseInt(length, 10, 64) // absent from answers without a body
	return o
}

// modified is an object's time, or in the answer to a write, which does not tell it, the store's time of the answer.
func modified(h http.Header) time.Time {
	for _, name := range []string{"Last-Modified", "Date"} {
		if t, err := http.ParseTime(h.Get(name)); err == nil {
			return t.UTC()
		}
	}
	return time.Now().UTC().Truncate(time.Second)
}

func unquote(etag string) string { return strings.Trim(etag, `"`) }
