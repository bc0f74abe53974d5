package sigv4

import (
	"io"
	"strings"
	"testing"
)

// BenchmarkVerify is what one request of a JSON service costs here.
func BenchmarkVerify(b *testing.B) {
	r := signedRequest(b)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.Fatal(err)
	}
	var v Verifier
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		q, err := Parse(r)
		if err == nil {
			_, err = v.Verify(q, secret, signedAt)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}
