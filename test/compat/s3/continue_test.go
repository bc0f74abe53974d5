package s3

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"grapnel/internal/sigv4"
)

// TestContinue: "100 Continue" is sent to clients that are authenticated and may do what they ask for, and to nobody else.
func TestContinue(t *testing.T) {
	t.Parallel()
	s := startServer(t, false)
	newBucket(t, s)
	for _, tt := range []struct {
		name, secret, path string
		length             int64
		status             int
		code               string
	}{
		{"accepted", secretKey, "/bundles/k", 5, http.StatusContinue, ""},
		{"wrong secret", "wrong", "/bundles/k", 5, http.StatusForbidden, "SignatureDoesNotMatch"},
		{"no bucket", secretKey, "/absent/k", 5, http.StatusNotFound, "NoSuchBucket"},
		{"too large", secretKey, "/bundles/k", 64<<20 + 1, http.StatusBadRequest, "EntityTooLarge"},
		{"long key", secretKey, "/bundles/" + strings.Repeat("k", 1025), 5, http.StatusBadRequest, "KeyTooLongError"},
		{"unknown parameter", secretKey, "/bundles/k?x-amz-acl=x", 5, http.StatusNotImplemented, "NotImplemented"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.NewRequestWithContext(t.Context(), "PUT", s.URL+tt.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			credentials := sigv4.Credentials{AccessKeyID: accessKey, SecretAccessKey: tt.secret}
			if err := sigv4.Sign(r, credentials, region, "s3", "UNSIGNED-PAYLOAD", time.Now()); err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n", r.URL.RequestURI(), r.Host, tt.length)
			r.Header.Write(conn)
			fmt.Fprint(conn, "\r\n")

			in := bufio.NewReader(conn)
			resp, err := http.ReadResponse(in, r)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.status {
				t.Fatalf("got status %d, want %d", resp.StatusCode, tt.status)
			}
			if tt.status != http.StatusContinue {
				wantXML(t, resp, tt.code)
				return
			}
			fmt.Fprint(conn, "hello")
			if resp, err = http.ReadResponse(in, r); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("got %v, error %v", resp, err)
			}
		})
	}
}

func wantXML(t *testing.T, resp *http.Response, code string) {
	t.Helper()
	defer resp.Body.Close()
	body := new(strings.Builder)
	if _, err := bufio.NewReader(resp.Body).WriteTo(body); err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("X-Amz-Request-Id")
	if !strings.Contains(body.String(), "<Code>"+code+"</Code>") || id == "" || !strings.Contains(body.String(), "<RequestId>"+id+"<") {
		t.Errorf("got %s, want %s with request id %q", body, code, id)
	}
}
