package objects

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strings"

	"grapnel/internal/blob"
	"grapnel/internal/sigv4"
)

// payload is bytes on their way into the store. It ends in io.EOF only if there are at most limit of them and they agree
// with the Content-MD5 and the checksum that came with them in a header or trailer.
type payload struct {
	body    io.Reader
	limit   int64     // bytes still allowed
	md5     hash.Hash // nil if no Content-MD5 was sent
	wantMD5 string    // base64

	algorithm blob.Algorithm // "" if no checksum is wanted
	sum       hash.Hash
	want      string // base64, "" if the checksum is only computed, or comes in the trailer
	inTrailer bool
	trailer   http.Header

	checksum *blob.Checksum // set at the end
}

const checksumPrefix = "X-Amz-Checksum-"

// newPayload is the body of a request. What the headers alone forbid is refused before the client is asked for the body.
func newPayload(r *http.Request, limit int64) (*payload, error) {
	if r.ContentLength > limit {
		return nil, errTooLarge
	}
	p := computed(clientBody{r.Body}, limit, "")
	if p.wantMD5 = r.Header.Get("Content-Md5"); p.wantMD5 != "" {
		p.md5 = md5.New()
		if sum, err := base64.StdEncoding.DecodeString(p.wantMD5); err != nil || len(sum) != md5.Size {
			return nil, &apiError{400, "InvalidDigest", "The Content-MD5 you specified is not valid."}
		}
	}
	return p, p.expectChecksum(r)
}

// computed is bytes for which a checksum is computed, but nothing is known to compare them with.
func computed(body io.Reader, limit int64, a blob.Algorithm) *payload {
	p := &payload{body: body, limit: limit, algorithm: a}
	if a != "" {
		p.sum = a.New()
	}
	return p
}

// clientBody turns errors of the connection, which are the client's, into the answer for a body that ended early. What
// package sigv4 refuses stays as it is.
type clientBody struct{ io.Reader }

func (b clientBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if _, refused := errors.AsType[*sigv4.Error](err); err != nil && err != io.EOF && !refused {
		err = errIncomplete
	}
	return n, err
}

// expectChecksum finds out which checksum the client sends, or will send in a trailer.
func (p *payload) expectChecksum(r *http.Request) error {
	var err error
	if p.algorithm, p.want, err = checksumHeader(r.Header); err != nil {
		return err
	}
	if names := r.Header.Get("X-Amz-Trailer"); names != "" {
		if p.algorithm, err = trailerAlgorithm(names, p.algorithm); err != nil {
			return err
		}
		p.inTrailer, p.trailer = true, r.Trailer
	}
	if p.algorithm == "" {
		return nil
	}
	p.sum = p.algorithm.New()
	if raw, err := base64.StdEncoding.DecodeString(p.want); !p.inTrailer && (err != nil || len(raw) != p.sum.Size()) {
		return invalidRequest("Value for x-amz-checksum-%s header is invalid.", strings.ToLower(string(p.algorithm)))
	}
	return nil
}

// checksumHeader returns the one x-amz-checksum- header, if there is one.
func checksumHeader(h http.Header) (a blob.Algorithm, value string, err error) {
	for name := range h {
		suffix, ok := strings.CutPrefix(name, checksumPrefix)
		if !ok || suffix == "Algorithm" || suffix == "Mode" || suffix == "Type" {
			continue
		}
		if a != "" {
			return "", "", invalidRequest("Expecting a single x-amz-checksum- header.")
		}
		if a = blob.Algorithm(strings.ToUpper(suffix)); !a.Known() {
			return "", "", unknownAlgorithm(string(a))
		}
		value = h.Get(name)
	}
	return a, value, nil
}

func unknownAlgorithm(name string) error {
	return invalidRequest("The checksum algorithm %s is not supported; use one of %v.", name, blob.Algorithms())
}

func trailerAlgorithm(names string, inHeader blob.Algorithm) (blob.Algorithm, error) {
	suffix, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(names)), strings.ToLower(checksumPrefix))
	if !ok || inHeader != "" {
		return "", invalidRequest("x-amz-trailer must name one checksum, and that must not be in the headers too.")
	}
	a := blob.Algorithm(strings.ToUpper(suffix))
	if !a.Known() {
		return "", unknownAlgorithm(suffix)
	}
	return a, nil
}

func (p *payload) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if p.limit -= int64(n); p.limit < 0 {
		return 0, errTooLarge
	}
	if p.md5 != nil {
		p.md5.Write(b[:n])
	}
	if p.sum != nil {
		p.sum.Write(b[:n])
	}
	if err == io.EOF {
		err = p.check()
	}
	return n, err
}

// check compares at the end; it returns io.EOF if all is well.
func (p *payload) check() error {
	if p.md5 != nil && base64.StdEncoding.EncodeToString(p.md5.Sum(nil)) != p.wantMD5 {
		return &apiError{400, "BadDigest", "The Content-MD5 you specified did not match what we received."}
	}
	if p.sum == nil {
		return io.EOF
	}
	got := blob.Encode(p.sum)
	want := p.want
	if p.inTrailer {
		want = p.trailer.Get(checksumPrefix + string(p.algorithm))
	}
	if want != got && (p.inTrailer || want != "") {
		return &apiError{400, "BadDigest", "The " + string(p.algorithm) + " you specified did not match what we received."}
	}
	p.checksum = &blob.Checksum{Algorithm: p.algorithm, Value: got}
	return io.EOF
}

// into makes the payload put its checksum into attrs when it ends, as blob.Store.Put wants it.
func (p *payload) into(attrs *blob.Attributes) io.Reader { return &checksummed{p, attrs} }

type checksummed struct {
	*payload
	attrs *blob.Attributes
}

func (c *checksummed) Read(b []byte) (int, error) {
	n, err := c.payload.Read(b)
	if err == io.EOF {
		c.attrs.Checksum = c.checksum
	}
	return n, err
}

// Limits of XML bodies, in bytes.
const (
	maxXML   = 1 << 20
	maxParts = 4 << 20 // of a list of blob.MaxParts parts with the longest checksums
)

// readXML reads a payload into document. An empty one is io.EOF.
func readXML(p *payload, document any) error {
	data, err := io.ReadAll(p)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		return io.EOF
	}
	if xml.Unmarshal(data, document) != nil {
		return errMalformed
	}
	return nil
}

// setChecksum sets the headers that tell a checksum.
func setChecksum(h http.Header, c *blob.Checksum) {
	if c == nil {
		return
	}
	h.Set(checksumPrefix+string(c.Algorithm), c.Value)
	h.Set(checksumPrefix+"Type", checksumType(c.Composite))
}

func checksumType(composite bool) string {
	if composite {
		return "COMPOSITE"
	}
	return "FULL_OBJECT"
}

// checksums are the elements of XML documents that hold a checksum, of which at most one is not empty.
type checksums struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
}

// field is the element of an algorithm.
func (c *checksums) field(a blob.Algorithm) *string {
	return []*string{&c.ChecksumCRC32, &c.ChecksumCRC32C, &c.ChecksumCRC64NVME, &c.ChecksumSHA1, &c.ChecksumSHA256}[slices.Index(blob.Algorithms(), a)]
}

func newChecksums(sum *blob.Checksum) (c checksums) {
	if sum != nil {
		*c.field(sum.Algorithm) = sum.Value
	}
	return c
}

// checksum is the one that is not empty, or nil.
func (c checksums) checksum() *blob.Checksum {
	for _, a := range blob.Algorithms() {
		if value := *c.field(a); value != "" {
			return &blob.Checksum{Algorithm: a, Value: value}
		}
	}
	return nil
}
