package s3

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"grapnel/internal/blob"
	"grapnel/internal/blob/blobtest"
	external "grapnel/internal/blob/s3"
	"grapnel/test/harness"
)

const externalPrefix = "a/prefix"

// externalStore is a provider whose external bucket is told from outside to keep versions, as an operator does it.
type externalStore struct {
	*external.Store
	client *s3.Client
	bucket string
}

func (s externalStore) SetVersioning(ctx context.Context, bucket string, v blob.Versioning) error {
	if _, err := s.StatBucket(ctx, bucket); err != nil {
		return err
	}
	_, err := s.client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{
		Bucket: &s.bucket, VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatus(v)},
	})
	return err
}

// fits is false for keys that are too long below the prefix, and for those that a store may take for paths.
func fits(key string) bool {
	elements := strings.Split(key, "/")
	return len(externalPrefix+"/bundles/"+key) <= blob.MaxKey && !slices.Contains(elements, ".") && !slices.Contains(elements, "..")
}

// newExternal makes an external bucket and returns what opens it.
func newExternal(t testing.TB, client *s3.Client, url, bucket string) func() blobtest.Store {
	t.Helper()
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{
		Bucket: &bucket, CreateBucketConfiguration: &types.CreateBucketConfiguration{LocationConstraint: region},
	}); err != nil {
		t.Fatal(err)
	}
	return func() blobtest.Store {
		t.Helper()
		s, err := external.Open(t.Context(), external.Options{
			Bucket: bucket, Prefix: externalPrefix, Endpoint: url, Region: region,
			AccessKeyID: accessKey, SecretAccessKey: secretKey, Spool: t.TempDir(),
		})
		if err != nil {
			t.Fatal(err)
		}
		return externalStore{s, client, bucket}
	}
}

// TestExternalGrapnel runs the suite of the bundle stores against the S3 endpoint of another Grapnel.
func TestExternalGrapnel(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, blobtest.Limits{Key: fits}, func(t testing.TB) (blobtest.Store, func() blobtest.Store) {
		s := startServer(t, false)
		open := newExternal(t, newClient(s), s.URL, "external")
		return open(), open
	})
}

// TestExternalMoto does the same with a store that was written by others.
func TestExternalMoto(t *testing.T) {
	t.Parallel()
	url, ok := harness.StartMoto(t)
	if !ok {
		t.Skip("needs moto's server: pip install 'moto[server]'")
	}
	client := newClient(startServer(t, false), func(o *s3.Options) { o.BaseEndpoint = &url })
	limits := blobtest.Limits{Key: fits, Cannot: []string{
		"abort", "complete again", "multipart refusals", "versions of uploads", // an unknown upload ends in a status of 500
		"multipart checksums", "round trip", // checksums that came in headers are not told again
		"odd keys",                        // as it takes a key for a path
		"ranges",                          // of an empty object
		"upgrade to versions", "versions", // null versions and delete markers do not say what they are
	}}
	var stores atomic.Int32
	blobtest.Run(t, limits, func(t testing.TB) (blobtest.Store, func() blobtest.Store) {
		open := newExternal(t, client, url, fmt.Sprintf("external-%d", stores.Add(1)))
		return open(), open
	})
}
