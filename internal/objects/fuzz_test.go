package objects

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"grapnel/internal/blob"
)

// FuzzRequest sends requests as they come from the wire, of which signatures say nothing but that somebody sent them. None
// may panic, reach the store without having been authorized for just the bucket and key that it then touches, or be
// answered with a server error.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		"GET /bundles/a?versionId=null HTTP/1.1\nHost: x\nRange: bytes=0-1\nIf-None-Match: \"x\", *",
		"GET /bundles?list-type=2&prefix=a&delimiter=/&continuation-token=YQ&max-keys=1&encoding-type=url HTTP/1.1\nHost: x",
		"GET /bundles?versions&key-marker=a&version-id-marker=null HTTP/1.1\nHost: x",
		"GET /bundles?uploads&max-uploads=1&key-marker=a&upload-id-marker=b HTTP/1.1\nHost: x",
		"PUT /bundles/b HTTP/1.1\nHost: x\nContent-Length: 5\nX-Amz-Checksum-Crc32: NhCmhg==\nX-Amz-Meta-A: b\n\nhello",
		"PUT /bundles/b HTTP/1.1\nHost: x\nX-Amz-Copy-Source: bundles/a?versionId=null\nX-Amz-Metadata-Directive: REPLACE\nIf-Match: *",
		"PUT /bundles/b?uploadId=U&partNumber=1 HTTP/1.1\nHost: x\nX-Amz-Copy-Source: /bundles/%61\nX-Amz-Copy-Source-Range: bytes=0-0",
		"PUT /bundles?versioning HTTP/1.1\nHost: x\nContent-Length: 77\n\n<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>  ",
		"POST /bundles?delete HTTP/1.1\nHost: x\nContent-Length: 76\n\n<Delete><Object><Key>a</Key><VersionId>null</VersionId></Object></Delete>    ",
		"POST /bundles/a?uploadId=U HTTP/1.1\nHost: x\nContent-Length: 91\n\n<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload> ",
		"DELETE /bundles/..%2f..%2fx HTTP/1.1\nHost: bundles.s3.test:80\nIf-Match: x",
		"HEAD //bundles/%00?partNumber=1&response-expires=%0d HTTP/1.1\nHost: .s3.test",
		"GET /bundles/a?attributes HTTP/1.1\nHost: x\nX-Amz-Object-Attributes: ETag,Checksum,ObjectParts",
	} {
		f.Add(strings.ReplaceAll(seed, "\n", "\r\n"))
	}
	e := newEndpoint(f)
	store := &touches{Store: e.store}
	e.Handler.(*handler).store = store
	f.Fuzz(func(t *testing.T, raw string) {
		if !strings.Contains(raw, "\r\n\r\n") {
			raw += "\r\n\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
		if err != nil {
			t.SkipNow()
		}
		e.actions, store.touched = nil, nil
		if _, err := e.store.Stat(t.Context(), "bundles", "a", ""); err != nil { // the one before has deleted it
			e.store.CreateBucket(t.Context(), "bundles")
			e.store.Put(t.Context(), "bundles", "a", strings.NewReader("hello"), &blob.Attributes{}, blob.Condition{})
		}
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("answered with %d: %s", w.Code, e.log)
		}
		for _, name := range store.touched {
			if !slices.ContainsFunc(e.actions, func(a string) bool { return strings.Contains(a+" ", " "+name+" ") }) {
				t.Errorf("touched %q, authorized were %q", name, e.actions)
			}
		}
		isXML := w.Header().Get("Content-Type") == "application/xml" && !strings.Contains(r.URL.RawQuery, "response-")
		if body := w.Body.Bytes(); isXML && len(body) > 0 && bytes.HasPrefix(body, []byte("<?xml")) && !wellFormed(body) {
			t.Errorf("answered with what is no XML: %q", body)
		}
	})
}

func wellFormed(document []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(document))
	for {
		switch _, err := d.Token(); err {
		case nil:
		case io.EOF:
			return true
		default:
			return false
		}
	}
}

// touches remembers which objects the store was asked about, as "BUCKET KEY".
type touches struct {
	Store
	touched []string
}

func (s *touches) touch(bucket, key string) {
	s.touched = append(s.touched, strings.TrimSpace(bucket+" "+key))
}

func (s *touches) Put(ctx context.Context, bucket, key string, body io.Reader, attrs *blob.Attributes, when blob.Condition) (blob.Object, error) {
	s.touch(bucket, key)
	return s.Store.Put(ctx, bucket, key, body, attrs, when)
}

func (s *touches) Open(ctx context.Context, bucket, key, version string, r blob.Range) (io.ReadCloser, blob.Object, error) {
	s.touch(bucket, key)
	return s.Store.Open(ctx, bucket, key, version, r)
}

func (s *touches) Stat(ctx context.Context, bucket, key, version string) (blob.Object, error) {
	s.touch(bucket, key)
	return s.Store.Stat(ctx, bucket, key, version)
}

func (s *touches) Delete(ctx context.Context, bucket, key, version string, when blob.Condition) (blob.Object, error) {
	s.touch(bucket, key)
	return s.Store.Delete(ctx, bucket, key, version, when)
}

func (s *touches) CreateUpload(ctx context.Context, bucket, key string, attrs *blob.Attributes) (string, error) {
	s.touch(bucket, key)
	return s.Store.CreateUpload(ctx, bucket, key, attrs)
}
