package objects

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"grapnel/internal/blob"
)

// requestRange is what a Range header asks for.
type requestRange struct {
	blob.Range
	set   bool // there was a range that counts
	empty bool // it selects nothing of any object
}

// parseRange reads one byte range. As with S3, a header that is malformed, or has several ranges, is as if not there.
func parseRange(header string) requestRange {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash {
		return requestRange{}
	}
	if first == "" {
		n, err := strconv.ParseUint(last, 10, 63)
		return requestRange{blob.Range{First: -int64(n)}, err == nil, err == nil && n == 0}
	}
	from, err := strconv.ParseUint(first, 10, 63)
	if err != nil {
		return requestRange{}
	}
	if last == "" {
		return requestRange{Range: blob.Range{First: int64(from)}, set: true}
	}
	to, err := strconv.ParseUint(last, 10, 63)
	if err != nil || to < from {
		return requestRange{}
	}
	count := max(0, int64(to-from)+1) // of as many bytes as there are numbers it would be negative: to the end
	return requestRange{Range: blob.Range{First: int64(from), Count: count}, set: true}
}

func contentRange(offset, count, size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", offset, offset+count-1, size)
}

// precondition checks the four conditional headers, whose names may have a prefix, in RFC 9110's order: errPrecondition
// or errNotModified if the object is not to be sent.
func precondition(h http.Header, prefix string, o blob.Object) error {
	modified := o.Modified.Truncate(time.Second) // as Last-Modified tells it
	if match := h.Get(prefix + "If-Match"); match != "" {
		if !matches(match, o.ETag) {
			return errPrecondition
		}
	} else if since, err := http.ParseTime(h.Get(prefix + "If-Unmodified-Since")); err == nil && modified.After(since) {
		return errPrecondition
	}
	if match := h.Get(prefix + "If-None-Match"); match != "" {
		if matches(match, o.ETag) {
			return errNotModified
		}
	} else if since, err := http.ParseTime(h.Get(prefix + "If-Modified-Since")); err == nil && !modified.After(since) {
		return errNotModified
	}
	return nil
}

// matches reports whether a list of ETags, quoted or not, holds the one.
func matches(list, etag string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		if tag = strings.Trim(strings.TrimSpace(tag), `"`); tag == "*" || tag == etag {
			return true
		}
	}
	return false
}

// writeCondition reads the conditional headers of a write. To forget one would overwrite what it protects.
func writeCondition(h http.Header) (when blob.Condition, err error) {
	switch none := h.Get("If-None-Match"); none {
	case "":
	case "*":
		when.Absent = true
	default:
		return when, notImplemented("the header if-none-match with an ETag on a write. Send *, or if-match.")
	}
	when.ETag = strings.Trim(h.Get("If-Match"), `"`)
	if when.Absent && when.ETag != "" {
		return when, invalidRequest("If-Match and If-None-Match cannot hold both.")
	}
	return when, nil
}
