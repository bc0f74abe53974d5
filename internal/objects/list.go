package objects

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"hash/crc32"
	"net/url"
	"strconv"
	"strings"

	"grapnel/internal/blob"
)

// maxPage is how many entries one answer to a listing may have.
const maxPage = 1000

// listResult is the answer to both versions of ListObjects; elements that one has and the other has not are left out.
type listResult struct {
	XMLName               xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name                  string
	Prefix                string
	Delimiter             string `xml:",omitempty"`
	EncodingType          string `xml:",omitempty"`
	MaxKeys               int
	IsTruncated           bool
	KeyCount              *int    // version 2
	StartAfter            string  `xml:",omitempty"`
	ContinuationToken     string  `xml:",omitempty"`
	NextContinuationToken string  `xml:",omitempty"`
	Marker                *string // version 1
	NextMarker            string  `xml:",omitempty"`
	Contents              []objectElement
	CommonPrefixes        []prefixElement
}

type prefixElement struct{ Prefix string }

type objectElement struct {
	Key               string
	LastModified      string
	ETag              string
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              int64
	StorageClass      string
}

func (c *call) listObjectsV2() error {
	if c.query.Get("list-type") != "2" {
		return invalid("list-type must be 2.")
	}
	token, start := c.query.Get("continuation-token"), c.query.Get("start-after")
	after, err := decodeToken(token)
	if err != nil {
		return err
	}
	if token == "" {
		after = start
	}
	result, next, err := c.list(after)
	if err != nil {
		return err
	}
	count := len(result.Contents) + len(result.CommonPrefixes)
	result.KeyCount, result.ContinuationToken, result.StartAfter = &count, token, c.encoded(start)
	if next != "" {
		result.NextContinuationToken = encodeToken(next)
	}
	return c.reply(result)
}

func (c *call) listObjects() error {
	marker := c.query.Get("marker")
	result, next, err := c.list(marker)
	if err != nil {
		return err
	}
	marker = c.encoded(marker)
	result.Marker, result.NextMarker = &marker, c.encoded(next)
	return c.reply(result)
}

// list answers what both versions have in common.
func (c *call) list(after string) (*listResult, string, error) {
	limit, err := c.pageOf("max-keys")
	if err != nil {
		return nil, "", err
	}
	q := blob.Query{Prefix: c.query.Get("prefix"), Delimiter: c.query.Get("delimiter"), After: after, Max: limit}
	page, err := c.store.List(c.r.Context(), c.bucket, q)
	if err != nil {
		return nil, "", err
	}
	result := &listResult{
		Name: c.bucket, Prefix: c.encoded(q.Prefix), Delimiter: c.encoded(q.Delimiter), MaxKeys: limit,
		EncodingType: c.query.Get("encoding-type"), IsTruncated: page.Next != "",
	}
	for _, o := range page.Objects {
		result.Contents = append(result.Contents, c.objectElement(o))
	}
	for _, p := range page.Prefixes {
		result.CommonPrefixes = append(result.CommonPrefixes, prefixElement{c.encoded(p)})
	}
	return result, page.Next, nil
}

func (c *call) objectElement(o blob.Object) objectElement {
	e := objectElement{
		Key: c.encoded(o.Key), LastModified: o.Modified.Format(timeFormat), ETag: quote(o.ETag), Size: o.Size, StorageClass: standard,
	}
	if o.Checksum != nil {
		e.ChecksumAlgorithm, e.ChecksumType = string(o.Checksum.Algorithm), checksumType(o.Checksum.Composite)
	}
	return e
}

// encoded is text as the client wants it: XML 1.0 cannot hold every character that a key may have.
func (c *call) encoded(s string) string {
	if c.query.Get("encoding-type") != "url" {
		return s
	}
	return strings.NewReplacer("%2F", "/", "+", "%20").Replace(url.QueryEscape(s))
}

// pageOf reads how long a page may be, and checks how it is to be encoded.
func (c *call) pageOf(param string) (int, error) {
	if e := c.query.Get("encoding-type"); e != "" && e != "url" {
		return 0, invalid("encoding-type must be url.")
	}
	return c.number(param, maxPage)
}

// number reads a parameter from 0 to most, which is also its default and what a higher one is taken for.
func (c *call) number(param string, most int) (int, error) {
	value := c.query.Get(param)
	if value == "" {
		return most, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, invalid("%s must be a number that is not negative.", param)
	}
	return min(n, most), nil
}

// A continuation token is opaque to clients, so that they build on nothing in it. Its checksum tells one that was made up or
// cut off, which would end a listing early without a word.
func encodeToken(after string) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32([]byte(after), crc32.ChecksumIEEE([]byte(after))))
}

func decodeToken(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	after := string(data[:max(0, len(data)-crc32.Size)])
	if err != nil || encodeToken(after) != token {
		return "", invalid("The continuation token provided is incorrect. Send the one of the page before, or none.")
	}
	return after, nil
}
