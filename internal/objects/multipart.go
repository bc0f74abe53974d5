package objects

import (
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"grapnel/internal/blob"
)

func (c *call) upload() blob.Upload {
	return blob.Upload{Bucket: c.bucket, Key: c.key, ID: c.query.Get("uploadId")}
}

func (c *call) createUpload() error {
	attrs, err := attributes(c.r.Header)
	if err != nil {
		return err
	}
	if attrs.Checksum, err = announced(c.r.Header); err != nil {
		return err
	}
	id, err := c.store.CreateUpload(c.r.Context(), c.bucket, c.key, attrs)
	if err != nil {
		return err
	}
	if attrs.Checksum != nil {
		c.w.Header().Set("X-Amz-Checksum-Algorithm", string(attrs.Checksum.Algorithm))
		c.w.Header().Set("X-Amz-Checksum-Type", checksumType(attrs.Checksum.Composite))
	}
	return c.reply(struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: c.bucket, Key: c.key, UploadID: id})
}

// announced is the kind of checksum that an upload will have. CRC64NVME is always of the full object, the SHAs never are.
func announced(h http.Header) (*blob.Checksum, error) {
	a := blob.Algorithm(strings.ToUpper(h.Get("X-Amz-Checksum-Algorithm")))
	if a == "" {
		return nil, nil
	}
	if !a.Known() {
		return nil, unknownAlgorithm(string(a))
	}
	kind := cmp.Or(h.Get("X-Amz-Checksum-Type"), checksumType(a != blob.CRC64NVME))
	sum := &blob.Checksum{Algorithm: a, Composite: kind == checksumType(true)}
	isSHA := a == blob.SHA1 || a == blob.SHA256
	if kind != checksumType(sum.Composite) || sum.Composite && a == blob.CRC64NVME || !sum.Composite && isSHA {
		return nil, invalidRequest("The %s checksum type cannot be used with the %s checksum algorithm.", kind, a)
	}
	return sum, nil
}

func (c *call) partNumber() (int, error) {
	n, err := strconv.Atoi(c.query.Get("partNumber"))
	if err != nil || n < 1 || n > blob.MaxParts {
		return 0, invalid("Part number must be an integer between 1 and %d, inclusive.", blob.MaxParts)
	}
	return n, nil
}

func (c *call) putPart() error {
	number, err := c.partNumber()
	if err != nil {
		return err
	}
	body, err := newPayload(c.r, c.MaxObject)
	if err != nil {
		return err
	}
	part, err := c.storePart(number, body)
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", quote(part.ETag))
	if part.Checksum != nil {
		c.w.Header().Set(checksumPrefix+string(part.Checksum.Algorithm), part.Checksum.Value)
	}
	return c.done(http.StatusOK)
}

func (c *call) storePart(number int, body *payload) (blob.Part, error) {
	var attrs blob.Attributes
	return c.store.PutPart(c.r.Context(), c.upload(), number, body.into(&attrs), &attrs)
}

// copyPart makes a part of another object's bytes, with the checksum that the upload has announced.
func (c *call) copyPart() error {
	number, err := c.partNumber()
	if err != nil {
		return err
	}
	header := c.r.Header.Get("X-Amz-Copy-Source-Range")
	ranged := parseRange(header)
	if header != "" && !ranged.set || ranged.empty {
		return invalid("x-amz-copy-source-range must be bytes=first-last.")
	}
	src, err := c.openSource(ranged)
	if err != nil {
		return err
	}
	defer src.body.Close()
	_, announced, err := c.store.ListParts(c.r.Context(), c.upload())
	if err != nil {
		return err
	}
	var a blob.Algorithm
	if announced != nil {
		a = announced.Algorithm
	}
	part, err := c.storePart(number, computed(src.body, c.MaxObject, a))
	if err != nil {
		return err
	}
	setSourceVersion(c.w.Header(), src.object)
	return c.reply(newCopyResult("CopyPartResult", part.ETag, part.Modified.Format(timeFormat), part.Checksum))
}

type partElement struct {
	PartNumber   int
	LastModified string `xml:",omitempty"`
	ETag         string
	Size         int64 `xml:",omitempty"`
	checksums
}

func (c *call) listParts() error {
	marker, err := c.number("part-number-marker", blob.MaxParts)
	if err != nil {
		return err
	}
	if !c.query.Has("part-number-marker") {
		marker = 0
	}
	limit, err := c.pageOf("max-parts")
	if err != nil {
		return err
	}
	parts, sum, err := c.store.ListParts(c.r.Context(), c.upload())
	if err != nil {
		return err
	}
	result := struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		PartNumberMarker     int
		NextPartNumberMarker int
		MaxParts             int
		IsTruncated          bool
		ChecksumAlgorithm    string        `xml:",omitempty"`
		ChecksumType         string        `xml:",omitempty"`
		Parts                []partElement `xml:"Part"`
	}{Bucket: c.bucket, Key: c.key, UploadID: c.upload().ID, PartNumberMarker: marker, MaxParts: limit}
	if sum != nil {
		result.ChecksumAlgorithm, result.ChecksumType = string(sum.Algorithm), checksumType(sum.Composite)
	}
	for _, p := range parts {
		if p.Number <= marker {
			continue
		}
		if result.IsTruncated = len(result.Parts) >= limit; result.IsTruncated {
			break
		}
		result.NextPartNumberMarker = p.Number
		result.Parts = append(result.Parts,
			partElement{p.Number, p.Modified.Format(timeFormat), quote(p.ETag), p.Size, newChecksums(p.Checksum)})
	}
	return c.reply(result)
}

// completeUpload: a checksum in the headers is the object's here, not the body's.
func (c *call) completeUpload() error {
	_, want, err := checksumHeader(c.r.Header)
	if err != nil {
		return err
	}
	when, err := writeCondition(c.r.Header)
	if err != nil {
		return err
	}
	var request struct {
		XMLName xml.Name      `xml:"CompleteMultipartUpload"`
		Parts   []partElement `xml:"Part"`
	}
	if err := readXML(computed(clientBody{c.r.Body}, maxParts, ""), &request); errors.Is(err, io.EOF) {
		return errMalformed
	} else if err != nil {
		return err
	}
	parts := make([]blob.Part, len(request.Parts))
	for i, p := range request.Parts {
		parts[i] = blob.Part{Number: p.PartNumber, ETag: strings.Trim(p.ETag, `"`), Checksum: p.checksum()}
	}
	o, err := c.store.CompleteUpload(c.r.Context(), c.upload(), parts, want, when)
	if err != nil {
		return err
	}
	result := struct {
		XMLName      xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location     string
		Bucket       string
		Key          string
		ETag         string
		ChecksumType string `xml:",omitempty"`
		checksums
	}{
		Location: "/" + c.bucket + "/" + c.key, Bucket: c.bucket, Key: c.key, ETag: quote(o.ETag), checksums: newChecksums(o.Checksum),
	}
	if o.Checksum != nil {
		result.ChecksumType = checksumType(o.Checksum.Composite)
	}
	setVersion(c.w.Header(), o)
	return c.reply(result)
}

type uploadElement struct {
	Key               string
	UploadID          string `xml:"UploadId"`
	Initiated         string
	StorageClass      string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
}

func (c *call) listUploads() error {
	limit, err := c.pageOf("max-uploads")
	if err != nil {
		return err
	}
	prefix, keyMarker, idMarker := c.query.Get("prefix"), c.query.Get("key-marker"), c.query.Get("upload-id-marker")
	uploads, err := c.store.ListUploads(c.r.Context(), c.bucket, prefix)
	if err != nil {
		return err
	}
	result := struct {
		XMLName            xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListMultipartUploadsResult"`
		Bucket             string
		Prefix             string
		EncodingType       string `xml:",omitempty"`
		KeyMarker          string
		UploadIDMarker     string `xml:"UploadIdMarker"`
		NextKeyMarker      string `xml:",omitempty"`
		NextUploadIDMarker string `xml:"NextUploadIdMarker,omitempty"`
		MaxUploads         int
		IsTruncated        bool
		Uploads            []uploadElement `xml:"Upload"`
	}{
		Bucket: c.bucket, Prefix: c.encoded(prefix), EncodingType: c.query.Get("encoding-type"),
		KeyMarker: c.encoded(keyMarker), UploadIDMarker: idMarker, MaxUploads: limit,
	}
	for _, u := range uploadsAfter(uploads, keyMarker, idMarker) {
		if result.IsTruncated = len(result.Uploads) >= limit; result.IsTruncated {
			break
		}
		e := uploadElement{Key: c.encoded(u.Key), UploadID: u.ID, Initiated: u.Started.Format(timeFormat), StorageClass: standard}
		if u.Checksum != nil {
			e.ChecksumAlgorithm, e.ChecksumType = string(u.Checksum.Algorithm), checksumType(u.Checksum.Composite)
		}
		result.Uploads = append(result.Uploads, e)
		result.NextKeyMarker, result.NextUploadIDMarker = e.Key, u.ID
	}
	if !result.IsTruncated {
		result.NextKeyMarker, result.NextUploadIDMarker = "", ""
	}
	return c.reply(result)
}

// uploadsAfter skips what earlier pages had: the keys up to the marker, and of that key, if an id is given, what comes
// before the upload with it.
func uploadsAfter(uploads []blob.UnfinishedUpload, key, id string) []blob.UnfinishedUpload {
	for i, u := range uploads {
		if u.Key > key || u.Key == key && id != "" && !slices.ContainsFunc(uploads[i:], func(v blob.UnfinishedUpload) bool { return v.Key == key && v.ID == id }) {
			return uploads[i:]
		}
	}
	return nil
}

func (c *call) abortUpload() error {
	if err := c.store.AbortUpload(c.r.Context(), c.upload()); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}
