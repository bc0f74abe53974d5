package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"grapnel/internal/blob/disk"
	"grapnel/internal/blob/s3"
	"grapnel/internal/objects"
)

// ExternalBundles say that bundles are kept in an external S3. The zero value keeps them in the data folder.
type ExternalBundles struct {
	Location string // s3://BUCKET/PREFIX
	Endpoint string // URL of the store; "" is Amazon's S3
	Region   string // "" is the server's

	AccessKeyID, SecretAccessKey string // that the store knows the server by
}

// check tells what is wrong with the options, and what to do. insecure allows plain HTTP to other machines.
func (b ExternalBundles) check(insecure bool) error {
	if b == (ExternalBundles{}) {
		return nil
	}
	endpoint, err := url.Parse(b.Endpoint)
	isURL := err == nil && (endpoint.Scheme == "http" || endpoint.Scheme == "https") && endpoint.Host != ""
	switch bucket, _, ok := b.split(); {
	case !ok || bucket == "":
		return fmt.Errorf("--bundles %q must be s3://BUCKET or s3://BUCKET/PREFIX; the other --bundles- options need it", b.Location)
	case b.AccessKeyID == "" || b.SecretAccessKey == "":
		return errors.New("--bundles needs the key of the external S3: set GRAPNEL_BUNDLES_ACCESS_KEY_ID and GRAPNEL_BUNDLES_SECRET_ACCESS_KEY")
	case b.Endpoint != "" && !isURL:
		return fmt.Errorf("--bundles-endpoint %q must be a URL such as https://store.example:9000", b.Endpoint)
	case endpoint.Scheme == "http" && !loopback(endpoint.Hostname()) && !insecure:
		return fmt.Errorf("bundles would cross the network to %s in clear; use https, or --insecure if something on the way encrypts", b.Endpoint)
	}
	return nil
}

func (b ExternalBundles) split() (bucket, prefix string, ok bool) {
	path, ok := strings.CutPrefix(b.Location, "s3://")
	bucket, prefix, _ = strings.Cut(path, "/")
	return bucket, strings.Trim(prefix, "/"), ok
}

// bundles is where bundles are kept.
type bundles interface {
	objects.Store
	// Reap drops multipart uploads that have been abandoned.
	Reap(ctx context.Context, now time.Time) (int, error)
}

// externalTimeout is how long an external S3 may take to answer the first request.
const externalTimeout = 30 * time.Second

// openBundles opens the store of the bundles, and asks an external one whether it is there.
func (o Options) openBundles(ctx context.Context) (bundles, error) {
	external := o.ExternalBundles
	bucket, prefix, ok := external.split()
	if !ok {
		return disk.Open(filepath.Join(o.DataDir, "bundles"), o.Log)
	}
	spool := filepath.Join(o.DataDir, "receiving")
	if err := os.MkdirAll(spool, 0o700); err != nil {
		return nil, fmt.Errorf("folder for uploads: %w", err)
	}
	region := external.Region
	if region == "" {
		region = o.Region
	}
	ctx, cancel := context.WithTimeout(ctx, externalTimeout)
	defer cancel()
	return s3.Open(ctx, s3.Options{
		Bucket: bucket, Prefix: prefix, Endpoint: external.Endpoint, Region: region,
		AccessKeyID: external.AccessKeyID, SecretAccessKey: external.SecretAccessKey, Spool: spool,
	})
}
