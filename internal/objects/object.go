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
	when, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	body, err := newPayload(c.r, c.MaxObject)
	if err != nil {
		return err
	}
	o, err := c.store.Put(c.r.Context(), c.bucket, c.key, body.into(attrs), attrs, when)
	if err != nil {
		return err
	}
	setVersion(c.w.Header(), o)
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
	ranged, err := c.selected()
	if err != nil {
		return err
	}
	body, o, err := c.open(ranged)
	setVersion(c.w.Header(), o)
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

// selected is which bytes the request asks for: a range, or a part by its number. A range that is wanted only of a certain
// object (If-Range) is not needed, and so may always be left out.
func (c *call) selected() (requestRange, error) {
	if c.query.Has("partNumber") {
		return c.selectedPart()
	}
	if c.r.Header.Get("If-Range") != "" {
		return requestRange{}, nil
	}
	ranged := parseRange(c.r.Header.Get("Range"))
	if ranged.empty {
		return ranged, blob.ErrRange
	}
	return ranged, nil
}

// selectedPart is the range of a part. What was not made of parts is one part.
func (c *call) selectedPart() (requestRange, error) {
	number, err := c.partNumber()
	if err != nil {
		return requestRange{}, err
	}
	if c.r.Header.Get("Range") != "" {
		return requestRange{}, invalidRequest("Cannot specify both Range header and partNumber query parameter.")
	}
	o, err := c.store.Stat(c.r.Context(), c.bucket, c.key, c.version())
	if err != nil {
		setVersion(c.w.Header(), o)
		return requestRange{}, err
	}
	parts := o.Parts
	switch {
	case len(parts) > 0:
		c.w.Header().Set("X-Amz-Mp-Parts-Count", strconv.Itoa(len(parts)))
	case strings.Contains(o.ETag, "-"):
		return requestRange{}, notImplemented("partNumber for this object, of whose parts nothing is known. Ask for a range.")
	default:
		parts = []int64{o.Size}
	}
	if number > len(parts) {
		return requestRange{}, &apiError{416, "InvalidPartNumber", "The requested partnumber is not satisfiable."}
	}
	selected := requestRange{Range: blob.Range{Count: parts[number-1]}, set: o.Size > 0}
	for _, size := range parts[:number-1] {
		selected.First += size
	}
	return selected, nil
}

// open opens the object that is asked for. A HEAD does not need the bytes.
func (c *call) open(ranged requestRange) (io.ReadCloser, blob.Object, error) {
	if c.r.Method == http.MethodHead {
		o, err := c.store.Stat(c.r.Context(), c.bucket, c.key, c.version())
		return http.NoBody, o, err
	}
	return c.store.Open(c.r.Context(), c.bucket, c.key, c.version(), ranged.Range)
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
	etag := strings.Trim(c.r.Header.Get("If-Match"), `"`)
	o, err := c.store.Delete(c.r.Context(), c.bucket, c.key, c.version(), blob.Condition{ETag: etag})
	if err != nil {
		return err
	}
	setVersion(c.w.Header(), o)
	return c.done(http.StatusNoContent)
}

// getTagging answers that there are no tags, which `aws s3 cp` asks before it copies in parts.
func (c *call) getTagging() error {
	o, err := c.store.Stat(c.r.Context(), c.bucket, c.key, c.version())
	setVersion(c.w.Header(), o)
	if err != nil {
		return err
	}
	return c.reply(struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ Tagging"`
		TagSet  struct{}
	}{})
}

// getAttributes answers what the header asks for of an object. AWS wants the right to read it as well.
func (c *call) getAttributes() error {
	if err := c.authorize("s3:GetObject", c.key, c.version()); err != nil {
		return err
	}
	o, err := c.store.Stat(c.r.Context(), c.bucket, c.key, c.version())
	setVersion(c.w.Header(), o)
	if err != nil {
		return err
	}
	type partCount struct{ PartsCount int }
	type checksumElement struct {
		checksums
		ChecksumType string
	}
	var result struct {
		XMLName      xml.Name         `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
		ETag         string           `xml:",omitempty"` // without quotes here
		Checksum     *checksumElement `xml:",omitempty"`
		ObjectParts  *partCount       `xml:",omitempty"`
		StorageClass string           `xml:",omitempty"`
		ObjectSize   *int64           `xml:",omitempty"`
	}
	for name := range strings.SplitSeq(strings.Join(c.r.Header.Values("X-Amz-Object-Attributes"), ","), ",") {
		switch name = strings.TrimSpace(name); {
		case name == "ETag":
			result.ETag = o.ETag
		case name == "StorageClass":
			result.StorageClass = standard
		case name == "ObjectSize":
			result.ObjectSize = &o.Size
		case name == "Checksum" && o.Checksum != nil:
			result.Checksum = &checksumElement{newChecksums(o.Checksum), checksumType(o.Checksum.Composite)}
		case name == "ObjectParts" && len(o.Parts) > 0:
			result.ObjectParts = &partCount{len(o.Parts)}
		case name != "Checksum" && name != "ObjectParts":
			return invalid("x-amz-object-attributes names %q; there are ETag, Checksum, ObjectParts, StorageClass and ObjectSize.", name)
		}
	}
	c.w.Header().Set("Last-Modified", o.Modified.Format(http.TimeFormat))
	return c.reply(result)
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
	if d := c.r.Header.Get("X-Amz-Tagging-Directive"); d != "" && d != "COPY" && d != "REPLACE" {
		return invalid("x-amz-tagging-directive must be COPY or REPLACE.")
	}
	when, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
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
	o, err := c.store.Put(c.r.Context(), c.bucket, c.key, body.into(attrs), attrs, when)
	if err != nil {
		return err
	}
	setVersion(c.w.Header(), o)
	setSourceVersion(c.w.Header(), src.object)
	return c.reply(newCopyResult("CopyObjectResult", o.ETag, o.Modified.Format(timeFormat), o.Checksum))
}

// source is the object that is copied from.
type source struct {
	bucket, key, version string
	object               blob.Object
	body                 io.ReadCloser
}

// parseSource reads x-amz-copy-source: bucket/key, percent-encoded, and perhaps ?versionId=.
func parseSource(header string) (*source, error) {
	name, query, hasQuery := strings.Cut(header, "?")
	version, isVersion := strings.CutPrefix(query, "versionId=")
	name, err := url.PathUnescape(name)
	src := &source{version: version}
	src.bucket, src.key, _ = strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if err != nil || src.key == "" || hasQuery && (!isVersion || version == "") {
		return nil, invalid("x-amz-copy-source must be bucket/key, percent-encoded, or bucket/key?versionId=ID.")
	}
	return src, nil
}

// openSource opens the object that x-amz-copy-source names.
func (c *call) openSource(ranged requestRange) (*source, error) {
	src, err := parseSource(c.r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return nil, err
	}
	access := Access{versioned("s3:GetObject", src.version), src.bucket, src.key, src.version}
	if err := c.Authorize(c.r.Context(), access); err != nil {
		return nil, err
	}
	src.body, src.object, err = c.store.Open(c.r.Context(), src.bucket, src.key, src.version, ranged.Range)
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
	case src.bucket == c.bucket && src.key == c.key && src.version == "":
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
