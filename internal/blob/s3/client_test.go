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

// TestRubbish: a page that a proxy answers with, under the status of success, acknowledges nothing.
func TestRubbish(t *testing.T) {
	t.Parallel()
	const marker = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: \"x\"\r\nConnection: close\r\n\r\n"
	const page = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\nback"
	for what, call := range map[string]func(s *Store) error{
		"put": func(s *Store) error {
			_, err := s.put(t.Context(), "bundles", "k", strings.NewReader("x"), &blob.Attributes{}, blob.Condition{})
			return err
		},
		"part": func(s *Store) error {
			_, err := s.putPart(t.Context(), "k", "id", 1, strings.NewReader("x"), &blob.Attributes{})
			return err
		},
		"delete": func(s *Store) error {
			_, err := s.Delete(t.Context(), "bundles", "k", "", blob.Condition{})
			return err
		},
		"open": func(s *Store) error { _, _, err := s.Open(t.Context(), "bundles", "k", "", blob.Range{}); return err },
		"stat": func(s *Store) error { _, err := s.Stat(t.Context(), "bundles", "k", ""); return err },
	} {
		for _, answer := range []string{page, marker} {
			if answer == marker && what != "delete" {
				continue // a good answer to the question whether the bucket is there; not to a DELETE
			}
			if err := call(silentStore(t, answer)); !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("%s: got error %v", what, err)
			}
		}
	}
}
