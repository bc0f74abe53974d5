// Package s3 drives the S3 endpoint with the clients that people have: the AWS SDK for Go, boto3 and the aws CLI, over
// plain HTTP and over TLS (botocore sends checksums in trailers only there).
package s3

import (
	"context"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"grapnel/internal/blob/disk"
	"grapnel/internal/objects"
	"grapnel/internal/sigv4"
)

const (
	accessKey = "AKIAGRAPNELTEST00001"
	secretKey = "a/secret+with=odd characters"
	region    = "eu-west-1"
	domain    = "s3.test"
)

// server puts the parts together as the real one does: parse, look the key up, verify, serve.
type server struct {
	*httptest.Server
	caFile   string // "" without TLS
	verifier sigv4.Verifier
	objects  http.Handler

	mu      sync.Mutex
	payload map[string]bool // values of X-Amz-Content-Sha256 that came
	denied  string          // action that is refused
}

func startServer(t testing.TB, tls bool) *server {
	t.Helper()
	store, err := disk.Open(filepath.Join(t.TempDir(), "store"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{payload: map[string]bool{}}
	s.objects = objects.New(store, objects.Options{
		Region: region, Domain: domain, MaxObject: 64 << 20, Authorize: s.authorize,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if !tls {
		s.Server = httptest.NewServer(s)
	} else {
		s.Server = httptest.NewTLSServer(s)
		s.caFile = filepath.Join(t.TempDir(), "ca.pem")
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		if err := os.WriteFile(s.caFile, ca, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.payload[r.Header.Get("X-Amz-Content-Sha256")] = true
	s.mu.Unlock()
	verified, err := s.verify(r)
	if err != nil {
		objects.WriteError(w, r, err)
		return
	}
	s.objects.ServeHTTP(w, verified)
}

func (s *server) verify(r *http.Request) (*http.Request, error) {
	q, err := sigv4.Parse(r)
	if err != nil {
		return nil, err
	}
	if q.Scope.AccessKeyID != accessKey {
		return nil, sigv4.Errorf(sigv4.UnknownKey, "The AWS access key ID you provided does not exist in our records.")
	}
	return s.verifier.Verify(q, secretKey, time.Now())
}

func (s *server) authorize(_ context.Context, a objects.Access) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Action == s.denied {
		return objects.ErrDenied
	}
	return nil
}

// deny makes the server refuse an action from now on.
func (s *server) deny(action string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = action
}

// saw reports whether a request had this X-Amz-Content-Sha256, so that a test knows that it has tested it.
func (s *server) saw(payload string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.payload[payload]
}

// environ is what a client needs to know, and nothing of the user's own configuration.
func (s *server) environ() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + s.URL, "AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey,
		"AWS_DEFAULT_REGION=" + region, "AWS_CONFIG_FILE=/nonexistent", "AWS_SHARED_CREDENTIALS_FILE=/nonexistent",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	if s.caFile != "" {
		env = append(env, "AWS_CA_BUNDLE="+s.caFile)
	}
	return env
}

// bothTransports runs a test over plain HTTP and over TLS.
func bothTransports(t *testing.T, test func(*testing.T, *server)) {
	t.Parallel()
	for _, name := range []string{"http", "https"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, startServer(t, name == "https"))
		})
	}
}

// text is n bytes that differ from place to place.
func text(n int) string { return strings.Repeat("0123456789abcdef-", n/17+1)[:n] }

// writeMegabytes makes a file of some MiB.
func writeMegabytes(file, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text(n<<20)), 0o600)
}
