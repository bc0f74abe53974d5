package sigv4

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The documentation of S3 prints two whole uploads of 65 KiB of "a", one with chunk signatures, one with a signed trailer
// as well.
const docSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

var docTime = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)

func docRequest(t testing.TB, payload, signature string, extra http.Header, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("PUT", "http://s3.amazonaws.com/examplebucket/chunkObject.txt", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{
		"X-Amz-Date":                   {"20130524T000000Z"},
		"X-Amz-Storage-Class":          {"REDUCED_REDUNDANCY"},
		"X-Amz-Content-Sha256":         {payload},
		"Content-Encoding":             {"aws-chunked"},
		"X-Amz-Decoded-Content-Length": {"66560"},
	}
	maps.Copy(r.Header, extra)
	names := "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
	if extra == nil {
		names = "content-encoding;content-length;" + strings.TrimPrefix(names, "content-encoding;")
	} else {
		names += ";x-amz-trailer"
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"+
		"SignedHeaders="+names+",Signature="+signature)
	return incoming(t, r)
}

func chunk(data, signature string) string {
	size := map[int]string{65536: "10000", 1024: "400", 0: "0"}[len(data)]
	line := size + ";chunk-signature=" + signature + "\r\n"
	if data == "" {
		return line
	}
	return line + data + "\r\n"
}

func docChunked() string {
	return chunk(strings.Repeat("a", 65536), "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648") +
		chunk(strings.Repeat("a", 1024), "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497") +
		chunk("", "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9") + "\r\n"
}

func docTrailer() string {
	return chunk(strings.Repeat("a", 65536), "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2") +
		chunk(strings.Repeat("a", 1024), "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7") +
		chunk("", "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992") +
		"x-amz-checksum-crc32c:sOO8/Q==\r\n" +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
}

func chunkedRequest(t testing.TB, body string) *http.Request {
	return docRequest(t, streamingSigned, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", nil, body)
}

func trailerRequest(t testing.TB, body string) *http.Request {
	return docRequest(t, streamingSignedTrailer, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
		http.Header{"X-Amz-Trailer": {"x-amz-checksum-crc32c"}}, body)
}

func TestPublishedChunks(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*http.Request{
		"chunks": chunkedRequest(t, docChunked()), "trailer": trailerRequest(t, docTrailer()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, err := Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			var v Verifier
			r, err := v.Verify(q, docSecret, docTime)
			if err != nil {
				t.Fatal(err)
			}
			if r.ContentLength != 66560 {
				t.Errorf("got length %d", r.ContentLength)
			}
			body, err := io.ReadAll(iotest.OneByteReader(r.Body))
			if err != nil || string(body) != strings.Repeat("a", 66560) {
				t.Errorf("got %d bytes, error %v", len(body), err)
			}
			if name == "trailer" && r.Trailer.Get("X-Amz-Checksum-Crc32c") != "sOO8/Q==" {
				t.Errorf("got trailers %v", r.Trailer)
			}
		})
	}
}

func TestBrokenChunks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, from, to string
		want           Problem // 0: io.ErrUnexpectedEOF
	}{
		{"data", "\r\naaa", "\r\naab", BadSignature},
		{"signature", "ad80c7", "ad80c8", BadSignature},
		{"last signature", "b6c6ea", "b6c6eb", BadSignature},
		{"no signature", ";chunk-signature=ad80", ";x=ad80", BadSignature},
		{"size", "10000;", "zz;", BadChunk},
		{"huge size", "10000;", "7fffffffffffffff;", BadChunk},
		{"negative size", "10000;", "-1;", BadChunk},
		{"longer", "a\r\n400;", "ab\r\n400;", BadChunk},
		{"more after the end", "79d449df9\r\n\r\n", "79d449df9\r\n\r\n0\r\n", BadChunk},
		{"end missing", "79d449df9\r\n\r\n", "79d449df9\r\n", 0},
		{"last chunk missing", docChunked()[strings.Index(docChunked(), "0;chunk-signature=b6"):], "", 0},
		{"trailer", "79d449df9\r\n\r\n", "79d449df9\r\nx:y\r\n\r\n", BadChunk},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := chunkedRequest(t, docChunked())
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(docChunked(), tt.from, tt.to, 1)))
			_, err := verify(r, docSecret, docTime)
			if tt.want == 0 {
				if !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("got error %v, want %v", err, io.ErrUnexpectedEOF)
				}
				return
			}
			wantProblem(t, err, tt.want)
		})
	}
}

func TestBrokenTrailers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, from, to string }{
		{"value", "sOO8", "sOO9"},
		{"signature", "d81f82", "d81f83"},
		{"added", "x-amz-trailer-signature", "x-amz-checksum-sha1:x\r\nx-amz-trailer-signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := trailerRequest(t, docTrailer())
			r.Body = io.NopCloser(strings.NewReader(strings.Replace(docTrailer(), tt.from, tt.to, 1)))
			_, err := verify(r, docSecret, docTime)
			wantProblem(t, err, BadSignature)
		})
	}
}

// unsigned is a body with an unsigned trailer, as botocore sends it over https.
func unsignedRequest(t testing.TB, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("PUT", "http://example.com/b/k", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Decoded-Content-Length", "5")
	if err := Sign(r, Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, "us-east-1", "s3", unsignedPayloadTrailer, signedAt); err != nil {
		t.Fatal(err)
	}
	return incoming(t, r)
}

func TestUnsignedTrailer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		want       Problem
	}{
		{"one chunk", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", 0},
		{"two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 0},
		{"too short", "2\r\nhe\r\n0\r\n\r\n", BadChunk},
		{"too long", "6\r\nhellos\r\n0\r\n\r\n", BadChunk},
		{"endless line", strings.Repeat("0", 100_000), BadChunk},
		{"endless trailers", "5\r\nhello\r\n0\r\n" + strings.Repeat("x:y\r\n", 10_000), BadChunk},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := verify(unsignedRequest(t, tt.body), secret, signedAt)
			if tt.want != 0 {
				wantProblem(t, err, tt.want)
			} else if err != nil || got != "hello" {
				t.Errorf("got %q, error %v", got, err)
			}
		})
	}
}

func TestSignedDigest(t *testing.T) {
	t.Parallel()
	request := func(body string) *http.Request {
		r, err := http.NewRequest("PUT", "http://example.com/b/k", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if err := Sign(r, Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, "us-east-1", "s3", hexHash([]byte("hello")), signedAt); err != nil {
			t.Fatal(err)
		}
		return incoming(t, r)
	}
	if got, err := verify(request("hello"), secret, signedAt); err != nil || got != "hello" {
		t.Errorf("got %q, error %v", got, err)
	}
	_, err := verify(request("hullo"), secret, signedAt)
	wantProblem(t, err, BadDigest)
}

// untouchable fails the test if the body is read before the signature is known to be good.
type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the body was read before the client was authenticated")
	return 0, io.EOF
}

func TestBodyUntouchedUntilVerified(t *testing.T) {
	t.Parallel()
	for _, r := range []*http.Request{chunkedRequest(t, docChunked()), unsignedRequest(t, "")} {
		r.Body = io.NopCloser(untouchable{t})
		_, err := verify(r, "wrong", docTime)
		if err == nil {
			t.Error("verified with a wrong secret")
		}
	}
}

// FuzzChunks checks that whatever is accepted, is the text that the framing holds, however it is cut into reads.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"))
	f.Add([]byte("2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"))
	f.Add([]byte("0\r\n\r\n"))
	q, err := Parse(unsignedRequest(f, ""))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		read := func(in io.Reader) ([]byte, http.Header, error) {
			trailer := http.Header{}
			data, err := io.ReadAll(newChunkReader(io.NopCloser(in), q, nil, -1, trailer))
			return data, trailer, err
		}
		whole, trailer, err := read(bytes.NewReader(wire))
		bytewise, trailer2, err2 := read(iotest.OneByteReader(bytes.NewReader(wire)))
		if (err == nil) != (err2 == nil) || !bytes.Equal(whole, bytewise) || !cmp.Equal(trailer, trailer2) {
			t.Errorf("whole: %q, %v, %v; bytewise: %q, %v, %v", whole, trailer, err, bytewise, trailer2, err2)
		}
		if len(whole) > len(wire) {
			t.Errorf("%d bytes decoded from %d", len(whole), len(wire))
		}
	})
}

// FuzzSignedChunks checks that of a signed upload nothing but what was signed is ever complete.
func FuzzSignedChunks(f *testing.F) {
	f.Add([]byte(docTrailer()))
	f.Add([]byte("3;chunk-signature=x\r\nabc\r\n0;chunk-signature=\r\n\r\n"))
	f.Add([]byte("0\r\nx-amz-trailer-signature:x\r\n\r\n"))
	q, err := Parse(trailerRequest(f, ""))
	if err != nil {
		f.Fatal(err)
	}
	key := signingKey(docSecret, q.Scope)
	f.Fuzz(func(t *testing.T, wire []byte) {
		data, err := io.ReadAll(newChunkReader(io.NopCloser(bytes.NewReader(wire)), q, key, -1, http.Header{}))
		if err == nil && string(data) != strings.Repeat("a", 66560) {
			t.Errorf("%d bytes were accepted that nobody signed", len(data))
		}
	})
}
