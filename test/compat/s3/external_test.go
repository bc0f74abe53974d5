package s3

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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

// TestExternalReap: in a bucket that is shared with others, abandoned uploads of Grapnel's are dropped, and theirs are not.
func TestExternalReap(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	client := newClient(s)
	for _, prefix := range []string{"", externalPrefix} {
		shared := "shared-" + strings.ReplaceAll(prefix, "/", "-") + "s"
		newExternal(t, client, s.URL, shared)
		store, err := external.Open(t.Context(), external.Options{
			Bucket: shared, Prefix: prefix, Endpoint: s.URL, Region: region,
			AccessKeyID: accessKey, SecretAccessKey: secretKey, Spool: t.TempDir(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.CreateBucket(t.Context(), bucket); err != nil {
			t.Fatal(err)
		}
		if _, err := store.CreateUpload(t.Context(), bucket, "folder/k", &blob.Attributes{}); err != nil {
			t.Fatal(err)
		}
		theirs := []string{"backups/k", "backups/" + bucket + "/k", bucket, "k"}
		for _, key := range theirs {
			key = path.Join(prefix, key)
			if _, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &shared, Key: &key}); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := store.Reap(t.Context(), time.Now().Add(blob.UploadLife+time.Hour)); n != 1 || err != nil {
			t.Errorf("prefix %q: reaped %d, error %v; want 1", prefix, n, err)
		}
		left, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &shared})
		if err != nil || len(left.Uploads) != len(theirs) {
			t.Errorf("prefix %q: %d uploads are left, error %v; want %d", prefix, len(left.Uploads), err, len(theirs))
		}
	}
}

// TestExternalStart: what is wrong with an external store is told at the start, with what to do.
func TestExternalStart(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	newExternal(t, newClient(s), s.URL, "external")
	for name, tt := range map[string]struct {
		change func(*external.Options)
		want   string
	}{
		"secret":  {func(o *external.Options) { o.SecretAccessKey = "wrong" }, "check GRAPNEL_BUNDLES_ACCESS_KEY_ID"},
		"key":     {func(o *external.Options) { o.AccessKeyID = "AKIAUNKNOWNUNKNOWN00" }, "check GRAPNEL_BUNDLES_ACCESS_KEY_ID"},
		"bucket":  {func(o *external.Options) { o.Bucket = "absent" }, "make the bucket there"},
		"address": {func(o *external.Options) { o.Endpoint = "http://127.0.0.1:1" }, "check --bundles-endpoint"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := external.Options{
				Bucket: "external", Endpoint: s.URL, Region: region, AccessKeyID: accessKey, SecretAccessKey: secretKey, Spool: t.TempDir(),
			}
			tt.change(&o)
			_, err := external.Open(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), o.SecretAccessKey) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestExternalDown: a store that has gone is a reason to try again, and not one to believe that there is no bundle.
func TestExternalDown(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	store := newExternal(t, newClient(s), s.URL, "external")()
	if err := store.CreateBucket(t.Context(), bucket); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err := store.Stat(t.Context(), bucket, "k", "")
	if !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("stat: %v", err)
	}
	_, err = store.Put(t.Context(), bucket, "k", strings.NewReader("x"), &blob.Attributes{}, blob.Condition{})
	if !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("put: %v", err)
	}
}
