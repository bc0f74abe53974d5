package objects

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"

	"grapnel/internal/blob"
)

type versioningConfiguration struct {
	XMLName   xml.Name `xml:"VersioningConfiguration"`
	Xmlns     string   `xml:"xmlns,attr,omitempty"` // in answers; requests come with it and without
	Status    string   `xml:",omitempty"`
	MFADelete string   `xml:"MfaDelete,omitempty"`
}

func (c *call) getVersioning() error {
	b, err := c.store.StatBucket(c.r.Context(), c.bucket)
	if err != nil {
		return err
	}
	return c.reply(versioningConfiguration{Xmlns: namespace, Status: string(b.Versioning)})
}

func (c *call) putVersioning() error {
	body, err := newPayload(c.r, maxXML)
	if err != nil {
		return err
	}
	var wanted versioningConfiguration
	if err := readXML(body, &wanted); errors.Is(err, io.EOF) {
		return errMalformed
	} else if err != nil {
		return err
	}
	switch v := blob.Versioning(wanted.Status); {
	case wanted.MFADelete == "Enabled":
		return notImplemented("MfaDelete. Leave it out, and give s3:DeleteObjectVersion to nobody.")
	case v != blob.Enabled && v != blob.Suspended:
		return errMalformed
	default:
		if err := c.store.SetVersioning(c.r.Context(), c.bucket, v); err != nil {
			return err
		}
		return c.done(http.StatusOK)
	}
}

type listVersionsResult struct {
	XMLName             xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListVersionsResult"`
	Name                string
	Prefix              string
	Delimiter           string `xml:",omitempty"`
	EncodingType        string `xml:",omitempty"`
	MaxKeys             int
	IsTruncated         bool
	KeyMarker           string
	VersionIDMarker     string           `xml:"VersionIdMarker"`
	NextKeyMarker       string           `xml:",omitempty"`
	NextVersionIDMarker string           `xml:"NextVersionIdMarker,omitempty"`
	Versions            []versionElement // named Version or DeleteMarker, in one order
	CommonPrefixes      []prefixElement
}

type versionElement struct {
	XMLName           xml.Name
	Key               string
	VersionID         string `xml:"VersionId"`
	IsLatest          bool
	LastModified      string
	ETag              string `xml:",omitempty"`
	ChecksumAlgorithm string `xml:",omitempty"`
	ChecksumType      string `xml:",omitempty"`
	Size              *int64 // delete markers have none
	StorageClass      string `xml:",omitempty"`
	Owner             owner
}

func (c *call) listVersions() error {
	limit, err := c.pageOf("max-keys")
	if err != nil {
		return err
	}
	q := blob.VersionQuery{
		Query: blob.Query{
			Prefix: c.query.Get("prefix"), Delimiter: c.query.Get("delimiter"), After: c.query.Get("key-marker"), Max: limit,
		},
		AfterVersion: c.query.Get("version-id-marker"),
	}
	if q.AfterVersion != "" && q.After == "" {
		return invalid("A version-id marker cannot be specified without a key marker.")
	}
	page, err := c.store.ListVersions(c.r.Context(), c.bucket, q)
	if err != nil {
		return err
	}
	result := listVersionsResult{
		Name: c.bucket, Prefix: c.encoded(q.Prefix), Delimiter: c.encoded(q.Delimiter), EncodingType: c.query.Get("encoding-type"),
		MaxKeys: limit, IsTruncated: page.Next != "", KeyMarker: c.encoded(q.After), VersionIDMarker: q.AfterVersion,
		NextKeyMarker: c.encoded(page.Next), NextVersionIDMarker: page.NextVersion,
	}
	for _, v := range page.Versions {
		result.Versions = append(result.Versions, c.versionElement(v))
	}
	for _, p := range page.Prefixes {
		result.CommonPrefixes = append(result.CommonPrefixes, prefixElement{c.encoded(p)})
	}
	return c.reply(result)
}

func (c *call) versionElement(v blob.Object) versionElement {
	e := versionElement{
		XMLName: xml.Name{Space: namespace, Local: "Version"}, Key: c.encoded(v.Key), VersionID: versionID(v), IsLatest: v.Latest,
		LastModified: v.Modified.Format(timeFormat), Owner: owner{"grapnel", "grapnel"},
	}
	if v.DeleteMarker {
		e.XMLName.Local = "DeleteMarker"
		return e
	}
	e.ETag, e.Size, e.StorageClass = quote(v.ETag), &v.Size, standard
	if v.Checksum != nil {
		e.ChecksumAlgorithm, e.ChecksumType = string(v.Checksum.Algorithm), checksumType(v.Checksum.Composite)
	}
	return e
}

// versionID is the id as listings show it, which they do in buckets without versions too.
func versionID(v blob.Object) string {
	if v.Version == "" {
		return blob.NullVersion
	}
	return v.Version
}

const versionHeader = "X-Amz-Version-Id"

// setVersion tells the version of an object, or of a delete marker, if the bucket has versions.
func setVersion(h http.Header, o blob.Object) {
	if o.Version != "" {
		h.Set(versionHeader, o.Version)
	}
	if o.DeleteMarker {
		h.Set("X-Amz-Delete-Marker", "true")
	}
}

// setSourceVersion tells which version was copied.
func setSourceVersion(h http.Header, o blob.Object) {
	if o.Version != "" {
		h.Set("X-Amz-Copy-Source-Version-Id", o.Version)
	}
}
