package objects

import (
	"cmp"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"grapnel/internal/blob"
)

func (c *call) putObject() error {
	attrs, err := attributes(c.r.Header)
	if err != nil {
		return err
	}
	body, err := newPayload(c.r, c.MaxObject)
	if err != nil {
		return err
	}
	o, err := c.store.Put(c.r.Context(), c.bucket, c.key, body.into(attrs), attrs)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", quote(o.ETag))
	setChecksum(c.w.Header(), o.Checksum)
	return c.done(http.StatusOK)
}

const (
	metaPrefix = "X-Amz-Meta-"
	maxMeta    = 2 << 10 // of all user metadata, names and values, bytes
)

// storedHeaders are kept with an object and sent back with it.
var storedHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

// attributes are what the headers of a request say about the object to be.
func attributes(h http.Header) (*blob.Attributes, error) {
	attrs := &blob.Attributes{ContentType: cmp.Or(h.Get("Content-Type"), "binary/octet-stream")}
	for _, name := range storedHeaders {
		value := h.Get(name)
		if name == "Content-Encoding" {
			value = withoutChunked(value)
		}
		if value != "" {
			attrs.Headers = with(attrs.Headers, name, value)
		}
	}
	size := 0
	for name, values := range h {
		key, ok := strings.CutPrefix(name, metaPrefix)
		if !ok {
			continue
		}
		value := strings.Join(values, ",")
		if !utf8.ValidString(value) {
			return nil, invalid("The user metadata %s is not UTF-8.", key)
		}
		if size += len(key) + len(value); size > maxMeta {
			return nil, &apiError{400, "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size."}
		}
		attrs.Metadata = with(attrs.Metadata, strings.ToLower(key), value)
	}
	return attrs, nil
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// withoutChunked drops aws-chunked, which described the request's body, not the object.
func withoutChunked(encodings string) string {
	var kept []string
	for e := range strings.SplitSeq(encodings, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, ",")
}

// getObject answers HEAD as well.
func (c *call) getObject() error {
	body, o, ranged, err := c.open()
	if err != nil {
		return err
	}
	defer body.Close()
	if err := precondition(c.r.Header, "", o); err != nil {
		c.w.Header().Set("ETag", quote(o.ETag))
		return err
	}
	offset, count, err := ranged.Resolve(o.Size)
	if err != nil {
		return err
	}
	c.describe(o)
	status := http.StatusOK
	if ranged.set {
		status = http.StatusPartialContent
		c.w.Header().Set("Content-Range", contentRange(offset, count, o.Size))
	} else if c.r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		setChecksum(c.w.Header(), o.Checksum) // covers the whole object, not a range of it
	}
	c.w.Header().Set("Content-Length", strconv.FormatInt(count, 10))
	c.w.WriteHeader(status)
	if c.r.Method == http.MethodHead {
		return nil
	}
	// A failure from here on cannot be told but by an answer shorter than announced, which net/http ends by closing.
	if _, err := io.Copy(c.w, body); err != nil {
		c.Log.DebugContext(c.r.Context(), "download ended early", "bucket", c.bucket, "key", c.key, "error", err)
	}
	return nil
}

// open opens the object that is asked for. A HEAD does not need the bytes. A range that is wanted only of a certain object
// (If-Range) is not needed, and so may always be left out.
func (c *call) open() (io.ReadCloser, blob.Object, requestRange, error) {
	var ranged requestRange
	if c.r.Header.Get("If-Range") == "" {
		ranged = parseRange(c.r.Header.Get("Range"))
	}
	if ranged.empty {
		return nil, blob.Object{}, ranged, blob.ErrRange
	}
	if c.r.Method == http.MethodHead {
		o, err := c.store.Stat(c.r.Context(), c.bucket, c.key)
		return http.NoBody, o, ranged, err
	}
	body, o, err := c.store.Open(c.r.Context(), c.bucket, c.key, ranged.Range)
	return body, o, ranged, err
}

// describe sets the headers that tell about an object.
func (c *call) describe(o blob.Object) {
	h := c.w.Header()
	h.Set("ETag", quote(o.ETag))
	h.Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", o.ContentType)
	for name, value := range o.Headers {
		h.Set(name, value)
	}
	for key, value := range o.Metadata {
		h["x-amz-meta-"+key] = []string{value} // lower case: clients show the name as it comes
	}
	for param := range c.query {
		if name, ok := strings.CutPrefix(param, "response-"); ok {
			h.Set(name, c.query.Get(param))
		}
	}
}

func (c *call) deleteObject() error {
	if err := c.store.Delete(c.r.Context(), c.bucket, c.key); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

// getTagging answers that there are no tags, which `aws s3 cp` asks before it copies in parts.
func (c *call) getTagging() error {
	if _, err := c.store.Stat(c.r.Context(), c.bucket, c.key); err != nil {
		return err
	}
	return c.reply(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
		TagSet  struct{}
	}{})
}

type copyResult struct {
	XMLName      xml.Name
	LastModified string
	ETag         string
	checksums
}

func newCopyResult(name string, etag, modified string, sum *blob.Checksum) copyResult {
	return copyResult{xml.Name{Space: namespace, Local: name}, modified, quote(etag), newChecksums(sum)}
}

func (c *call) copyObject() error {
	src, err := c.openSource(requestRange{})
	if err != nil {
		return err
	}
	defer src.body.Close()
	attrs, err := c.copiedAttributes(src)
	if err != nil {
		return err
	}
	body, err := c.copyPayload(src)
	if err != nil {
		return err
	}
	o, err := c.store.Put(c.r.Context(), c.bucket, c.key, body.into(attrs), attrs)
	if err != nil {
		return err
	}
	return c.reply(newCopyResult("CopyObjectResult", o.ETag, o.Modified.Format(timeFormat), o.Checksum))
}

// source is the object that is copied from.
type source struct {
	bucket, key string
	object      blob.Object
	body        io.ReadCloser
}

// openSource opens the object that x-amz-copy-source names, as "bucket/key", percent-encoded.
func (c *call) openSource(ranged requestRange) (*source, error) {
	name, version, _ := strings.Cut(c.r.Header.Get("X-Amz-Copy-Source"), "?")
	if version != "" && version != "versionId=null" {
		return nil, errNoVersion
	}
	name, err := url.PathUnescape(name)
	src := &source{}
	src.bucket, src.key, _ = strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if err != nil || src.key == "" {
		return nil, invalid("x-amz-copy-source must be bucket/key, percent-encoded.")
	}
	if err := c.Authorize(c.r.Context(), "s3:GetObject", src.bucket, src.key); err != nil {
		return nil, err
	}
	src.body, src.object, err = c.store.Open(c.r.Context(), src.bucket, src.key, ranged.Range)
	if err != nil {
		return nil, err
	}
	if precondition(c.r.Header, "X-Amz-Copy-Source-", src.object) != nil {
		src.body.Close()
		return nil, errPrecondition
	}
	return src, nil
}

// copiedAttributes are the source's, or with the directive REPLACE those of the request.
func (c *call) copiedAttributes(src *source) (*blob.Attributes, error) {
	switch directive := c.r.Header.Get("X-Amz-Metadata-Directive"); {
	case directive == "REPLACE":
		return attributes(c.r.Header)
	case directive != "" && directive != "COPY":
		return nil, invalid("x-amz-metadata-directive must be COPY or REPLACE.")
	case src.bucket == c.bucket && src.key == c.key:
		return nil, invalidRequest("This copy request is illegal because it is trying to copy an object to itself without changing its metadata.")
	}
	attrs := src.object.Attributes
	return &attrs, nil
}

// copyPayload is the source's body. Its checksum is computed by the algorithm that the request names, or that it had.
func (c *call) copyPayload(src *source) (*payload, error) {
	a := blob.Algorithm(strings.ToUpper(c.r.Header.Get("X-Amz-Checksum-Algorithm")))
	if a == "" && src.object.Checksum != nil {
		a = src.object.Checksum.Algorithm
	}
	if a != "" && !a.Known() {
		return nil, unknownAlgorithm(string(a))
	}
	return computed(src.body, c.MaxObject, a), nil
}
