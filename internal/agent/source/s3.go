package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"grapnel/internal/backoff"
)

// fromS3 writes an object to path. It is the object that the revision means, or an error: the version and the ETag of the
// revision are required of it, and every later request wants the object of the first.
func (s *Source) fromS3(ctx context.Context, object S3, path string) (Result, error) {
	file, err := s.create(path)
	if err != nil {
		return Result{}, err
	}
	defer file.file.Close()
	d := download{source: s, object: object, bucket: s.bucket(object.Bucket), target: file}
	if err := d.run(ctx); err != nil {
		return Result{}, fmt.Errorf("cannot download %s: %w", object, err)
	}
	return Result{ETag: unquoted(d.etag), Bytes: d.size}, file.finish()
}

// download is one object on its way to a file.
//
//	one stream     |======>                           |   first reply accepted: ETag, checksum, room
//	after a second |==========>                       |   much is still missing: the rest is divided
//	four streams   |=============>|===>  |===>  |===> |   each resumes at the byte where it broke off
//
// The first stream carries on with the reply that it has. A download that takes less than a second never divides: on a fast
// network a second stream only costs time, and the end of a small bundle is near.
type download struct {
	source *Source
	object S3
	bucket bucket
	target *target

	// Of the first reply; later ones only read them.
	etag   string
	size   int64 // -1 when the store does not say
	sum    *checksum
	ranges bool // the store serves parts

	undivided bool // do not divide: the store served something else than the part it was asked for
}

// startOver is a failure after which what has come is worth nothing.
type startOver struct{ err error }

// Error tells what happened.
func (s *startOver) Error() string { return s.err.Error() }

// Unwrap makes the cause visible.
func (s *startOver) Unwrap() error { return s.err }

const (
	// downloadTries is how often a stream is tried, counted anew whenever it got further.
	downloadTries = 4
	// beginnings is how often an object is begun: one that is replaced all the time cannot be had.
	beginnings = 4
	// streams is into how many a slow download is divided.
	streams = 4
	// dividedAfter and dividedFrom say when that is worth it: it takes longer than this, and so many bytes are missing.
	dividedAfter = time.Second
	dividedFrom  = 16 << 20
)

var downloadPauses = backoff.Exponential{First: 300 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.25}

func (d *download) run(ctx context.Context) error {
	for begun := 1; ; begun++ {
		err := d.whole(ctx)
		var again *startOver
		if !errors.As(err, &again) || begun == beginnings || ctx.Err() != nil {
			return err
		}
		d.undivided = true
		d.source.Log.Warn("a download begins anew", slog.String("bundle", d.object.String()), slog.Any("error", err))
	}
}

// whole downloads the object from its first byte on.
func (d *download) whole(ctx context.Context) error {
	d.etag, d.size, d.sum = "", -1, nil
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return unbroken(func() error { return d.first(ctx, group) }) })
	if err := group.Wait(); err != nil {
		return err
	}
	return d.sum.check(d.target.file, d.size)
}

// unbroken turns a panic into an error: in a goroutine of its own nobody else could, and it would end the agent.
func unbroken(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a defect of the agent broke the download off: %v\n%s", p, debug.Stack())
		}
	}()
	return fn()
}

// span is what one stream brings: the bytes from next up to end.
type span struct{ next, end int64 }

// first is the stream that every download starts with.
func (d *download) first(ctx context.Context, group *errgroup.Group) error {
	s := span{}
	begun, divided := time.Now(), d.undivided
	return d.stream(ctx, &s, func(piece []byte) {
		d.sum.add(piece)
		if !divided && d.ranges && s.end-s.next >= dividedFrom && time.Since(begun) >= dividedAfter {
			divided = true
			d.divide(ctx, group, &s)
		}
	})
}

// divide leaves a stream a share of what it has yet to bring, and starts others for the rest.
func (d *download) divide(ctx context.Context, group *errgroup.Group, s *span) {
	share := (s.end - s.next) / streams
	for range streams - 1 {
		other := span{s.end - share, s.end}
		s.end = other.next
		group.Go(func() error {
			return unbroken(func() error { return d.stream(ctx, &other, func([]byte) {}) })
		})
	}
}

// stream brings a span, with several tries. came is told of every piece.
func (d *download) stream(ctx context.Context, s *span, came func(piece []byte)) error {
	for try := 1; ; try++ {
		before := s.next
		err := d.request(ctx, s, came)
		var broken *brokenOff
		if !errors.As(err, &broken) || ctx.Err() != nil {
			return whyEnded(ctx, err)
		}
		if s.next > before {
			try = 1
		}
		if try == downloadTries {
			return err
		}
		d.source.Log.Warn("a download broke off and is tried again", slog.String("bundle", d.object.String()),
			slog.Int64("at_byte", s.next), slog.Any("error", err))
		if err := backoff.Sleep(ctx, downloadPauses.Pause(try)); err != nil {
			return err
		}
	}
}

// request brings what is missing of a span, as far as the connection carries.
func (d *download) request(ctx context.Context, s *span, came func(piece []byte)) error {
	ctx, dog := watch(ctx, d.source.Stalled)
	defer dog.stop()
	response, err := d.get(ctx, s)
	if err != nil {
		return whyEnded(ctx, err)
	}
	defer response.Body.Close()
	dog.heard()
	if s.next == 0 {
		err = d.begin(response, s)
	} else {
		err = d.resume(response, s)
	}
	if err != nil {
		return err
	}
	err = pour(response.Body, d.target, &s.next, func(piece []byte) bool {
		dog.heard()
		came(piece)
		return d.size < 0 || s.next < s.end
	})
	return d.ended(s, whyEnded(ctx, err))
}

// get asks for the whole object, or from s.next on. The region of a bucket elsewhere is learnt from the first answer.
func (d *download) get(ctx context.Context, s *span) (*http.Response, error) {
	wanted := http.Header{}
	if s.next > 0 {
		wanted.Set("Range", fmt.Sprintf("bytes=%d-%d", s.next, s.end-1))
		wanted.Set("If-Match", d.etag)
	}
	response, err := d.bucket.get(ctx, d.object, wanted)
	var moved *elsewhere
	if s.next == 0 && errors.As(err, &moved) {
		d.source.Log.Info("the bucket is in another region", slog.String("bundle", d.object.String()), slog.String("region", moved.region))
		d.bucket.region = moved.region
		response, err = d.bucket.get(ctx, d.object, wanted)
	}
	return response, err
}

// begin looks at the reply with the whole object before any of it is written: is it the one that the revision names, and is
// there room for it? The reply tells as much as a HEAD request would, about the very object that follows.
func (d *download) begin(response *http.Response, s *span) error {
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the store was asked for the object and sent a part of it (%s)", response.Status)
	}
	d.etag, d.size = response.Header.Get("Etag"), response.ContentLength
	if want, got := unquoted(d.object.ETag), unquoted(d.etag); want != "" && want != got {
		return fmt.Errorf("the object has the ETag %q and the revision wants %q: the bundle was replaced after the revision was registered. "+
			"Push it again, or register the revision again", got, want)
	}
	d.sum = newChecksum(response.Header)
	d.ranges = response.Header.Get("Accept-Ranges") == "bytes" && isStrong(d.etag)
	s.end = d.size
	return d.target.begin(d.size)
}

// resume sees that a reply is the part that was asked for.
func (d *download) resume(response *http.Response, s *span) error {
	want := fmt.Sprintf("bytes %d-%d/", s.next, s.end-1)
	if got := response.Header.Get("Content-Range"); response.StatusCode != http.StatusPartialContent || !strings.HasPrefix(got, want) {
		return &startOver{fmt.Errorf("the store was asked for %s%s and sent %q (%s)", want, strconv.FormatInt(d.size, 10), got, response.Status)}
	}
	return nil
}

// ended tells whether a stream has brought its span, after its reply has ended with err.
func (d *download) ended(s *span, err error) error {
	var broken *brokenOff
	switch {
	case err == nil && d.size < 0:
		d.size = s.next // the store did not say, and closed the body in good order
		return nil
	case err == nil && s.next >= s.end:
		return nil
	case err == nil:
		err = &brokenOff{fmt.Errorf("the connection was closed after %d of %d bytes", s.next, s.end)}
	}
	if errors.As(err, &broken) && s.next > 0 && (d.size < 0 || !isStrong(d.etag)) {
		return &startOver{err} // nothing could tell that the rest belongs to it
	}
	return err
}

func unquoted(etag string) string { return strings.Trim(etag, `"`) }

// isStrong tells whether an ETag stands for exactly these bytes.
func isStrong(etag string) bool { return etag != "" && !strings.HasPrefix(etag, "W/") }
