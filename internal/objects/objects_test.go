package objects

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/blob"
	"grapnel/internal/blob/disk"
	"grapnel/internal/sigv4"
)

// endpoint is a handler on an empty store, with a record of what was to be authorized.
type endpoint struct {
	http.Handler
	store   *disk.Store
	log     *bytes.Buffer
	actions []string
	deny    func(action, key string) error
}

func newEndpoint(t testing.TB) *endpoint {
	t.Helper()
	store, err := disk.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateBucket(t.Context(), "bundles"); err != nil {
		t.Fatal(err)
	}
	e := &endpoint{store: store, log: new(bytes.Buffer)}
	e.Handler = New(store, Options{
		Region: "us-east-1", Domain: "S3.Test", MaxObject: 1 << 20, Log: slog.New(slog.NewTextHandler(e.log, nil)),
		Authorize: func(_ context.Context, a Access) error {
			e.actions = append(e.actions, strings.TrimSpace(a.Action+" "+a.Bucket+" "+a.Key+" "+a.Version))
			if e.deny != nil {
				return e.deny(a.Action, a.Key)
			}
			return nil
		},
	})
	return e
}

// do sends a request, whose headers are given as "name: value".
func (e *endpoint) do(method, url, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// code is the error name of an answer, "" if it is none.
func code(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code < 300 {
		return ""
	}
	var answer struct{ Code, RequestId string }
	if err := xml.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v in %d %q", err, w.Code, w.Body)
	}
	if answer.RequestId == "" || answer.RequestId != w.Header().Get("X-Amz-Request-Id") {
		t.Errorf("request id %q in the document, %q in the header", answer.RequestId, w.Header().Get("X-Amz-Request-Id"))
	}
	return answer.Code
}

func TestActions(t *testing.T) {
	t.Parallel()
	const up = "?uploadId=X&partNumber=1"
	for _, tt := range []struct{ method, url, want string }{
		{"GET", "/", "s3:ListAllMyBuckets"},
		{"PUT", "/other", "s3:CreateBucket other"},
		{"DELETE", "/other", "s3:DeleteBucket other"},
		{"HEAD", "/bundles/", "s3:ListBucket bundles"},
		{"GET", "/bundles?location", "s3:GetBucketLocation bundles"},
		{"GET", "/bundles?list-type=2&prefix=a", "s3:ListBucket bundles"},
		{"GET", "/bundles?marker=a", "s3:ListBucket bundles"},
		{"PUT", "/bundles/a/b", "s3:PutObject bundles a/b"},
		{"GET", "/bundles//a%2Fb%20c", "s3:GetObject bundles /a/b c"},
		{"HEAD", "/bundles/a/", "s3:GetObject bundles a/"},
		{"DELETE", "/bundles/a", "s3:DeleteObject bundles a"},
		{"GET", "/bundles/a?tagging", "s3:GetObjectTagging bundles a"},
		{"GET", "/bundles?versioning", "s3:GetBucketVersioning bundles"},
		{"PUT", "/bundles?versioning", "s3:PutBucketVersioning bundles"},
		{"GET", "/bundles?versions&prefix=a", "s3:ListBucketVersions bundles"},
		{"GET", "/bundles?uploads", "s3:ListBucketMultipartUploads bundles"},
		{"GET", "/bundles/a?versionId=V", "s3:GetObjectVersion bundles a V"},
		{"HEAD", "/bundles/a?versionId=V", "s3:GetObjectVersion bundles a V"},
		{"DELETE", "/bundles/a?versionId=V", "s3:DeleteObjectVersion bundles a V"},
		{"GET", "/bundles/a?tagging&versionId=V", "s3:GetObjectVersionTagging bundles a V"},
		{"GET", "/bundles/a?attributes", "s3:GetObjectAttributes bundles a"},
		{"GET", "/bundles/a?attributes&versionId=V", "s3:GetObjectVersionAttributes bundles a V"},
		{"POST", "/bundles/a?uploads", "s3:PutObject bundles a"},
		{"PUT", "/bundles/a" + up, "s3:PutObject bundles a"},
		{"POST", "/bundles/a?uploadId=X", "s3:PutObject bundles a"},
		{"GET", "/bundles/a?uploadId=X", "s3:ListMultipartUploadParts bundles a"},
		{"DELETE", "/bundles/a?uploadId=X", "s3:AbortMultipartUpload bundles a"},
		{"GET", "http://bundles.s3.test:8700/a/b", "s3:GetObject bundles a/b"},
		{"GET", "http://BUNDLES.S3.TEST/", "s3:ListBucket bundles"},
		{"GET", "http://s3.test/bundles/a", "s3:GetObject bundles a"},
		{"GET", "http://xs3.test/bundles/a", "s3:GetObject bundles a"},
		{"GET", "http://[::1]:8700/bundles/a", "s3:GetObject bundles a"},
	} {
		t.Run(tt.method+tt.url, func(t *testing.T) {
			t.Parallel()
			e := newEndpoint(t)
			e.deny = func(string, string) error { return fmt.Errorf("no policy allows it: %w", ErrDenied) }
			w := e.do(tt.method, tt.url, "x")
			if diff := cmp.Diff([]string{tt.want}, e.actions); diff != "" || w.Code != http.StatusForbidden {
				t.Errorf("status %d, actions (-want +got):\n%s", w.Code, diff)
			}
		})
	}
}

func TestNotThere(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	for _, tt := range []struct{ method, url, header, want string }{
		{"PUT", "/bundles?policy", "", "NotImplemented"},
		{"GET", "/bundles?acl", "", "NotImplemented"},
		{"GET", "/bundles?uploads&delimiter=/", "", "NotImplemented"},
		{"PUT", "/bundles/k", "X-Amz-Acl: public-read", "NotImplemented"},
		{"PUT", "/bundles/k", "X-Amz-Storage-Class: GLACIER", "NotImplemented"},
		{"PUT", "/bundles/k?tagging", "", "NotImplemented"},
		{"POST", "/bundles/k?select&select-type=2", "", "NotImplemented"},
		{"PATCH", "/bundles/k", "", "MethodNotAllowed"},
		{"PUT", "/", "", "MethodNotAllowed"},
		{"PUT", "/bundles/k", "X-Amz-Server-Side-Encryption-Customer-Key: x", "NotImplemented"},
	} {
		if got := code(t, e.do(tt.method, tt.url, "", tt.header)); got != tt.want {
			t.Errorf("%s %s %s: got %q, want %q", tt.method, tt.url, tt.header, got, tt.want)
		}
	}
	if len(e.actions) > 0 {
		t.Errorf("authorized: %v", e.actions)
	}
}

func TestBadUploads(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	for _, tt := range []struct{ name, url, body, header, want string }{
		{"too large", "/bundles/k", strings.Repeat("x", 1<<20+1), "", "EntityTooLarge"},
		{"long key", "/bundles/" + strings.Repeat("k", 1025), "", "", "KeyTooLongError"},
		{"not UTF-8", "/bundles/%ff", "", "", "InvalidURI"},
		{"metadata", "/bundles/k", "", "X-Amz-Meta-A: " + strings.Repeat("x", 2048), "MetadataTooLarge"},
		{"no MD5", "/bundles/k", "", "Content-Md5: x", "InvalidDigest"},
		{"wrong MD5", "/bundles/k", "x", "Content-Md5: 1B2M2Y8AsgTpgAmY7PhCfg==", "BadDigest"},
		{"no checksum", "/bundles/k", "x", "X-Amz-Checksum-Sha1: x", "InvalidRequest"},
		{"wrong checksum", "/bundles/k", "x", "X-Amz-Checksum-Crc32: AAAAAA==", "BadDigest"},
		{"unknown checksum", "/bundles/k", "x", "X-Amz-Checksum-Xxhash128: AAAAAA==", "InvalidRequest"},
		{"trailer missing", "/bundles/k", "x", "X-Amz-Trailer: x-amz-checksum-crc32", "BadDigest"},
		{"unknown trailer", "/bundles/k", "x", "X-Amz-Trailer: x-amz-meta-a", "InvalidRequest"},
		{"no bucket", "/absent/k", "x", "", "NoSuchBucket"},
		{"part 0", "/bundles/k?uploadId=X&partNumber=0", "x", "", "InvalidArgument"},
		{"no upload", "/bundles/k?uploadId=X&partNumber=1", "x", "", "NoSuchUpload"},
		{"condition on other", "/bundles/k", "x", "If-None-Match: x", "NotImplemented"},
		{"match of nothing", "/bundles/k", "x", "If-Match: x", "NoSuchKey"},
		{"copy of nothing", "/bundles/k", "", "X-Amz-Copy-Source: bundles", "InvalidArgument"},
	} {
		if got := code(t, e.do("PUT", tt.url, tt.body, tt.header)); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	page, err := e.store.List(t.Context(), "bundles", blob.Query{Max: 10})
	if err != nil || len(page.Objects) > 0 {
		t.Errorf("stored: %+v, error %v", page.Objects, err)
	}
}

// TestUnannouncedLength: the limit holds for a body whose length is not known before.
func TestUnannouncedLength(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("PUT", "/bundles/k", io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), strings.NewReader("x")))
	if r.ContentLength != -1 {
		t.Fatalf("the length %d is known", r.ContentLength)
	}
	w := httptest.NewRecorder()
	newEndpoint(t).ServeHTTP(w, r)
	if got := code(t, w); got != "EntityTooLarge" {
		t.Errorf("got %s", got)
	}
}

func TestBadXML(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	many := "<Delete>" + strings.Repeat("<Object><Key>k</Key></Object>", 1001) + "</Delete>"
	large := "<Delete>" + strings.Repeat(" ", 1<<20) + "</Delete>"
	part := "<Part><PartNumber>10000</PartNumber><ETag>&quot;" + strings.Repeat("e", 32) + "&quot;</ETag><ChecksumSHA256>" +
		strings.Repeat("c", 44) + "</ChecksumSHA256></Part>"
	parts := "<CompleteMultipartUpload>" + strings.Repeat(part, blob.MaxParts) + "</CompleteMultipartUpload>"
	for _, tt := range []struct{ method, url, body, want string }{
		{"POST", "/bundles/k?uploadId=X", parts, "NoSuchUpload"},
		{"POST", "/bundles?delete", "", "MalformedXML"},
		{"POST", "/bundles?delete", "<Delete>", "MalformedXML"},
		{"POST", "/bundles?delete", "<Delete/>", "MalformedXML"},
		{"POST", "/bundles?delete", "<Other><Object><Key>k</Key></Object></Other>", "MalformedXML"},
		{"POST", "/bundles?delete", many, "MalformedXML"},
		{"POST", "/bundles?delete", large, "EntityTooLarge"},
		{"POST", "/absent?delete", "<Delete><Object><Key>k</Key></Object></Delete>", "NoSuchBucket"},
		{"POST", "/bundles/k?uploadId=X", "", "MalformedXML"},
		{"POST", "/bundles/k?uploadId=X", "<CompleteMultipartUpload/>", "NoSuchUpload"},
		{"PUT", "/other", "not XML", "MalformedXML"},
		{"PUT", "/other", "<CreateBucketConfiguration><LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>", "IllegalLocationConstraintException"},
		{"PUT", "/bundles", "<CreateBucketConfiguration><LocationConstraint>us-east-1</LocationConstraint></CreateBucketConfiguration>", ""},
		{"PUT", "/bundles", "", ""},
	} {
		if got := code(t, e.do(tt.method, tt.url, tt.body)); got != tt.want {
			t.Errorf("%s %s %.60s: got %q, want %q", tt.method, tt.url, tt.body, got, tt.want)
		}
	}
}

// TestDeleteObjects: each key is authorized by itself, and one that is refused keeps no other from being deleted.
func TestDeleteObjects(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	for _, key := range []string{"a", "b"} {
		e.do("PUT", "/bundles/"+key, "x")
	}
	e.actions = nil
	e.deny = func(_, key string) error {
		if key == "a" {
			return ErrDenied
		}
		return nil
	}
	w := e.do("POST", "/bundles?delete", `<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object>`+
		`<Object><Key>b</Key></Object><Object><Key>c</Key><VersionId>1</VersionId></Object></Delete>`)
	var answer struct {
		Deleted []struct{ Key string }
		Error   []struct{ Key, Code string }
	}
	if err := xml.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(answer); got != "{[{b} {c}] [{a AccessDenied}]}" {
		t.Errorf("got %s", got)
	}
	if diff := cmp.Diff([]string{"s3:DeleteObject bundles a", "s3:DeleteObject bundles b", "s3:DeleteObjectVersion bundles c 1"}, e.actions); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// TestInternalError: the client learns the request id and nothing of the inside, the log has both.
func TestInternalError(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	e.deny = func(string, string) error { return errors.New("secret detail") }
	w := e.do("GET", "/bundles/k", "")
	if got := code(t, w); got != "InternalError" || w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if log := e.log.String(); !strings.Contains(log, "secret detail") || !strings.Contains(log, w.Header().Get("X-Amz-Request-Id")) {
		t.Errorf("logged %q", log)
	}
	w = e.do("HEAD", "/bundles/k", "")
	if w.Code != 500 || w.Body.Len() > 0 {
		t.Errorf("HEAD: got %d %s", w.Code, w.Body)
	}
}

// TestBrokenConnection: a body that ends early is not stored.
func TestBrokenConnection(t *testing.T) {
	t.Parallel()
	e := newEndpoint(t)
	for want, err := range map[string]error{
		"IncompleteBody":            io.ErrUnexpectedEOF,
		"SignatureDoesNotMatch":     sigv4.Errorf(sigv4.BadSignature, "x"),
		"XAmzContentSHA256Mismatch": sigv4.Errorf(sigv4.BadDigest, "x"),
	} {
		r := httptest.NewRequest("PUT", "/bundles/k", io.MultiReader(strings.NewReader("x"), failing{err}))
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		if got := code(t, w); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if w := e.do("HEAD", "/bundles/k", ""); w.Code != http.StatusNotFound {
		t.Errorf("HEAD: got %d", w.Code)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestWriteError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		problem   sigv4.Problem
		presigned bool
		status    int
		want      string
	}{
		{sigv4.Missing, false, 403, "AccessDenied"},
		{sigv4.Incomplete, false, 400, "AuthorizationHeaderMalformed"},
		{sigv4.Incomplete, true, 400, "AuthorizationQueryParametersError"},
		{sigv4.UnknownKey, false, 403, "InvalidAccessKeyId"},
		{sigv4.BadToken, false, 400, "InvalidToken"},
		{sigv4.ExpiredToken, false, 400, "ExpiredToken"},
		{sigv4.HeaderNotSigned, false, 403, "AccessDenied"},
		{sigv4.Skewed, false, 403, "RequestTimeTooSkewed"},
		{sigv4.Expired, true, 403, "AccessDenied"},
		{sigv4.BadSignature, false, 403, "SignatureDoesNotMatch"},
	} {
		w := httptest.NewRecorder()
		err := &sigv4.Error{Problem: tt.problem, Presigned: tt.presigned, Text: "<why>"}
		WriteError(w, httptest.NewRequest("GET", "/bundles/k", nil), fmt.Errorf("verify: %w", err))
		if got := code(t, w); got != tt.want || w.Code != tt.status || !strings.Contains(w.Body.String(), "&lt;why&gt;") {
			t.Errorf("problem %d: got %d %s, want %d %s", tt.problem, w.Code, w.Body, tt.status, tt.want)
		}
	}
}

// TestForm: an upload by an HTML form, whose signature is not where those of other requests are, is not taken for one that
// has none.
func TestForm(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]string{"Multipart/form-data; boundary=x": "NotImplemented", "application/xml": "AccessDenied"} {
		r := httptest.NewRequest("POST", "/bundles", nil)
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		WriteError(w, r, sigv4.Errorf(sigv4.Missing, "x"))
		if got := code(t, w); got != want {
			t.Errorf("%s: got %s, want %s", contentType, got, want)
		}
	}
}

func TestParseRange(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]requestRange{
		"": {}, "bytes=": {}, "bytes=-": {}, "bytes=a-b": {}, "bytes=5-4": {}, "bytes=0-1,3-4": {}, "lines=0-1": {}, "bytes=--1": {},
		"bytes=0-0":                   {Range: blob.Range{Count: 1}, set: true},
		"bytes=0-":                    {set: true},
		"bytes=5-9":                   {Range: blob.Range{First: 5, Count: 5}, set: true},
		"bytes=-5":                    {Range: blob.Range{First: -5}, set: true},
		"bytes=-0":                    {set: true, empty: true},
		"bytes=0-9999999999999999999": {},
		"bytes=0-9223372036854775807": {set: true},
		"bytes=5-9223372036854775807": {Range: blob.Range{First: 5, Count: 1<<63 - 5}, set: true},
	} {
		if got := parseRange(header); got != want {
			t.Errorf("%q: got %+v, want %+v", header, got, want)
		}
	}
}
