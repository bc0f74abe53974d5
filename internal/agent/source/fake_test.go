package source

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"grapnel/internal/bundle"
	"grapnel/internal/sigv4"
)

// The fakes are servers, not mocks: real requests cross a connection, because what goes wrong with a download goes wrong
// there.

// store is an S3 endpoint that believes signed requests only.
type store struct {
	t testing.TB

	mu       sync.Mutex
	objects  map[string]*object // by "bucket/key"
	requests []*http.Request
	// intercept sees every request before it is served; true means that it has answered.
	intercept func(w http.ResponseWriter, r *http.Request, number int) bool
}

type object struct {
	data    []byte
	headers map[string]string // beside the ETag
}

func (o *object) etag() string {
	sum := md5.Sum(o.data)
	return hex.EncodeToString(sum[:])
}

const (
	testKey    = "AKIAIOSFODNN7EXAMPLE"
	testSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)

type staticKeys struct{}

func (staticKeys) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: testKey, SecretAccessKey: testSecret, SessionToken: "session-token"}, nil
}

func newStore(t testing.TB) *store { return &store{t: t, objects: map[string]*object{}} }

func (s *store) put(name string, data []byte, headers ...string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &object{data: data, headers: map[string]string{}}
	for i := 0; i < len(headers); i += 2 {
		o.headers[headers[i]] = headers[i+1]
	}
	s.objects[name] = o
	return o
}

// start serves the store over real connections and returns what fetches from it.
func (s *store) start(o Options) *Source {
	server := httptest.NewServer(s)
	s.t.Cleanup(server.Close)
	s.t.Cleanup(server.CloseClientConnections)
	o.S3Endpoint = server.URL
	return s.source(o)
}

func (s *store) source(o Options) *Source {
	o.Region, o.Credentials = "eu-west-1", staticKeys{}
	return New(o)
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	number, intercept := len(s.requests), s.intercept
	s.mu.Unlock()
	s.verify(r)
	if intercept != nil && intercept(w, r, number) {
		return
	}
	s.serve(w, r)
}

// verify checks a signature at the time that it names itself: in a synctest bubble clocks stand apart.
func (s *store) verify(r *http.Request) {
	signed, err := sigv4.Parse(r)
	if err != nil {
		s.t.Errorf("%s is not signed: %v", r.URL, err)
		return
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		s.t.Errorf("X-Amz-Date: %v", err)
		return
	}
	if _, err := new(sigv4.Verifier).Verify(signed, testSecret, at); err != nil {
		s.t.Errorf("the signature of %s is wrong: %v", r.URL, err)
	}
	for _, name := range []string{"host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} {
		if !signed.Signed(name) {
			s.t.Errorf("%s is not signed", name)
		}
	}
}

func (s *store) find(r *http.Request) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[strings.TrimPrefix(r.URL.Path, "/")]
}

func (s *store) serve(w http.ResponseWriter, r *http.Request) {
	o := s.find(r)
	if o == nil {
		refuse(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	w.Header().Set("ETag", strconv.Quote(o.etag()))
	for name, value := range o.headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "binary/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(o.data))
}

// breakOff sends a reply up to a byte of the object, and drops the connection.
func (s *store) breakOff(w http.ResponseWriter, r *http.Request, upTo int64) {
	recorder := httptest.NewRecorder()
	s.serve(recorder, r)
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	from := int64(0)
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	w.Write(recorder.Body.Bytes()[:upTo-from])
	http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// seen returns a header of every request.
func (s *store) seen(header string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	values := make([]string, len(s.requests))
	for i, r := range s.requests {
		values[i] = r.Header.Get(header)
	}
	return values
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// random returns bytes that are the same in every run.
func random(n int) []byte {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(data)
	return data
}

// fetched fetches to a new folder. It fails the test unless the bundle is there after success and nothing after an error.
func fetched(t testing.TB, s *Source, r Revision) (Result, []byte, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "bundle.tar")
	result, err := s.Fetch(t.Context(), r, path, filepath.Join(dir, "archive"))
	if err != nil {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s is left after the error %v", left[0].Name(), err)
		}
		return result, nil, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if result.Bytes != int64(len(data)) {
		t.Errorf("Bytes = %d, the bundle has %d", result.Bytes, len(data))
	}
	return result, data, nil
}

// wantBundle fails the test unless a fetch brings exactly these bytes.
func wantBundle(t testing.TB, s *Source, r Revision, want []byte) Result {
	t.Helper()
	result, got, err := fetched(t, s, r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived that are not the %d of the bundle", len(got), len(want))
	}
	return result
}

// wantError fails the test unless a fetch fails with an error that holds all of these texts.
func wantError(t testing.TB, s *Source, r Revision, texts ...string) {
	t.Helper()
	_, _, err := fetched(t, s, r)
	if err == nil {
		t.Fatalf("%s was fetched; want an error with %q", r, texts)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error = %v; want it to hold %q", err, text)
		}
	}
}

func inS3(bucket, key string) Revision {
	return Revision{S3: &S3{Bucket: bucket, Key: key, Type: bundle.Tar}}
}

// logText is a log to look into.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// memory is a network for synctest bubbles, where time passes only while everybody waits, which sockets hide.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
}

// serveInBubble serves over a memory and returns a client for it, whatever address it asks for.
func serveInBubble(t *testing.T, h http.Handler) *http.Client {
	m := memory{make(chan net.Conn), make(chan struct{})}
	server := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go server.Serve(m)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		mine, theirs := net.Pipe()
		select {
		case m.conns <- theirs:
			return mine, nil
		case <-m.closed:
			return nil, io.ErrClosedPipe
		}
	}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return &http.Client{Transport: transport}
}

func (m memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m memory) Close() error {
	close(m.closed)
	return nil
}

func (m memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }
