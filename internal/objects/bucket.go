package objects

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"grapnel/internal/blob"
)

type listBucketsResult struct {
	XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
	Owner             owner
	Buckets           []bucketElement `xml:"Buckets>Bucket"`
	Prefix            string          `xml:",omitempty"`
	ContinuationToken string          `xml:",omitempty"`
}

// owner is the same for all: there is one account.
type owner struct{ ID, DisplayName string }

type bucketElement struct {
	Name         string
	CreationDate string
	BucketRegion string
}

func (c *call) listBuckets() error {
	limit, err := c.number("max-buckets", 10_000)
	if err != nil {
		return err
	}
	after, err := decodeToken(c.query.Get("continuation-token"))
	if err != nil {
		return err
	}
	buckets, err := c.store.ListBuckets(c.r.Context())
	if err != nil {
		return err
	}
	if region := c.query.Get("bucket-region"); region != "" && region != c.Region {
		buckets = nil
	}
	result := listBucketsResult{Owner: owner{"grapnel", "grapnel"}, Prefix: c.query.Get("prefix")}
	for _, b := range buckets {
		if b.Name <= after || !strings.HasPrefix(b.Name, result.Prefix) {
			continue
		}
		if n := len(result.Buckets); n > 0 && n >= limit {
			result.ContinuationToken = encodeToken(result.Buckets[n-1].Name)
			break
		}
		result.Buckets = append(result.Buckets, bucketElement{b.Name, b.Created.Format(timeFormat), c.Region})
	}
	return c.reply(result)
}

// createBucket makes a bucket where the server is, for clients of any region, as long as they ask for no other place. To make
// one's own bucket again succeeds in S3's first region alone, and scripts count on both answers.
func (c *call) createBucket() error {
	var configuration struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
	}
	body, err := newPayload(c.r, maxXML)
	if err != nil {
		return err
	}
	if err := readXML(body, &configuration); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if where := configuration.LocationConstraint; where != "" && where != c.Region {
		return &apiError{400, "IllegalLocationConstraintException", fmt.Sprintf(
			"The location constraint %.64q is not the region of this server, %s. Set AWS_REGION and AWS_DEFAULT_REGION to that, or leave it out.", where, c.Region)}
	}
	err = c.store.CreateBucket(c.r.Context(), c.bucket)
	if err != nil && (c.Region != firstRegion || !errors.Is(err, blob.ErrBucketExists)) {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	return c.done(http.StatusOK)
}

// firstRegion is the one from the time when S3 had no regions, and differs from the others.
const firstRegion = "us-east-1"

func (c *call) deleteBucket() error {
	if err := c.store.DeleteBucket(c.r.Context(), c.bucket); err != nil {
		return err
	}
	return c.done(http.StatusNoContent)
}

func (c *call) headBucket() error {
	if _, err := c.store.StatBucket(c.r.Context(), c.bucket); err != nil {
		return err
	}
	c.w.Header().Set("X-Amz-Bucket-Region", c.Region)
	return c.done(http.StatusOK)
}

func (c *call) getBucketLocation() error {
	if _, err := c.store.StatBucket(c.r.Context(), c.bucket); err != nil {
		return err
	}
	location := struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: c.Region}
	if c.Region == firstRegion {
		location.Region = ""
	}
	return c.reply(location)
}

// deleteObjects deletes up to 1000 objects. Each is authorized by itself, and fails by itself.
func (c *call) deleteObjects() error {
	var request struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Objects []struct {
			Key, ETag string
			VersionID string `xml:"VersionId"`
		} `xml:"Object"`
	}
	body, err := newPayload(c.r, maxXML)
	if err != nil {
		return err
	}
	if err := readXML(body, &request); errors.Is(err, io.EOF) {
		return errMalformed
	} else if err != nil {
		return err
	}
	if n := len(request.Objects); n == 0 || n > maxPage {
		return errMalformed
	}
	var result struct {
		XMLName xml.Name         `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deletedElement `xml:"Deleted"`
		Errors  []failedElement  `xml:"Error"`
	}
	for _, o := range request.Objects {
		deleted, err := c.deleteOne(o.Key, o.VersionID, strings.Trim(o.ETag, `"`))
		if errors.Is(err, blob.ErrNoBucket) {
			return err
		}
		if err != nil {
			e := translate(err)
			c.logFailure(e, err)
			result.Errors = append(result.Errors, failedElement{o.Key, o.VersionID, e.code, e.message})
		} else if !request.Quiet {
			result.Deleted = append(result.Deleted, newDeletedElement(o.Key, o.VersionID, deleted))
		}
	}
	return c.reply(result)
}

type deletedElement struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"` // that was asked for
	DeleteMarker          bool   `xml:",omitempty"`          // one was made, or removed
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type failedElement struct {
	Key           string
	VersionID     string `xml:"VersionId,omitempty"`
	Code, Message string
}

func newDeletedElement(key, version string, deleted blob.Object) deletedElement {
	e := deletedElement{Key: key, VersionID: version, DeleteMarker: deleted.DeleteMarker}
	if deleted.DeleteMarker {
		e.DeleteMarkerVersionID = deleted.Version
	}
	return e
}

func (c *call) deleteOne(key, version, etag string) (blob.Object, error) {
	if len(key) > blob.MaxKey {
		return blob.Object{}, errKeyTooLong
	}
	if err := c.authorize("s3:DeleteObject", key, version); err != nil {
		return blob.Object{}, err
	}
	return c.store.Delete(c.r.Context(), c.bucket, key, version, blob.Condition{ETag: etag})
}
