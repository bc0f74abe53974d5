package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"grapnel/internal/backoff"
)

// fromS3 writes an object to path. It is the object that the revision means, or an error: the version and the ETag of the
// revision are required of it, and of every part when a broken download is resumed.
func (s *Source) fromS3(ctx context.Context, r S3, path string) (Result, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Result{}, fmt.Errorf("cannot make the bundle's file: %w", err)
	}
	defer file.Close()
	d := download{source: s, client: s.s3Client(), revision: r, file: file, path: path}
	if err := d.run(ctx); err != nil {
		return Result{}, fmt.Errorf("cannot download %s: %w", r, err)
	}
	return Result{ETag: strings.Trim(d.etag, `"`), Bytes: d.size}, file.Close()
}

func (s *Source) s3Client() *s3.Client {
	options := s3.Options{
		Region:                     s.Region,
		Credentials:                s.Credentials,
		HTTPClient:                 s.HTTP,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported,
		DisableLogOutputChecksumValidationSkipped: true,
	}
	switch {
	case s.S3Endpoint != "":
		options.BaseEndpoint = aws.String(s.S3Endpoint)
		options.UsePathStyle = true
	case s.FIPS:
		options.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
	}
	return s3.New(options)
}

// download is one object on its way to a file.
type download struct {
	source   *Source
	client   *s3.Client
	revision S3
	file     *os.File
	path     string

	accepted bool   // the first reply has come and passed
	etag     string // of the object
	size     int64
	done     int64 // bytes in the file
}

// downloadTries is how often a download is tried, counted anew whenever it got further.
const downloadTries = 4

var downloadPauses = backoff.Exponential{First: 300 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.25}

func (d *download) run(ctx context.Context) error {
	furthest := int64(0)
	for try := 1; ; try++ {
		err := d.part(ctx)
		var broken *brokenOff
		if !errors.As(err, &broken) || ctx.Err() != nil {
			return err
		}
		if d.done > furthest {
			furthest, try = d.done, 1
		}
		if try == downloadTries {
			return err
		}
		d.source.Log.Warn("a download broke off and is tried again", slog.String("bundle", d.revision.String()),
			slog.Int64("at_byte", d.done), slog.Any("error", err))
		if err := backoff.Sleep(ctx, downloadPauses.Pause(try)); err != nil {
			return err
		}
	}
}

// brokenOff is a failure of the network, before or in the middle of an object's body.
type brokenOff struct{ err error }

// Error returns the network's own words.
func (b *brokenOff) Error() string { return b.err.Error() }

// Unwrap makes the cause visible.
func (b *brokenOff) Unwrap() error { return b.err }

// part downloads what is missing, as far as the connection carries.
func (d *download) part(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out, err := d.client.GetObject(ctx, d.request())
	if err != nil {
		return explain(err, d.revision)
	}
	defer out.Body.Close()
	if err := d.accept(out); err != nil {
		return err
	}
	watchdog := time.AfterFunc(d.source.Stalled, func() {
		cancel(fmt.Errorf("nothing came for %v", d.source.Stalled))
	})
	defer watchdog.Stop()
	body := &watchedReader{out.Body, func() { watchdog.Reset(d.source.Stalled) }}
	n, err := io.Copy(d.file, body)
	d.done += n
	var write *os.PathError
	switch {
	case errors.As(err, &write):
		return err
	case err == nil && d.done == d.size:
		return nil
	case d.done >= d.size:
		return fmt.Errorf("the object did not arrive as it was sent: %w", cmp.Or(err, io.ErrUnexpectedEOF))
	case err == nil:
		err = io.ErrUnexpectedEOF
	case context.Cause(ctx) != nil:
		err = context.Cause(ctx)
	}
	return &brokenOff{fmt.Errorf("the connection broke off: %w", err)}
}

func (d *download) request() *s3.GetObjectInput {
	in := &s3.GetObjectInput{Bucket: &d.revision.Bucket, Key: &d.revision.Key}
	if d.revision.Version != "" {
		in.VersionId = &d.revision.Version
	}
	if d.done > 0 && d.etag != "" {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", d.done))
		in.IfMatch = &d.etag
	}
	return in
}

// accept looks at an object before any of it is written: is it the one that the revision names, and is there room for it?
// The reply to GetObject tells as much as a HEAD request would, about the very object that follows. A reply to a later
// request must be the missing part; if it is the whole object again, the file begins anew.
func (d *download) accept(out *s3.GetObjectOutput) error {
	if d.accepted && out.ContentRange != nil {
		return nil
	}
	d.done = 0
	if _, err := d.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := d.file.Truncate(0); err != nil {
		return err
	}
	if out.ContentLength == nil {
		return errors.New("the store does not say how large the bundle is")
	}
	d.accepted, d.etag, d.size = true, aws.ToString(out.ETag), *out.ContentLength
	if want, got := strings.Trim(d.revision.ETag, `"`), strings.Trim(d.etag, `"`); want != "" && want != got {
		return fmt.Errorf("the object has the ETag %q and the revision wants %q: the bundle was replaced after the revision was registered. "+
			"Push it again, or register the revision again", got, want)
	}
	return d.source.HasRoom(d.path, d.size)
}

// watchedReader tells of every read that brought something.
type watchedReader struct {
	io.Reader
	alive func()
}

// Read implements [io.Reader].
func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.alive()
	}
	return n, err
}

// explain says what a failure of S3 means for the one who deploys.
func explain(err error, r S3) error {
	var api smithy.APIError
	var network *net.OpError
	switch {
	case errors.As(err, &api):
		text := fmt.Sprintf("%s: %s", api.ErrorCode(), api.ErrorMessage())
		switch api.ErrorCode() {
		case "NoSuchKey", "NoSuchBucket", "NoSuchVersion":
			text += ". Push the bundle again, or correct the revision's location"
		case "AccessDenied", "Forbidden":
			text += fmt.Sprintf(". This host's identity needs s3:GetObject for %s", r)
		}
		return errors.New(text)
	case errors.As(err, &network):
		return &brokenOff{fmt.Errorf("%w. S3 cannot be reached: check region, s3_endpoint_override and proxy_uri in the agent's configuration", err)}
	}
	return err
}
