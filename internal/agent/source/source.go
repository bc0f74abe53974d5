// Package source brings the bundle of a revision to this host: from S3, from GitHub, or from a file or folder that is
// already there (agent.md 5.2, 10.1 to 10.3, 10.5).
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Options say how a host reaches the sources of its bundles.
type Options struct {
	// HTTP carries every request. It decides about proxies and certificate authorities, and how long a connection may take.
	// Its Timeout should be 0: how long a download takes depends on its size, and Stalled watches over it.
	HTTP *http.Client

	Region      string                  // of the host; a bucket elsewhere is found
	Credentials aws.CredentialsProvider // for S3, asked before each request; nil sends requests that are not signed
	S3Endpoint  string                  // URL of a store that speaks S3's protocol (s3_endpoint_override); "" means Amazon's
	Domain      string                  // of Amazon's services in the region's partition; "" means amazonaws.com
	FIPS        bool                    // use Amazon's FIPS endpoints (use_fips_mode)

	GitHubEndpoint string // URL of GitHub's API; "" means https://api.github.com

	Stalled time.Duration // a download that brings nothing for so long is broken off and tried again; 0 means 80 s

	// Root is the folder that deployments are unpacked below. A local folder that holds it is copied without it: otherwise
	// the copy would contain itself, and every revision the ones before it.
	Root string

	// Mode is that of bundles and of what is noted beside them, whatever the umask; 0 means 0644 (agent.md 6).
	Mode fs.FileMode

	// HasRoom returns an error when there is no room for so many bytes at path. It is called before the first of them is
	// written, or repeatedly with what comes next when the size is not known beforehand. nil means that there always is.
	HasRoom func(path string, bytes int64) error

	Log *slog.Logger
}

// Source brings bundles. It may be used by many goroutines.
type Source struct {
	Options
	s3     *http.Client
	github *http.Client
}

// defaultStalled is the default of http_read_timeout (agent.md 2).
const defaultStalled = 80 * time.Second

// New returns a Source.
func New(o Options) *Source {
	o.HTTP = cmp.Or(o.HTTP, http.DefaultClient)
	o.GitHubEndpoint = strings.TrimSuffix(cmp.Or(o.GitHubEndpoint, "https://api.github.com"), "/")
	o.Stalled = cmp.Or(o.Stalled, defaultStalled)
	o.Domain = cmp.Or(o.Domain, "amazonaws.com")
	o.Mode = cmp.Or(o.Mode, 0o644)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	if o.HasRoom == nil {
		o.HasRoom = func(string, int64) error { return nil }
	}
	s := &Source{Options: o, s3: new(*o.HTTP), github: new(*o.HTTP)}
	s.s3.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the signature is for one host
	s.github.CheckRedirect = followWithoutToken
	return s
}

// Result tells what Fetch brought.
type Result struct {
	ETag     string // of the object in S3, without quotes; "" for other sources
	Bytes    int64  // downloaded or copied
	Unpacked bool   // the archive is complete and there is no bundle: the source was a folder
}

// Fetch brings the bundle of a revision to the file bundlePath, in a folder that is there: its bytes, or for a local file a
// symbolic link to it. A local folder is copied to the new folder archivePath instead. What was at the path before is
// replaced. After an error nothing is left there.
func (s *Source) Fetch(ctx context.Context, r Revision, bundlePath, archivePath string) (Result, error) {
	if err := r.Check(); err != nil {
		return Result{}, err
	}
	path := bundlePath
	if r.Local != nil && r.Local.Type == Directory {
		path = archivePath
	}
	if err := os.RemoveAll(path); err != nil { // never written through: it may be a link to a file of the user's
		return Result{}, fmt.Errorf("cannot replace what an earlier attempt left: %w", err)
	}
	result, err := s.bring(ctx, r, path)
	if err == nil {
		return result, nil
	}
	if left := os.RemoveAll(path); left != nil && !errors.Is(left, fs.ErrNotExist) {
		err = errors.Join(err, fmt.Errorf("what was brought of it cannot be removed: %w", left))
	}
	return Result{}, err
}

func (s *Source) bring(ctx context.Context, r Revision, path string) (Result, error) {
	switch {
	case r.S3 != nil:
		return s.fromS3(ctx, *r.S3, path)
	case r.GitHub != nil:
		return s.fromGitHub(ctx, *r.GitHub, path)
	default:
		return s.fromHere(ctx, *r.Local, path)
	}
}
