// Package blob is where bundles are kept: buckets of objects, as S3 has them.
//
// Store is what every provider can do. Buckets and Multipart are abilities of those that also stand behind the S3
// endpoint. A provider passes the suite in blobtest.
package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Errors that providers wrap and callers look for with errors.Is.
var (
	ErrNoBucket       = errors.New("no such bucket")
	ErrBucketExists   = errors.New("bucket exists already")
	ErrBucketNotEmpty = errors.New("bucket is not empty")
	ErrBucketName     = errors.New("invalid bucket name")
	ErrNoKey          = errors.New("no such key")
	ErrKey            = errors.New("invalid key")
	ErrRange          = errors.New("range not satisfiable")
	ErrChecksum       = errors.New("checksum does not match")
	ErrFull           = errors.New("no space left in the bundle store")
	ErrNoUpload       = errors.New("no such upload")
	ErrPart           = errors.New("invalid part")
	ErrPartOrder      = errors.New("parts are not in ascending order")
	ErrPartTooSmall   = errors.New("part is too small")
)

// Store keeps objects. Its methods may be called by many goroutines.
//
// Every method on a bucket that does not exist returns ErrNoBucket, and with a malformed key ErrKey.
type Store interface {
	// Put stores an object, replacing the one that has the key. It reads body to io.EOF, in constant memory. If body
	// ends in another error nothing changes, and that error is returned, wrapped. attrs is read only after io.EOF, so
	// that the reader may put into it what it learns at the end, such as a checksum.
	//
	// When Put has returned, the object survives a crash of the process and of the machine.
	Put(ctx context.Context, bucket, key string, body io.Reader, attrs *Attributes) (Object, error)

	// Open returns an object and the selected bytes of it, which stay the same when the object is replaced or deleted
	// meanwhile. It returns ErrNoKey, and ErrRange together with the Object.
	Open(ctx context.Context, bucket, key string, r Range) (io.ReadCloser, Object, error)

	// Stat returns an object without its bytes, or ErrNoKey.
	Stat(ctx context.Context, bucket, key string) (Object, error)

	// Delete removes an object. It is no error if there is none.
	Delete(ctx context.Context, bucket, key string) error

	// List returns a page of the bucket's objects in byte order of their keys.
	List(ctx context.Context, bucket string, q Query) (Page, error)
}

// Buckets is the ability to manage buckets.
type Buckets interface {
	// CreateBucket returns ErrBucketExists, or ErrBucketName.
	CreateBucket(ctx context.Context, name string) error
	// DeleteBucket returns ErrBucketNotEmpty as long as there are objects. Unfinished uploads are dropped.
	DeleteBucket(ctx context.Context, name string) error
	// StatBucket returns ErrNoBucket if there is none.
	StatBucket(ctx context.Context, name string) (Bucket, error)
	// ListBuckets returns all buckets, sorted by name.
	ListBuckets(ctx context.Context) ([]Bucket, error)
}

// Multipart is the ability to receive an object in parts, each stored as durably as an object. Uploads survive a restart.
//
// Every method but CreateUpload returns ErrNoUpload if there is no such upload of that bucket and key.
type Multipart interface {
	// CreateUpload begins an upload. attrs.Checksum, if any, says by its Algorithm and Composite which checksum the object
	// will have; its Value is not known yet.
	CreateUpload(ctx context.Context, bucket, key string, attrs *Attributes) (id string, err error)
	// PutPart stores a part, replacing the one that has the number. body and attrs are as in Store.Put; of attrs only
	// the checksum counts.
	PutPart(ctx context.Context, u Upload, number int, body io.Reader, attrs *Attributes) (Part, error)
	// ListParts returns all parts, sorted by number, and what CreateUpload was given.
	ListParts(ctx context.Context, u Upload) ([]Part, Attributes, error)
	// CompleteUpload makes the listed parts into the object, and drops the others. The parts are checked by CheckParts.
	// want, if not "", is the value of the checksum that CreateUpload announced; if it is another: ErrChecksum.
	//
	// A client that got no answer asks again: while the object of an upload is there, to complete the upload once more
	// returns it, and of several calls at once all return the same.
	CompleteUpload(ctx context.Context, u Upload, parts []Part, want string) (Object, error)
	// AbortUpload drops an upload and its parts.
	AbortUpload(ctx context.Context, u Upload) error
}

// Bucket is a namespace of keys.
type Bucket struct {
	Name    string
	Created time.Time
}

// Object describes stored bytes.
type Object struct {
	Key        string    `json:"key"`
	Size       int64     `json:"size"` // bytes
	ETag       string    `json:"etag"` // without quotes: hex MD5, or hex MD5 of the parts' MD5s, "-", number of parts
	Modified   time.Time `json:"modified"`
	Upload     string    `json:"upload,omitempty"` // the id of the upload that made it, "" if it was put at once
	Attributes `json:"attributes"`
}

// Attributes are what the writer of an object says about it, given back as they are.
type Attributes struct {
	ContentType string            `json:"contentType,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`  // other standard headers: Cache-Control, Content-Encoding, ...
	Metadata    map[string]string `json:"metadata,omitempty"` // user metadata, without the prefix "x-amz-meta-"
	Checksum    *Checksum         `json:"checksum,omitempty"` // nil if the writer gave none
}

// Upload names an unfinished multipart upload.
type Upload struct{ Bucket, Key, ID string }

// Part is one part of an upload.
type Part struct {
	Number   int // 1 to MaxParts
	Size     int64
	ETag     string // hex MD5, without quotes
	Modified time.Time
	Checksum *Checksum
}

// Range selects bytes of an object: Count of them from First on, to the end if Count is 0; with a negative First the
// last -First ones. The zero Range is the whole object.
type Range struct{ First, Count int64 }

// Resolve returns the selected bytes of an object of this size, or ErrRange if there are none of them.
func (r Range) Resolve(size int64) (offset, count int64, err error) {
	switch {
	case r == Range{}:
		return 0, size, nil
	case r.First >= size, size == 0:
		return 0, 0, fmt.Errorf("%w: the object has %d bytes", ErrRange, size)
	case r.First < 0:
		offset = max(0, size+r.First)
		return offset, size - offset, nil
	case r.Count == 0:
		return r.First, size - r.First, nil
	}
	return r.First, min(r.Count, size-r.First), nil
}

// MaxKey is the length limit of a key, in bytes.
const MaxKey = 1024

// CheckKey returns ErrKey unless key is UTF-8 text of 1 to MaxKey bytes.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrKey)
	case len(key) > MaxKey:
		return fmt.Errorf("%w: it is longer than %d bytes", ErrKey, MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("%w: it is not UTF-8", ErrKey)
	}
	return nil
}

// CheckBucket returns ErrBucketName unless name follows S3's rules: 3 to 63 lower-case letters, digits, hyphens and
// dots, a letter or digit at both ends and around every dot.
func CheckBucket(name string) error {
	if len(name) < 3 || len(name) > 63 {
		return fmt.Errorf("%w: it must have 3 to 63 characters", ErrBucketName)
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("%w: %q must begin and end with a letter or digit, on both sides of a dot too", ErrBucketName, name)
		}
	}
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
		return fmt.Errorf("%w: %q may hold only lower-case letters, digits, hyphens and dots", ErrBucketName, name)
	}
	return nil
}
