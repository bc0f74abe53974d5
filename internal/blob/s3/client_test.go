package s3

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapnel/internal/blob"
)

// silentStore is a store whose server answers each connection's first request so, and then says nothing more.
func silentStore(t *testing.T, answer string) *Store {
	dial := func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		t.Cleanup(func() { far.Close() })
		go func() {
			if r, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
				io.WriteString(far, answer)
				r.Body.Close()
			}
		}()
		return near, nil
	}
	o := Options{Bucket: "external", Endpoint: "http://store.test", Region: "us-east-1", AccessKeyID: "A", SecretAccessKey: "S", Spool: t.TempDir()}
	return &Store{client: newClient(o, dial), bucket: o.Bucket, spool: o.Spool}
}

// TestSilence: a store that says nothing is reported as one that does not answer, before clients give up.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := silentStore(t, "")
		for what, call := range map[string]func() error{
			"stat": func() error { _, err := s.Stat(t.Context(), "bundles", "k", ""); return err },
			"list": func() error { _, err := s.List(t.Context(), "bundles", blob.Query{Max: 1}); return err },
			"put": func() error {
				_, err := s.Put(t.Context(), "bundles", "k", strings.NewReader("x"), &blob.Attributes{}, blob.Condition{})
				return err
			},
		} {
			start := time.Now()
			if err := call(); !errors.Is(err, blob.ErrUnavailable) || time.Since(start) > 15*time.Second {
				t.Errorf("%s: after %v got error %v", what, time.Since(start), err)
			}
		}
	})
}

// TestSilenceInBody: a download that stops ends in an error.
func TestSilenceInBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := silentStore(t, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: \"x\"\r\nLast-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\nhalf")
		body, _, err := s.Open(t.Context(), "bundles", "k", "", blob.Range{})
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		if got, err := io.ReadAll(body); err == nil || string(got) != "half" {
			t.Errorf("got %q, error %v", got, err)
		}
	})
}
