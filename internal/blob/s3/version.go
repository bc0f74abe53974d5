package s3

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"grapnel/internal/blob"
)

// SetVersioning implements blob.Versions. The external bucket has one setting for all that is in it, which is not
// Grapnel's to change.
func (s *Store) SetVersioning(ctx context.Context, bucket string, v blob.Versioning) error {
	b, err := s.StatBucket(ctx, bucket)
	if err != nil {
		return err
	}
	if b.Versioning != v {
		return fmt.Errorf("%w: versions are kept by the external bucket s3://%s, for all buckets together. Set its versioning to %s there",
			errors.ErrUnsupported, s.bucket, v)
	}
	return nil
}

// ListVersions implements blob.Versions.
func (s *Store) ListVersions(ctx context.Context, bucket string, q blob.VersionQuery) (blob.VersionPage, error) {
	if err := s.exists(ctx, bucket); err != nil {
		return blob.VersionPage{}, err
	}
	if q.Max == 0 {
		return blob.VersionPage{}, nil
	}
	base := s.base(bucket)
	marker := base + q.After
	if q.AfterVersion == "" {
		marker = base + behind(q.Query)
	}
	out, err := s.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{
		Bucket: &s.bucket, Prefix: aws.String(base + q.Prefix), Delimiter: optional(q.Delimiter), MaxKeys: aws.Int32(int32(min(q.Max, maxPage))),
		KeyMarker: &marker, VersionIdMarker: optional(q.AfterVersion), EncodingType: types.EncodingTypeUrl,
	})
	if err != nil {
		return blob.VersionPage{}, fmt.Errorf("list versions of %s: %w", bucket, translate(err))
	}
	return versionPage(out, decoder(base, out.EncodingType)), nil
}

// versionPage puts versions and delete markers, which come apart, into one order again; within the resolution of their times.
func versionPage(out *s3.ListObjectVersionsOutput, decode func(*string) string) blob.VersionPage {
	var page blob.VersionPage
	for _, v := range out.Versions {
		page.Versions = append(page.Versions, blob.Object{
			Key: decode(v.Key), Version: aws.ToString(v.VersionId), Latest: aws.ToBool(v.IsLatest), Size: aws.ToInt64(v.Size),
			ETag: unquote(aws.ToString(v.ETag)), Modified: aws.ToTime(v.LastModified).UTC(),
		})
	}
	for _, m := range out.DeleteMarkers {
		page.Versions = append(page.Versions, blob.Object{
			Key: decode(m.Key), Version: aws.ToString(m.VersionId), Latest: aws.ToBool(m.IsLatest), DeleteMarker: true,
			Modified: aws.ToTime(m.LastModified).UTC(),
		})
	}
	slices.SortStableFunc(page.Versions, func(a, b blob.Object) int {
		return cmp.Or(cmp.Compare(a.Key, b.Key), newest(a, b), b.Modified.Compare(a.Modified))
	})
	for _, p := range out.CommonPrefixes {
		page.Prefixes = append(page.Prefixes, decode(p.Prefix))
	}
	if aws.ToBool(out.IsTruncated) {
		page.Next, page.NextVersion = decode(out.NextKeyMarker), aws.ToString(out.NextVersionIdMarker)
	}
	return page
}

// newest puts the latest version of a key first, whatever the clock of the store did.
func newest(a, b blob.Object) int {
	switch {
	case a.Latest:
		return -1
	case b.Latest:
		return 1
	}
	return 0
}
