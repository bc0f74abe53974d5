// Package blob is where bundles are kept: buckets of objects, as S3 has them.
//
// Store is what every provider can do. Buckets, Multipart and Versions are abilities of those that also stand behind the
// S3 endpoint; what one of them cannot do it refuses with errors.ErrUnsupported. A provider passes the suite in blobtest.
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
	ErrNoVersion      = errors.New("no such version")
	ErrDeleteMarker   = errors.New("the version is a delete marker, and has no bytes")
	ErrCondition      = errors.New("the condition of the write does not hold")
	ErrKey            = errors.New("invalid key")
	ErrRange          = errors.New("range not satisfiable")
	ErrChecksum       = errors.New("checksum does not match")
	ErrFull           = errors.New("no space left in the bundle store")
	ErrUnavailable    = errors.New("the bundle store does not answer")
	ErrNoUpload       = errors.New("no such upload")
	ErrPart           = errors.New("invalid part")
	ErrPartOrder      = errors.New("parts are not in ascending order")
	ErrPartTooSmall   = errors.New("part is too small")
)

// Store keeps objects. Its methods may be called by many goroutines.
//
// Every method on a bucket that does not exist returns ErrNoBucket, and with a malformed key ErrKey. Where a version is
// asked for, "" is the current object, and a version that is not there is ErrNoVersion.
type Store interface {
	// Put stores an object, replacing the one that has the key, if the condition holds (ErrCondition). It reads body to
	// io.EOF, in constant memory. If body ends in another error nothing changes, and that error is returned, wrapped.
	// attrs is read only after io.EOF, so that the reader may put into it what it learns at the end, such as a checksum.
	//
	// When Put has returned, the object survives a crash of the process and of the machine.
	Put(ctx context.Context, bucket, key string, body io.Reader, attrs *Attributes, when Condition) (Object, error)

	// Open returns an object and the selected bytes of it, which stay the same when the object is replaced or deleted
	// meanwhile. It returns ErrNoKey, and ErrRange together with the Object. Where a delete marker is the reason for
	// ErrNoKey, or the version itself (ErrDeleteMarker), the marker comes with the error.
	Open(ctx context.Context, bucket, key, version string, r Range) (io.ReadCloser, Object, error)

	// Stat returns an object without its bytes, or the errors of Open.
	Stat(ctx context.Context, bucket, key, version string) (Object, error)

	// Delete removes an object if the condition holds. It is no error if there is none. In a bucket with versions the
	// current object is replaced by a delete marker, which is returned; a version that is named is removed for good, and
	// returned.
	Delete(ctx context.Context, bucket, key, version string, when Condition) (Object, error)

	// List returns a page of the bucket's current objects in byte order of their keys. It may tell no more of them than
	// key, size, ETag and time.
	List(ctx context.Context, bucket string, q Query) (Page, error)
}

// Condition guards a write against what is there. The zero Condition always holds.
type Condition struct {
	Absent bool   // there must be no object (ErrCondition)
	ETag   string // if not "", there must be an object (ErrNoKey) and this must be its ETag (ErrCondition); "*" is any
}

// Check compares the condition with the current object; found says that there is one.
func (c Condition) Check(current Object, found bool) error {
	switch {
	case c.Absent && found:
		return fmt.Errorf("%w: the object is there already", ErrCondition)
	case c.ETag != "" && !found:
		return ErrNoKey
	case c.ETag != "" && c.ETag != "*" && c.ETag != current.ETag:
		return fmt.Errorf("%w: the object has the ETag %s", ErrCondition, current.ETag)
	}
	return nil
}

// Buckets is the ability to manage buckets.
type Buckets interface {
	// CreateBucket returns ErrBucketExists, or ErrBucketName.
	CreateBucket(ctx context.Context, name string) error
	// DeleteBucket returns ErrBucketNotEmpty as long as there are objects, or versions of them. Unfinished uploads are
	// dropped.
	DeleteBucket(ctx context.Context, name string) error
	// StatBucket returns ErrNoBucket if there is none.
	StatBucket(ctx context.Context, name string) (Bucket, error)
	// ListBuckets returns all buckets, sorted by name.
	ListBuckets(ctx context.Context) ([]Bucket, error)
}

// Versions is the ability to keep what is replaced or deleted.
type Versions interface {
	// SetVersioning turns the keeping of versions on, or off again (Suspended), which leaves those that are there.
	SetVersioning(ctx context.Context, bucket string, v Versioning) error
	// ListVersions returns a page of all versions, in byte order of their keys, and the newest first.
	ListVersions(ctx context.Context, bucket string, q VersionQuery) (VersionPage, error)
}

// Versioning says whether a bucket keeps versions.
type Versioning string

// The states of a bucket, as S3 writes them. From NeverVersioned there is no way back.
const (
	NeverVersioned Versioning = ""
	Enabled        Versioning = "Enabled"   // every write makes a version with an id of its own
	Suspended      Versioning = "Suspended" // every write makes, or replaces, the version NullVersion
)

// NullVersion is the id of what was stored while no versions were kept.
const NullVersion = "null"

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
	// ListParts returns all parts, sorted by number, and the checksum that CreateUpload was given.
	ListParts(ctx context.Context, u Upload) ([]Part, *Checksum, error)
	// CompleteUpload makes the listed parts into the object, and drops the others. The parts are checked by CheckParts.
	// want, if not "", is the value of the checksum that CreateUpload announced; if it is another: ErrChecksum. The
	// condition is that of Store.Put.
	//
	// A client that got no answer asks again: while the object of an upload is there, to complete the upload once more
	// returns it, and of several calls at once all return the same.
	CompleteUpload(ctx context.Context, u Upload, parts []Part, want string, when Condition) (Object, error)
	// ListUploads returns the bucket's unfinished uploads of keys that begin with prefix, sorted by key and age.
	ListUploads(ctx context.Context, bucket, prefix string) ([]UnfinishedUpload, error)
	// AbortUpload drops an upload and its parts.
	AbortUpload(ctx context.Context, u Upload) error
}

// Bucket is a namespace of keys.
type Bucket struct {
	Name       string
	Created    time.Time
	Versioning Versioning
}

// Object describes stored bytes.
type Object struct {
	Key        string    `json:"key"`
	Size       int64     `json:"size"` // bytes
	ETag       string    `json:"etag"` // without quotes: hex MD5, or hex MD5 of the parts' MD5s, "-", number of parts
	Modified   time.Time `json:"modified"`
	Upload     string    `json:"upload,omitempty"` // the id of the upload that made it, if one did and it is known
	Parts      []int64   `json:"parts,omitempty"`  // sizes of the parts it was made of, if it was and they are known
	Attributes `json:"attributes"`

	Version      string `json:"version,omitempty"`      // "" in a bucket that was never versioned
	DeleteMarker bool   `json:"deleteMarker,omitempty"` // no object, but the fact that it was deleted
	Latest       bool   `json:"-"`                      // of its key's versions; ListVersions alone says it
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

// UnfinishedUpload is what ListUploads tells of an upload.
type UnfinishedUpload struct {
	Upload
	Started  time.Time
	Checksum *Checksum // as CreateUpload was given it
}

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
