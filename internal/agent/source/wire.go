package source

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Wire is next with a record of every request and reply in w (log_aws_wire): first lines and headers, no bodies, and
// nothing that could be used to sign or to log in. Each call of w.Write brings one request or one reply; calls overlap when
// requests do.
func Wire(next http.RoundTripper, w io.Writer) http.RoundTripper { return &wire{next: next, w: w} }

type wire struct {
	next  http.RoundTripper
	w     io.Writer
	count atomic.Int64 // numbers the requests, to tell which reply is whose
}

// RoundTrip implements [http.RoundTripper].
func (t *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	number, begun := t.count.Add(1), time.Now()
	t.write(number, "> ", r.Method+" "+harmless(r.URL), r.Header)
	response, err := t.next.RoundTrip(r)
	after := time.Since(begun).Round(time.Millisecond)
	if err != nil {
		t.write(number, "< ", fmt.Sprintf("no reply after %v: %v", after, withoutURL(err)), nil)
		return nil, err
	}
	t.write(number, "< ", fmt.Sprintf("%s %s after %v", response.Proto, response.Status, after), response.Header)
	return response, nil
}

// CloseIdleConnections passes on what [http.Client] asks for.
func (t *wire) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// write leaves its own failures alone: a full log must not stop a deployment.
func (t *wire) write(number int64, mark, first string, h http.Header) {
	var b strings.Builder
	line := func(text string) { fmt.Fprintf(&b, "%d %s%s\n", number, mark, text) }
	line(first)
	names := make([]string, 0, len(h))
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for _, value := range h[name] {
			line(name + ": " + harmlessHeader(name, value))
		}
	}
	io.WriteString(t.w, b.String()) //nolint:errcheck // see above
}

const redacted = "REDACTED"

// isSecret recognises the names of headers and of a query's parameters whose values open doors.
func isSecret(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, "token") || strings.HasSuffix(name, "key") || name == "sig" ||
		slices.ContainsFunc([]string{"auth", "signature", "credential", "secret", "password", "cookie"}, func(part string) bool {
			return strings.Contains(name, part)
		})
}

func harmlessHeader(name, value string) string {
	if isSecret(name) {
		return redacted
	}
	if name == "Location" || name == "Referer" {
		if u, err := url.Parse(value); err == nil {
			return harmless(u)
		}
		return redacted
	}
	return value
}

// harmless is an address without passwords.
func harmless(u *url.URL) string {
	query := u.Query()
	for name, values := range query {
		if isSecret(name) {
			for i := range values {
				values[i] = redacted
			}
		}
	}
	shown := *u
	if shown.RawQuery != "" {
		shown.RawQuery = query.Encode()
	}
	return shown.Redacted()
}
