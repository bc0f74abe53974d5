package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"grapnel/internal/blob"
)

// Put implements blob.Store. The time in its answer may be a second off: the store does not tell it.
func (s *Store) Put(ctx context.Context, bucket, key string, body io.Reader, attrs *blob.Attributes, when blob.Condition) (blob.Object, error) {
	object, err := s.put(ctx, bucket, key, body, attrs, when)
	if err != nil {
		return blob.Object{}, fmt.Errorf("put %s/%s: %w", bucket, key, err)
	}
	return object, nil
}

func (s *Store) put(ctx context.Context, bucket, key string, body io.Reader, attrs *blob.Attributes, when blob.Condition) (blob.Object, error) {
	name, err := s.place(ctx, bucket, key)
	if err != nil {
		return blob.Object{}, err
	}
	b, err := s.receive(body)
	if err != nil {
		return blob.Object{}, err
	}
	defer b.Close()
	headers := describing(attrs)
	b.prove(headers, attrs.Checksum)
	setCondition(headers, when)
	out, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: &name, Body: b.File, ContentLength: &b.size}, with(headers))
	if err == nil {
		err = genuine(out.ETag)
	}
	if err != nil {
		return blob.Object{}, translate(err)
	}
	return blob.Object{
		Key: key, Size: b.size, ETag: unquote(aws.ToString(out.ETag)), Modified: modified(received(out.ResultMetadata)),
		Attributes: *attrs, Version: aws.ToString(out.VersionId),
	}, nil
}

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, bucket, key, version string, r blob.Range) (io.ReadCloser, blob.Object, error) {
	name, err := s.name(bucket, key)
	if err != nil {
		return nil, blob.Object{}, err
	}
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{
		Bucket: &s.bucket, Key: &name, VersionId: optional(version), Range: optional(rangeHeader(r)), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err == nil {
		if err := genuine(out.ETag); err != nil {
			return nil, blob.Object{}, errors.Join(translate(err), out.Body.Close())
		}
		return out.Body, object(key, received(out.ResultMetadata)), nil
	}
	o, err := s.notFound(ctx, bucket, key, version, err)
	if errors.Is(err, blob.ErrRange) {
		var e error
		if o, e = s.Stat(ctx, bucket, key, version); e != nil {
			err = e
		}
	}
	return nil, o, err
}

// rangeHeader is the Range header for a range.
func rangeHeader(r blob.Range) string {
	switch {
	case r == blob.Range{}:
		return ""
	case r.First < 0:
		return fmt.Sprintf("bytes=%d", r.First)
	case r.Count == 0:
		return fmt.Sprintf("bytes=%d-", r.First)
	}
	return fmt.Sprintf("bytes=%d-%d", r.First, r.First+r.Count-1)
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, bucket, key, version string) (blob.Object, error) {
	name, err := s.name(bucket, key)
	if err != nil {
		return blob.Object{}, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: &s.bucket, Key: &name, VersionId: optional(version), ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return s.notFound(ctx, bucket, key, version, err)
	}
	return object(key, received(out.ResultMetadata)), translate(genuine(out.ETag))
}

// notFound is the error of a GET or HEAD, with the delete marker that may be its reason.
func (s *Store) notFound(ctx context.Context, bucket, key, version string, err error) (blob.Object, error) {
	answer := response(err)
	err = translate(err)
	// A HEAD does not say what was not found, and an id that the store would not make is a bad argument to it.
	unknown := answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusBadRequest
	if version != "" && unknown {
		err = fmt.Errorf("%w: %q of %s/%s", blob.ErrNoVersion, version, bucket, key)
	}
	if answer.Header.Get("X-Amz-Delete-Marker") == "true" {
		return object(key, answer.Header), err
	}
	return blob.Object{}, s.missing(ctx, bucket, err)
}

func optional(value string) *string {
	if value == "" {
		return nil
	}
	return &value
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, bucket, key, version string, when blob.Condition) (blob.Object, error) {
	name, err := s.place(ctx, bucket, key)
	if err != nil {
		return blob.Object{}, err
	}
	headers := http.Header{}
	setCondition(headers, when)
	out, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &name, VersionId: optional(version)}, with(headers))
	if err == nil {
		err = genuineDelete(out.ResultMetadata)
	}
	if err = translate(err); errors.Is(err, blob.ErrNoVersion) || errors.Is(err, blob.ErrNoKey) && when == (blob.Condition{}) {
		return blob.Object{Version: version}, nil
	}
	if err != nil {
		return blob.Object{}, fmt.Errorf("delete %s/%s: %w", bucket, key, err)
	}
	return blob.Object{Key: key, Version: aws.ToString(out.VersionId), DeleteMarker: aws.ToBool(out.DeleteMarker)}, nil
}

// maxPage is how many entries S3 lists at once.
const maxPage = 1000

// List implements blob.Store.
func (s *Store) List(ctx context.Context, bucket string, q blob.Query) (blob.Page, error) {
	if err := s.exists(ctx, bucket); err != nil {
		return blob.Page{}, err
	}
	if q.Max == 0 {
		return blob.Page{}, nil
	}
	base := s.base(bucket)
	out, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &s.bucket, Prefix: aws.String(base + q.Prefix), Delimiter: optional(q.Delimiter), MaxKeys: aws.Int32(int32(min(q.Max, maxPage))),
		StartAfter: aws.String(base + behind(q)), EncodingType: types.EncodingTypeUrl,
	})
	if err != nil {
		return blob.Page{}, fmt.Errorf("list %s: %w", bucket, translate(err))
	}
	decode := decoder(base, out.EncodingType)
	var page blob.Page
	last := ""
	for _, o := range out.Contents {
		key := decode(o.Key)
		page.Objects = append(page.Objects, blob.Object{
			Key: key, Size: aws.ToInt64(o.Size), ETag: unquote(aws.ToString(o.ETag)), Modified: seconds(o.LastModified),
		})
		last = max(last, key)
	}
	for _, p := range out.CommonPrefixes {
		prefix := decode(p.Prefix)
		page.Prefixes = append(page.Prefixes, prefix)
		last = max(last, prefix)
	}
	if aws.ToBool(out.IsTruncated) {
		page.Next = last
	}
	return page, nil
}

// behind is the key to start after. Of a rolled-up prefix that was handed out, all keys are: none is greater than it with
// the greatest character.
func behind(q blob.Query) string {
	if prefix, rolled := q.RollUp(q.After); rolled && prefix == q.After {
		return q.After + "\U0010FFFF"
	}
	return q.After
}

// decoder returns what makes a bucket's key of an external one.
func decoder(base string, encoding types.EncodingType) func(*string) string {
	return func(name *string) string {
		key := aws.ToString(name)
		if encoding == types.EncodingTypeUrl {
			if plain, err := url.QueryUnescape(key); err == nil {
				key = plain
			}
		}
		return strings.TrimPrefix(key, base)
	}
}

// seconds is a time of a listing, as headers tell it.
func seconds(t *time.Time) time.Time { return aws.ToTime(t).UTC().Truncate(time.Second) }
