package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"grapnel/internal/blob"
)

// exists returns ErrNoBucket if there is no such bucket of Grapnel's.
func (s *Store) exists(ctx context.Context, bucket string) error {
	_, err := s.marker(ctx, bucket)
	return err
}

// marker is the object that says that a bucket exists.
func (s *Store) marker(ctx context.Context, bucket string) (*s3.HeadObjectOutput, error) {
	if blob.CheckBucket(bucket) != nil {
		return nil, noBucket(bucket)
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: aws.String(s.base(bucket))})
	if err = translate(err); errors.Is(err, blob.ErrNoKey) {
		return nil, noBucket(bucket)
	}
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", bucket, err)
	}
	return out, translate(genuine(out.ETag))
}

// CreateBucket implements blob.Buckets.
func (s *Store) CreateBucket(ctx context.Context, name string) error {
	if err := blob.CheckBucket(name); err != nil {
		return err
	}
	if err := s.exists(ctx, name); err == nil {
		return fmt.Errorf("%w: %s", blob.ErrBucketExists, name)
	} else if !errors.Is(err, blob.ErrNoBucket) {
		return err
	}
	out, err := s.client.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.bucket, Key: aws.String(s.base(name)), Body: strings.NewReader("")})
	if err == nil {
		err = genuine(out.ETag)
	}
	if err != nil {
		return fmt.Errorf("create bucket %s: %w", name, translate(err))
	}
	return nil
}

// DeleteBucket implements blob.Buckets. What is stored between its look and its end stays in the external bucket, and is
// there again when a bucket of that name is.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	if err := s.exists(ctx, name); err != nil {
		return err
	}
	if err := s.deleteBucket(ctx, name); err != nil {
		return fmt.Errorf("delete bucket %s: %w", name, err)
	}
	return nil
}

func (s *Store) deleteBucket(ctx context.Context, name string) error {
	if err := s.checkEmpty(ctx, name); err != nil {
		return err
	}
	uploads, err := s.ListUploads(ctx, name, "")
	if err != nil {
		return err
	}
	for _, u := range uploads {
		if err := s.AbortUpload(ctx, u.Upload); err != nil && !errors.Is(err, blob.ErrNoUpload) {
			return err
		}
	}
	out, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: aws.String(s.base(name))})
	if err == nil {
		err = genuineDelete(out.ResultMetadata)
	}
	return translate(err)
}

func (s *Store) checkEmpty(ctx context.Context, name string) error {
	versioning, err := s.versioning(ctx)
	if err != nil {
		return err
	}
	found := 0
	if versioning == blob.NeverVersioned {
		page, e := s.List(ctx, name, blob.Query{Max: 1})
		found, err = len(page.Objects), e
	} else {
		page, e := s.ListVersions(ctx, name, blob.VersionQuery{Query: blob.Query{Max: 1}})
		found, err = len(page.Versions), e
	}
	if err == nil && found > 0 {
		err = blob.ErrBucketNotEmpty
	}
	return err
}

// StatBucket implements blob.Buckets.
func (s *Store) StatBucket(ctx context.Context, name string) (blob.Bucket, error) {
	marker, err := s.marker(ctx, name)
	if err != nil {
		return blob.Bucket{}, err
	}
	versioning, err := s.versioning(ctx)
	if err != nil {
		return blob.Bucket{}, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return blob.Bucket{Name: name, Created: aws.ToTime(marker.LastModified).UTC(), Versioning: versioning}, nil
}

// ListBuckets implements blob.Buckets.
func (s *Store) ListBuckets(ctx context.Context) ([]blob.Bucket, error) {
	versioning, err := s.versioning(ctx)
	if err != nil {
		return nil, fmt.Errorf("list buckets: %w", err)
	}
	var buckets []blob.Bucket
	pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list buckets: %w", translate(err))
		}
		for _, p := range page.CommonPrefixes {
			name := strings.TrimSuffix(strings.TrimPrefix(aws.ToString(p.Prefix), s.prefix), "/")
			marker, err := s.marker(ctx, name)
			if errors.Is(err, blob.ErrNoBucket) {
				continue // other things that the external bucket is used for
			}
			if err != nil {
				return nil, err
			}
			buckets = append(buckets, blob.Bucket{Name: name, Created: aws.ToTime(marker.LastModified).UTC(), Versioning: versioning})
		}
	}
	return buckets, nil
}

// versioning is the external bucket's. Stores that do not know the question keep no versions.
func (s *Store) versioning(ctx context.Context) (blob.Versioning, error) {
	out, err := s.client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.bucket})
	if err = translate(err); errors.Is(err, errors.ErrUnsupported) || errors.Is(err, blob.ErrDeleteMarker) {
		return blob.NeverVersioned, nil
	}
	if err != nil {
		return "", err
	}
	return map[types.BucketVersioningStatus]blob.Versioning{
		types.BucketVersioningStatusEnabled: blob.Enabled, types.BucketVersioningStatusSuspended: blob.Suspended,
	}[out.Status], nil
}
