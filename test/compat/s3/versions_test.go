package s3

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

func setVersioning(t *testing.T, c *s3.Client, status types.BucketVersioningStatus) {
	t.Helper()
	if _, err := c.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket: aws.String(bucket), VersioningConfiguration: &types.VersioningConfiguration{Status: status},
	}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetBucketVersioning(t.Context(), &s3.GetBucketVersioningInput{Bucket: aws.String(bucket)})
	if err != nil || got.Status != status {
		t.Errorf("versioning is %q, error %v", got.Status, err)
	}
}

func putVersion(t *testing.T, c *s3.Client, key, body string) string {
	t.Helper()
	out, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(out.VersionId)
}

func getVersion(t *testing.T, c *s3.Client, key, version string) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key, VersionId: &version})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(out.Body)
	if err != nil || aws.ToString(out.VersionId) != version {
		t.Errorf("version %s says that it is %s, error %v", version, aws.ToString(out.VersionId), err)
	}
	return string(body)
}

func TestSDKVersions(t *testing.T) {
	bothTransports(t, func(t *testing.T, s *server) {
		ctx, c, name, key := t.Context(), newBucket(t, s), aws.String(bucket), aws.String("app/ü.zip")
		if v := putVersion(t, c, *key, "null"); v != "" {
			t.Errorf("version %q in a bucket without versions", v)
		}
		setVersioning(t, c, types.BucketVersioningStatusEnabled)
		first, second := putVersion(t, c, *key, "first"), putVersion(t, c, *key, "second")
		for version, want := range map[string]string{"null": "null", first: "first", second: "second"} {
			if got := getVersion(t, c, *key, version); got != want {
				t.Errorf("version %s is %q, want %q", version, got, want)
			}
		}
		part, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: key, VersionId: &first, Range: aws.String("bytes=1-2")})
		if err != nil || aws.ToString(part.ContentRange) != "bytes 1-2/5" {
			t.Errorf("range of a version: %+v, error %v", part, err)
		}
		_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: key, VersionId: aws.String("absent")})
		wantCode(t, "absent version", err, "NoSuchVersion")

		copied, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: name, Key: key, CopySource: aws.String(bucket + "/app/%C3%BC.zip?versionId=" + first)})
		if err != nil || aws.ToString(copied.CopySourceVersionId) != first || getVersion(t, c, *key, aws.ToString(copied.VersionId)) != "first" {
			t.Errorf("restore by copying: %+v, error %v", copied, err)
		}
		deleted, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: key})
		if err != nil || !aws.ToBool(deleted.DeleteMarker) || aws.ToString(deleted.VersionId) == "" {
			t.Fatalf("delete: %+v, error %v", deleted, err)
		}
		_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: key})
		wantCode(t, "get what is deleted", err, "NoSuchKey")
		_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: key, VersionId: deleted.VersionId})
		wantCode(t, "get a delete marker", err, "MethodNotAllowed")
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: key, VersionId: deleted.VersionId}); err != nil {
			t.Error(err)
		}
		if got := get(t, c, *key); got != "first" {
			t.Errorf("without the marker it is %q", got)
		}
		setVersioning(t, c, types.BucketVersioningStatusSuspended)
		if v := putVersion(t, c, *key, "new null"); v != "null" || getVersion(t, c, *key, "null") != "new null" || getVersion(t, c, *key, second) != "second" {
			t.Errorf("version %q while versioning is suspended", v)
		}
	})
}

// TestSDKListVersions reads pages, and empties the bucket as the SDK's users do.
func TestSDKListVersions(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	ctx, c, name := t.Context(), newBucket(t, s), aws.String(bucket)
	setVersioning(t, c, types.BucketVersioningStatusEnabled)
	for _, key := range []string{"a", "b/1", "b/2", "c d"} {
		for range 2 {
			putVersion(t, c, key, key)
		}
	}
	if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: aws.String("a")}); err != nil {
		t.Fatal(err)
	}
	top, err := c.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: name, Delimiter: aws.String("/"), EncodingType: types.EncodingTypeUrl})
	if err != nil || len(top.CommonPrefixes) != 1 || len(top.Versions) != 4 || len(top.DeleteMarkers) != 1 || !*top.DeleteMarkers[0].IsLatest || *top.Versions[3].Key != "c%20d" {
		t.Errorf("list with a delimiter: %+v, error %v", top, err)
	}
	var listed []string
	var ids []types.ObjectIdentifier
	in := &s3.ListObjectVersionsInput{Bucket: name, MaxKeys: aws.Int32(2)}
	for {
		page, err := c.ListObjectVersions(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.DeleteMarkers {
			ids = append(ids, types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
			listed = append(listed, fmt.Sprint("marker of ", *m.Key))
		}
		for _, v := range page.Versions {
			ids = append(ids, types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
			listed = append(listed, fmt.Sprint(*v.Key, " ", *v.IsLatest))
		}
		if !aws.ToBool(page.IsTruncated) {
			break
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
	}
	want := []string{"marker of a", "a false", "a false", "b/1 true", "b/1 false", "b/2 true", "b/2 false", "c d true", "c d false"}
	if diff := cmp.Diff(want, listed); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
	wantCode(t, "delete the bucket", err, "BucketNotEmpty")
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: name, Delete: &types.Delete{Objects: ids}})
	if err != nil || len(out.Deleted) != len(ids) {
		t.Errorf("delete versions: %+v, error %v", out, err)
	}
	if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name}); err != nil {
		t.Error(err)
	}
}

// TestSDKConditionalWrites: writers that must not overwrite each other.
func TestSDKConditionalWrites(t *testing.T) {
	t.Parallel()
	c := newBucket(t, startServer(t, false))
	name, key := aws.String(bucket), aws.String("k")
	write := func(in s3.PutObjectInput) (*s3.PutObjectOutput, error) {
		in.Bucket, in.Key, in.Body = name, key, strings.NewReader("x")
		return c.PutObject(t.Context(), &in)
	}
	first, err := write(s3.PutObjectInput{IfNoneMatch: aws.String("*")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = write(s3.PutObjectInput{IfNoneMatch: aws.String("*")})
	wantCode(t, "there already", err, "PreconditionFailed")
	_, err = write(s3.PutObjectInput{IfMatch: aws.String(`"x"`)})
	wantCode(t, "another", err, "PreconditionFailed")
	if _, err := write(s3.PutObjectInput{IfMatch: first.ETag}); err != nil {
		t.Error(err)
	}
	_, err = c.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: name, Key: key, CopySource: aws.String(bucket + "/k"), MetadataDirective: types.MetadataDirectiveReplace, IfNoneMatch: aws.String("*"),
	})
	wantCode(t, "copy over", err, "PreconditionFailed")
	_, err = c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: name, Key: key, IfMatch: aws.String(`"x"`)})
	wantCode(t, "delete another", err, "PreconditionFailed")
	if _, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: name, Key: key, IfMatch: first.ETag}); err != nil {
		t.Error(err)
	}
	_, err = write(s3.PutObjectInput{IfMatch: first.ETag})
	wantCode(t, "match of nothing", err, "NoSuchKey")
}

func TestSDKAttributes(t *testing.T) {
	t.Parallel()
	c := newBucket(t, startServer(t, false))
	put(t, c, "k", "hello")
	in := &s3.GetObjectAttributesInput{Bucket: aws.String(bucket), Key: aws.String("k"), ObjectAttributes: types.ObjectAttributes("").Values()}
	got, err := c.GetObjectAttributes(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if *got.ETag != "5d41402abc4b2a76b9719d911017c592" || *got.ObjectSize != 5 || got.Checksum == nil || got.StorageClass != types.StorageClassStandard {
		t.Errorf("got %+v", got)
	}
	in.ObjectAttributes = []types.ObjectAttributes{"Colour"}
	_, err = c.GetObjectAttributes(t.Context(), in)
	wantCode(t, "unknown attribute", err, "InvalidArgument")
}

// TestSDKUploads: uploads that were forgotten are found in pages, and their parts too.
func TestSDKUploads(t *testing.T) {
	t.Parallel()
	ctx, c, name := t.Context(), newBucket(t, startServer(t, false)), aws.String(bucket)
	var first *string
	for _, key := range []string{"a", "b", "c"} {
		out, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: name, Key: &key})
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out.UploadId
		}
	}
	for n := range int32(5) {
		if _, err := c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: name, Key: aws.String("a"), UploadId: first, PartNumber: aws.Int32(n*2000 + 1), Body: strings.NewReader("x"),
		}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	uploads := s3.NewListMultipartUploadsPaginator(c, &s3.ListMultipartUploadsInput{Bucket: name, MaxUploads: aws.Int32(2)})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range page.Uploads {
			keys = append(keys, *u.Key)
		}
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, keys); diff != "" {
		t.Errorf("uploads (-want +got):\n%s", diff)
	}
	var numbers []int32
	parts := s3.NewListPartsPaginator(c, &s3.ListPartsInput{Bucket: name, Key: aws.String("a"), UploadId: first, MaxParts: aws.Int32(2)})
	for parts.HasMorePages() {
		page, err := parts.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range page.Parts {
			numbers = append(numbers, *p.PartNumber)
		}
	}
	if diff := cmp.Diff([]int32{1, 2001, 4001, 6001, 8001}, numbers); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}
