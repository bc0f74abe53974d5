package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"grapnel/internal/blob"
)

const bucket = "bundles"

func newClient(s *server, options ...func(*s3.Options)) *s3.Client {
	base := s3.Options{
		Region: region, BaseEndpoint: aws.String(s.URL), HTTPClient: s.Client(), RetryMaxAttempts: 1, UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	}
	return s3.New(base, options...)
}

func withSecret(access, secret string) func(*s3.Options) {
	return func(o *s3.Options) { o.Credentials = credentials.NewStaticCredentialsProvider(access, secret, "") }
}

// newBucket returns a client of a server with an empty bucket.
func newBucket(t *testing.T, s *server) *s3.Client {
	t.Helper()
	c := newClient(s)
	if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, c *s3.Client, key, body string) {
	t.Helper()
	_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, c *s3.Client, key string) string {
	t.Helper()
	out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func wantCode(t *testing.T, what string, err error, code string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code {
		t.Errorf("%s: got error %v, want %s", what, err, code)
	}
}

func exists(c *s3.Client, key string) bool {
	_, err := c.HeadObject(context.Background(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: &key})
	return err == nil
}

func TestSDKBuckets(t *testing.T) {
	bothTransports(t, func(t *testing.T, s *server) {
		ctx, c := t.Context(), newBucket(t, s)
		name := aws.String(bucket)
		_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name})
		wantCode(t, "create again", err, "BucketAlreadyOwnedByYou")
		_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{
			Bucket: aws.String("elsewhere"), CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: "eu-north-1"},
		})
		wantCode(t, "create elsewhere", err, "IllegalLocationConstraintException")
		_, err = c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("Bad_Name")})
		wantCode(t, "bad name", err, "InvalidBucketName")
		list, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
		if err != nil || len(list.Buckets) != 1 || *list.Buckets[0].Name != bucket || time.Since(*list.Buckets[0].CreationDate) > time.Minute {
			t.Errorf("list: %+v, error %v", list, err)
		}
		where, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: name})
		if err != nil || where.LocationConstraint != region {
			t.Errorf("location: %+v, error %v", where, err)
		}
		put(t, c, "k", "x")
		_, err = c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name})
		wantCode(t, "delete with an object", err, "BucketNotEmpty")
		if _, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: name, Key: aws.String("k")}); err != nil {
			t.Error(err)
		}
		if _, err := c.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: name}); err != nil {
			t.Error(err)
		}
		_, err = c.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: name})
		wantCode(t, "head", err, "NotFound")
		_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: name, Key: aws.String("k"), Body: strings.NewReader("x")})
		wantCode(t, "put", err, "NoSuchBucket")
		_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: aws.String("k")})
		wantCode(t, "get", err, "NoSuchBucket")
	})
}

// TestSDKChecksums sends every algorithm, in a header over HTTP, in a trailer over TLS, and lets the SDK compare what
// comes back.
func TestSDKChecksums(t *testing.T) {
	bothTransports(t, func(t *testing.T, s *server) {
		c := newBucket(t, s)
		for _, a := range blob.Algorithms() {
			key := aws.String(string(a))
			sent, err := c.PutObject(t.Context(), &s3.PutObjectInput{
				Bucket: aws.String(bucket), Key: key, Body: strings.NewReader(text(100_000)), ChecksumAlgorithm: types.ChecksumAlgorithm(a),
				ContentType: aws.String("application/zip"), ContentEncoding: aws.String("gzip"), CacheControl: aws.String("no-store"),
				Metadata: map[string]string{"version": "1"},
			})
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: key, ChecksumMode: types.ChecksumModeEnabled})
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(out.Body)
			if err != nil || string(body) != text(100_000) {
				t.Errorf("%s: got %d bytes, error %v", a, len(body), err)
			}
			type sums struct{ CRC32, CRC32C, CRC64NVME, SHA1, SHA256 *string }
			want := sums{sent.ChecksumCRC32, sent.ChecksumCRC32C, sent.ChecksumCRC64NVME, sent.ChecksumSHA1, sent.ChecksumSHA256}
			got := sums{out.ChecksumCRC32, out.ChecksumCRC32C, out.ChecksumCRC64NVME, out.ChecksumSHA1, out.ChecksumSHA256}
			if diff := cmp.Diff(want, got); diff != "" || want == (sums{}) {
				t.Errorf("%s: checksums %s", a, diff)
			}
			if *out.ContentType != "application/zip" || *out.ContentEncoding != "gzip" || *out.CacheControl != "no-store" ||
				out.Metadata["version"] != "1" || *out.ETag != *sent.ETag {
				t.Errorf("%s: got %+v", a, out)
			}
		}
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("wrong"), Body: strings.NewReader("x"), ChecksumCRC32: aws.String("AAAAAA=="),
		})
		wantCode(t, "wrong checksum", err, "BadDigest")
		_, err = c.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket: aws.String(bucket), Key: aws.String("wrong"), Body: strings.NewReader("x"), ContentMD5: aws.String("1B2M2Y8AsgTpgAmY7PhCfg=="),
		})
		wantCode(t, "wrong MD5", err, "BadDigest")
		if exists(c, "wrong") {
			t.Error("an object with a wrong checksum is visible")
		}
		if s.caFile != "" && !s.saw("STREAMING-UNSIGNED-PAYLOAD-TRAILER") {
			t.Error("no trailer was sent over TLS")
		}
	})
}

func TestSDKGet(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	c := newBucket(t, s)
	put(t, c, "k", "0123456789")
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	if err != nil || *head.ContentLength != 10 || *head.AcceptRanges != "bytes" {
		t.Fatalf("head: %+v, error %v", head, err)
	}
	etag, later := head.ETag, aws.Time(head.LastModified.Add(time.Hour))
	for _, tt := range []struct {
		name       string
		in         s3.GetObjectInput
		body, code string
	}{
		{"range", s3.GetObjectInput{Range: aws.String("bytes=2-4")}, "234", ""},
		{"open range", s3.GetObjectInput{Range: aws.String("bytes=8-")}, "89", ""},
		{"from the start", s3.GetObjectInput{Range: aws.String("bytes=0-")}, "0123456789", ""},
		{"suffix", s3.GetObjectInput{Range: aws.String("bytes=-2")}, "89", ""},
		{"beyond", s3.GetObjectInput{Range: aws.String("bytes=5-99")}, "56789", ""},
		{"malformed range", s3.GetObjectInput{Range: aws.String("bytes=x")}, "0123456789", ""},
		{"outside", s3.GetObjectInput{Range: aws.String("bytes=10-")}, "", "InvalidRange"},
		{"no bytes", s3.GetObjectInput{Range: aws.String("bytes=-0")}, "", "InvalidRange"},
		{"match", s3.GetObjectInput{IfMatch: etag}, "0123456789", ""},
		{"no match", s3.GetObjectInput{IfMatch: aws.String(`"x"`)}, "", "PreconditionFailed"},
		{"other", s3.GetObjectInput{IfNoneMatch: aws.String(`"x"`)}, "0123456789", ""},
		{"same", s3.GetObjectInput{IfNoneMatch: etag}, "", "NotModified"},
		{"unchanged", s3.GetObjectInput{IfModifiedSince: head.LastModified}, "", "NotModified"},
		{"changed", s3.GetObjectInput{IfUnmodifiedSince: aws.Time(head.LastModified.Add(-time.Hour))}, "", "PreconditionFailed"},
		{"not changed", s3.GetObjectInput{IfUnmodifiedSince: later}, "0123456789", ""},
		{"version", s3.GetObjectInput{VersionId: aws.String("1")}, "", "NoSuchVersion"},
		{"other type", s3.GetObjectInput{ResponseContentType: aws.String("text/x")}, "0123456789", ""},
		{"missing", s3.GetObjectInput{Key: aws.String("missing")}, "", "NoSuchKey"},
		{"part", s3.GetObjectInput{PartNumber: aws.Int32(1)}, "0123456789", ""},
		{"absent part", s3.GetObjectInput{PartNumber: aws.Int32(2)}, "", "InvalidPartNumber"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.in.Bucket = aws.String(bucket); tt.in.Key == nil {
				tt.in.Key = aws.String("k")
			}
			out, err := c.GetObject(context.Background(), &tt.in)
			if tt.code != "" {
				wantCode(t, "get", err, tt.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(out.Body)
			if err != nil || string(body) != tt.body || *out.ContentLength != int64(len(tt.body)) {
				t.Errorf("got %q, error %v, want %q", body, err, tt.body)
			}
			if isRange := tt.in.PartNumber != nil || tt.in.Range != nil && *tt.in.Range != "bytes=x"; isRange != (out.ContentRange != nil) {
				t.Errorf("content range %v", aws.ToString(out.ContentRange))
			}
			if tt.in.ResponseContentType != nil && *out.ContentType != "text/x" {
				t.Errorf("content type %v", *out.ContentType)
			}
		})
	}
}

func TestSDKListAndDelete(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	ctx, c := t.Context(), newBucket(t, s)
	keys := []string{"a b+c/ü.zip", "a/1", "a/2", "b", "c&d<e>", "nul\x00", "é"}
	for _, key := range keys {
		put(t, c, key, key)
	}
	for _, size := range []int32{1, 2, 1000} {
		var got []string
		pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), MaxKeys: &size, EncodingType: types.EncodingTypeUrl})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if int(*page.KeyCount) != len(page.Contents) {
				t.Errorf("key count is %d of %d", *page.KeyCount, len(page.Contents))
			}
			for _, o := range page.Contents {
				got = append(got, *o.Key)
			}
		}
		want := []string{"a%20b%2Bc/%C3%BC.zip", "a/1", "a/2", "b", "c%26d%3Ce%3E", "nul%00", "%C3%A9"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
	top, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Delimiter: aws.String("/"), StartAfter: aws.String("a b")})
	if err != nil || len(top.CommonPrefixes) != 2 || *top.CommonPrefixes[1].Prefix != "a/" || len(top.Contents) != 4 {
		t.Errorf("list with a delimiter: %+v, error %v", top, err)
	}
	old, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: aws.String(bucket), Prefix: aws.String("a/"), MaxKeys: aws.Int32(1)})
	if err != nil || len(old.Contents) != 1 || !*old.IsTruncated || *old.NextMarker != "a/1" {
		t.Errorf("list version 1: %+v, error %v", old, err)
	}
	for _, token := range []string{"?", "zz", "AAAAAAA"} {
		_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), ContinuationToken: &token})
		wantCode(t, "token "+token, err, "InvalidArgument")
		_, err = c.ListBuckets(ctx, &s3.ListBucketsInput{ContinuationToken: &token})
		wantCode(t, "token of buckets "+token, err, "InvalidArgument")
	}
	_, err = c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: aws.String("missing")})
	wantCode(t, "list", err, "NoSuchBucket")

	var ids []types.ObjectIdentifier
	for _, key := range append(keys, "absent") {
		ids = append(ids, types.ObjectIdentifier{Key: &key})
	}
	ids = slices.DeleteFunc(ids, func(id types.ObjectIdentifier) bool { return strings.Contains(*id.Key, "\x00") }) // not in XML
	out, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String(bucket), Delete: &types.Delete{Objects: ids}})
	if err != nil || len(out.Deleted) != len(ids) || len(out.Errors) != 0 {
		t.Errorf("delete: %+v, error %v", out, err)
	}
	if exists(c, "b") || !exists(c, "nul\x00") {
		t.Error("the wrong objects were deleted")
	}
	_, err = c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("b")})
	wantCode(t, "get a deleted object", err, "NoSuchKey")
	_, err = c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: aws.String("missing"), Delete: &types.Delete{Objects: ids}})
	wantCode(t, "delete", err, "NoSuchBucket")
}

func TestSDKMultipart(t *testing.T) {
	bothTransports(t, func(t *testing.T, s *server) {
		for _, kind := range []types.ChecksumType{types.ChecksumTypeComposite, types.ChecksumTypeFullObject} {
			t.Run(string(kind), func(t *testing.T) { multipart(t, newClient(s), kind) })
		}
	})
}

func multipart(t *testing.T, c *s3.Client, kind types.ChecksumType) {
	ctx, name, key := t.Context(), aws.String("multi-"+strings.ToLower(strings.ReplaceAll(string(kind), "_", "-"))), aws.String("k")
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: name}); err != nil {
		t.Fatal(err)
	}
	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: name, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: kind, ContentType: aws.String("application/zip"),
	})
	if err != nil {
		t.Fatal(err)
	}
	var parts []types.CompletedPart
	bodies := []string{text(5 << 20), text(6 << 20), "end"}
	for i, body := range bodies {
		n := aws.Int32(int32(i + 1))
		out, err := c.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: name, Key: key, UploadId: up.UploadId, PartNumber: n, Body: strings.NewReader(body), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
		})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, types.CompletedPart{PartNumber: n, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
	}
	listed, err := c.ListParts(ctx, &s3.ListPartsInput{Bucket: name, Key: key, UploadId: up.UploadId, MaxParts: aws.Int32(2)})
	if err != nil || len(listed.Parts) != 2 || !*listed.IsTruncated || *listed.NextPartNumberMarker != "2" || listed.ChecksumType != kind ||
		*listed.Parts[1].ChecksumCRC32 != *parts[1].ChecksumCRC32 || *listed.Parts[1].Size != 6<<20 {
		t.Errorf("parts: %+v, error %v", listed, err)
	}
	complete := func(parts ...types.CompletedPart) (*s3.CompleteMultipartUploadOutput, error) {
		return c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: name, Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	_, err = complete(parts[1], parts[0])
	wantCode(t, "wrong order", err, "InvalidPartOrder")
	_, err = complete(parts[1], types.CompletedPart{PartNumber: aws.Int32(4), ETag: parts[2].ETag})
	wantCode(t, "absent part", err, "InvalidPart")
	done, err := complete(parts...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(*done.ETag, `-3"`) || done.ChecksumType != kind || done.ChecksumCRC32 == nil {
		t.Errorf("completed: %+v", done)
	}
	if again, err := complete(parts...); err != nil || *again.ETag != *done.ETag {
		t.Errorf("complete again: %+v, error %v", again, err)
	}
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: name, Key: key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(out.Body)
	if err != nil || string(body) != strings.Join(bodies, "") || *out.ContentType != "application/zip" {
		t.Errorf("got %d bytes of %s, error %v", len(body), *out.ContentType, err)
	}
	_, err = c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: name, Key: key, UploadId: up.UploadId})
	wantCode(t, "abort a completed upload", err, "NoSuchUpload")
}

func TestSDKCopy(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	ctx, c := t.Context(), newBucket(t, s)
	name := aws.String(bucket)
	put(t, c, "a/ü+1", "hello")
	src := aws.String(bucket + "/a/%C3%BC%2B1")
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: name, Key: aws.String("b"), CopySource: src}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "b"); got != "hello" {
		t.Errorf("got %q", got)
	}
	_, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: name, Key: aws.String("a/ü+1"), CopySource: src})
	wantCode(t, "onto itself", err, "InvalidRequest")
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{
		Bucket: name, Key: aws.String("a/ü+1"), CopySource: src, MetadataDirective: types.MetadataDirectiveReplace,
		Metadata: map[string]string{"x": "y"}, ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	}); err != nil {
		t.Error(err)
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: name, Key: aws.String("a/ü+1"), ChecksumMode: types.ChecksumModeEnabled})
	if err != nil || head.Metadata["x"] != "y" || aws.ToString(head.ChecksumSHA256) != "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=" {
		t.Errorf("head: %+v, error %v", head, err)
	}
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: name, Key: aws.String("c"), CopySource: src, CopySourceIfMatch: aws.String("x")})
	wantCode(t, "changed source", err, "PreconditionFailed")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: name, Key: aws.String("c"), CopySource: aws.String(bucket + "/absent")})
	wantCode(t, "absent source", err, "NoSuchKey")

	up, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: name, Key: aws.String("d")})
	if err != nil {
		t.Fatal(err)
	}
	part, err := c.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: name, Key: aws.String("d"), UploadId: up.UploadId, PartNumber: aws.Int32(1), CopySource: src, CopySourceRange: aws.String("bytes=1-3"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: name, Key: aws.String("d"), UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{
			Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.CopyPartResult.ETag}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, c, "d"); got != "ell" {
		t.Errorf("got %q", got)
	}
	s.deny("s3:GetObject")
	_, err = c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: name, Key: aws.String("e"), CopySource: src})
	wantCode(t, "copy what may not be read", err, "AccessDenied")
}

// TestSDKVirtualHost: SDKs put the bucket into the host name unless they are told not to, or the host is an address.
func TestSDKVirtualHost(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	put(t, newBucket(t, s), "a/b", "hello")
	addr := s.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	c := newClient(s, func(o *s3.Options) {
		o.UsePathStyle, o.BaseEndpoint = false, aws.String("http://"+domain+":"+port)
		o.HTTPClient = &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, addr)
			},
		}}
	})
	if got := get(t, c, "a/b"); got != "hello" {
		t.Errorf("got %q", got)
	}
	page, err := c.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(bucket)})
	if err != nil || len(page.Contents) != 1 {
		t.Errorf("list: %+v, error %v", page, err)
	}
}

func TestSDKPresigned(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	c := newBucket(t, s)
	presign := s3.NewPresignClient(c)
	name, key := aws.String(bucket), aws.String("a b/ü+1.zip")
	up, err := presign.PresignPutObject(t.Context(), &s3.PutObjectInput{Bucket: name, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if status, body := do(t, s, "PUT", up.URL, "hello"); status != http.StatusOK {
		t.Fatalf("put: %d %s", status, body)
	}
	down, err := presign.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: name, Key: key}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := do(t, s, "GET", down.URL, ""); status != http.StatusOK || body != "hello" {
		t.Errorf("get: %d %s", status, body)
	}
	for _, tt := range []struct{ name, method, url, code string }{
		{"other method", "PUT", down.URL, "SignatureDoesNotMatch"},
		{"other key", "GET", strings.Replace(down.URL, "1.zip", "2.zip", 1), "SignatureDoesNotMatch"},
		{"longer life", "GET", strings.Replace(down.URL, "Expires=60", "Expires=600", 1), "SignatureDoesNotMatch"},
		{"no life", "GET", strings.Replace(down.URL, "X-Amz-Expires=60&", "", 1), "AuthorizationQueryParametersError"},
		{"other signer", "GET", strings.Replace(down.URL, accessKey, "AKIAGRAPNELTEST00002", 1), "InvalidAccessKeyId"},
	} {
		if status, body := do(t, s, tt.method, tt.url, ""); status < 400 || !strings.Contains(body, "<Code>"+tt.code+"</Code>") {
			t.Errorf("%s: got %d %s, want %s", tt.name, status, body, tt.code)
		}
	}
}

func do(t *testing.T, s *server, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// tamper changes what a client sends after it has signed it.
type tamper struct {
	http.RoundTripper
	change func(*http.Request)
}

func (t tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	t.change(r)
	return t.RoundTripper.RoundTrip(r)
}

func TestSDKRefused(t *testing.T) {
	bothTransports(t, func(t *testing.T, s *server) {
		newBucket(t, s)
		through := func(change func(*http.Request)) func(*s3.Options) {
			return func(o *s3.Options) {
				o.HTTPClient = &http.Client{Transport: tamper{s.Client().Transport, change}}
			}
		}
		body := func(r *http.Request) {
			data, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(bytes.Replace(data, []byte("hello"), []byte("jello"), 1)))
		}
		digest := "XAmzContentSHA256Mismatch"
		if s.caFile != "" {
			digest = "BadDigest" // what is over TLS is only checksummed
		}
		for _, tt := range []struct {
			name   string
			option func(*s3.Options)
			code   string
		}{
			{"wrong secret", withSecret(accessKey, "wrong"), "SignatureDoesNotMatch"},
			{"unknown key", withSecret("AKIAGRAPNELTEST00002", secretKey), "InvalidAccessKeyId"},
			{"anonymous", func(o *s3.Options) { o.Credentials = aws.AnonymousCredentials{} }, "AccessDenied"},
			{"tampered body", through(body), digest},
			{"tampered key", through(func(r *http.Request) { r.URL.Path += "x"; r.URL.RawPath = "" }), "SignatureDoesNotMatch"},
			{"added header", through(func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }), "AccessDenied"},
			{"replayed later", through(func(r *http.Request) { r.Header.Set("X-Amz-Date", stale(r)) }), "RequestTimeTooSkewed"},
		} {
			c := newClient(s, tt.option)
			_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("hello")})
			wantCode(t, tt.name, err, tt.code)
		}
		for _, in := range []s3.PutObjectInput{
			{ACL: types.ObjectCannedACLPublicRead}, {Tagging: aws.String("a=b")}, {ServerSideEncryption: types.ServerSideEncryptionAes256},
		} {
			in.Bucket, in.Key, in.Body = aws.String(bucket), aws.String("k"), strings.NewReader("hello")
			_, err := newClient(s).PutObject(t.Context(), &in)
			wantCode(t, fmt.Sprintf("%+v", in), err, "NotImplemented")
		}
		if exists(newClient(s), "k") {
			t.Error("a refused object is visible")
		}
	})
}

// stale is the request's date, 20 minutes earlier on the same day.
func stale(r *http.Request) string {
	date, _ := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if date.Hour() == 0 {
		return date.Add(20 * time.Minute).Format("20060102T150405Z")
	}
	return date.Add(-20 * time.Minute).Format("20060102T150405Z")
}
