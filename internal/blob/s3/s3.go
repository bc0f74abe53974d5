// Package s3 keeps objects in an external S3: Amazon's, or a store that speaks its protocol.
//
// All that is kept lies in one bucket there, below a prefix:
//
//	PREFIX/BUCKET/      an empty object: the bucket exists, since its time of change
//	PREFIX/BUCKET/KEY   an object
//
// What is stored is received as a whole and checked on this machine's disk first. So nothing that a client sent wrong, or
// half, ever reaches the store, a request to it can be tried again, and slow clients hold no connection to it. What is
// read is passed through.
//
// Versions, conditions of writes and checksums are the external store's: where it ignores one of them, so does Grapnel.
// Several servers may share a prefix.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"grapnel/internal/blob"
)

// Options say where the external bucket is, and who asks for it.
type Options struct {
	Bucket string
	Prefix string // without slashes at its ends; "" keeps Grapnel's buckets at the top

	// Endpoint is the store's URL, whose buckets are then part of the path; "" is Amazon's S3.
	Endpoint string
	Region   string

	AccessKeyID, SecretAccessKey string

	Spool string // folder for what is being received; its files have no names
}

// Store is a blob.Store, blob.Buckets, blob.Multipart and blob.Versions in an external bucket.
type Store struct {
	client *s3.Client
	bucket string
	prefix string // "" or with a slash at its end
	spool  string
}

var (
	_ blob.Store     = (*Store)(nil)
	_ blob.Buckets   = (*Store)(nil)
	_ blob.Multipart = (*Store)(nil)
	_ blob.Versions  = (*Store)(nil)
)

// Open returns the store after a first request to it, so that what is wrong with address, names or credentials is told at
// the start of a server.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{bucket: o.Bucket, prefix: o.Prefix, spool: o.Spool}
	if s.prefix != "" {
		s.prefix += "/"
	}
	s.client = newClient(o, (&net.Dialer{Timeout: connectTimeout}).DialContext)
	if err := s.check(ctx); err != nil {
		return nil, fmt.Errorf("external bundle store s3://%s: %w", strings.TrimSuffix(o.Bucket+"/"+s.prefix, "/"), err)
	}
	return s, nil
}

// check asks for a listing, since the answer to a HEAD says no reason.
func (s *Store) check(ctx context.Context) error {
	_, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &s.prefix, MaxKeys: aws.Int32(1)})
	if err == nil {
		return nil
	}
	if hint := startHint(err); hint != "" {
		return fmt.Errorf("%w; %s", err, hint)
	}
	return err
}

// place is the external key of an object, whose bucket exists if err is nil.
func (s *Store) place(ctx context.Context, bucket, key string) (string, error) {
	name, err := s.name(bucket, key)
	if err != nil {
		return "", err
	}
	return name, s.exists(ctx, bucket)
}

// name is the external key of an object.
func (s *Store) name(bucket, key string) (string, error) {
	if err := blob.CheckKey(key); err != nil {
		return "", err
	}
	if blob.CheckBucket(bucket) != nil {
		return "", noBucket(bucket)
	}
	name := s.base(bucket) + key
	if len(name) > blob.MaxKey {
		return "", fmt.Errorf("%w: with what the external store puts before it, it is longer than %d bytes", blob.ErrKey, blob.MaxKey)
	}
	// Stores that keep objects as files, and proxies before them, may take such a key for one of another bucket.
	if slices.ContainsFunc(strings.Split(key, "/"), func(part string) bool { return part == "." || part == ".." }) {
		return "", fmt.Errorf("%w: an external store may take the path elements . and .. for folders", blob.ErrKey)
	}
	return name, nil
}

// base is what the external keys of the bucket's objects begin with; it is also the name of the object that says that
// the bucket exists.
func (s *Store) base(bucket string) string { return s.prefix + bucket + "/" }

func noBucket(name string) error { return fmt.Errorf("%w: %s", blob.ErrNoBucket, name) }

// missing is the error for an object that was not found: its bucket may be the reason.
func (s *Store) missing(ctx context.Context, bucket string, err error) error {
	if !errors.Is(err, blob.ErrNoKey) && !errors.Is(err, blob.ErrNoVersion) {
		return err
	}
	if e := s.exists(ctx, bucket); e != nil {
		return e
	}
	return err
}

// Reap drops uploads that were begun blob.UploadLife before now and are not complete. It returns how many. What others
// have begun in the external bucket is not touched.
func (s *Store) Reap(ctx context.Context, now time.Time) (int, error) {
	reaped, err := s.reap(ctx, now.Add(-blob.UploadLife))
	if err != nil {
		err = fmt.Errorf("drop abandoned uploads: %w", err)
	}
	return reaped, err
}

func (s *Store) reap(ctx context.Context, before time.Time) (reaped int, err error) {
	buckets := map[string]error{} // whether they are Grapnel's, each asked once
	for u, err := range s.uploads(ctx, s.prefix) {
		if err != nil {
			return reaped, err
		}
		bucket, _, inside := strings.Cut(strings.TrimPrefix(aws.ToString(u.Key), s.prefix), "/")
		if !inside || u.Initiated == nil || u.Initiated.After(before) {
			continue
		}
		if _, asked := buckets[bucket]; !asked {
			buckets[bucket] = s.exists(ctx, bucket)
		}
		if err := buckets[bucket]; errors.Is(err, blob.ErrNoBucket) {
			continue
		} else if err != nil {
			return reaped, err
		}
		_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.bucket, Key: u.Key, UploadId: u.UploadId})
		if err = translate(err); err != nil && !errors.Is(err, blob.ErrNoUpload) {
			return reaped, err
		}
		reaped++
	}
	return reaped, nil
}
