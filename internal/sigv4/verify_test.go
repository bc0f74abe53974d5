package sigv4

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	accessKey = "AKIDEXAMPLE"
	secret    = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

var signedAt = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// incoming turns a client's request into the one that a server sees, through the wire format.
func incoming(t testing.TB, r *http.Request) *http.Request {
	t.Helper()
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		t.Fatal(err)
	}
	got, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// verify runs all three steps and reads the body to its end.
func verify(r *http.Request, secret string, now time.Time) (string, error) {
	q, err := Parse(r)
	if err != nil {
		return "", err
	}
	var v Verifier
	r, err = v.Verify(q, secret, now)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(r.Body)
	return string(body), err
}

func wantProblem(t *testing.T, err error, want Problem) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Problem != want {
		t.Errorf("got error %v, want problem %d", err, want)
	}
}

// TestPublishedVectors holds signatures printed in AWS's documentation and test suite.
func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	const s3Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	for _, tt := range []struct {
		name, secret, request string
		now                   time.Time
	}{{
		name: "general reference, IAM ListUsers", secret: secret, now: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
		request: "GET /?Action=ListUsers&Version=2010-05-08 HTTP/1.1\nHost: iam.amazonaws.com\n" +
			"Content-Type: application/x-www-form-urlencoded; charset=utf-8\nX-Amz-Date: 20150830T123600Z\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, " +
			"SignedHeaders=content-type;host;x-amz-date, " +
			"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7\n\n",
	}, {
		name: "test suite, get-vanilla", secret: secret, now: time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC),
		request: "GET / HTTP/1.1\nHost: example.amazonaws.com\nX-Amz-Date: 20150830T123600Z\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, " +
			"SignedHeaders=host;x-amz-date, " +
			"Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31\n\n",
	}, {
		name: "S3, GET with range", secret: s3Secret, now: time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC),
		request: "GET /test.txt HTTP/1.1\nHost: examplebucket.s3.amazonaws.com\nRange: bytes=0-9\n" +
			"x-amz-content-sha256: " + emptyHash + "\nx-amz-date: 20130524T000000Z\n" +
			"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
			"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date," +
			"Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41\n\n",
	}, {
		name: "S3, presigned GET", secret: s3Secret, now: time.Date(2013, 5, 24, 20, 0, 0, 0, time.UTC),
		request: "GET /test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256" +
			"&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
			"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
			"&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404 HTTP/1.1\n" +
			"Host: examplebucket.s3.amazonaws.com\n\n",
	}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(tt.request)))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verify(r, tt.secret, tt.now); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSDKSigner checks requests drawn at random that the AWS SDK has signed.
func TestSDKSigner(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		service := rapid.SampledFrom([]string{"s3", "codedeploy", "iam"}).Draw(t, "service")
		path := "/" + rapid.StringMatching(`[a-zA-Z0-9 /._~+%é:=@*'()-]{0,20}`).Draw(t, "path")
		query := url.Values{}
		for range rapid.IntRange(0, 3).Draw(t, "parameters") {
			query.Add(rapid.StringMatching(`[a-z-]{1,3}`).Draw(t, "key"), rapid.StringMatching(`[a-z +/=&é]{0,4}`).Draw(t, "value"))
		}
		body := rapid.String().Draw(t, "body")
		if service != "s3" {
			path = "/"
		}
		r := &http.Request{
			Method: "PUT", URL: &url.URL{Scheme: "http", Host: "example.com:8700", Path: path, RawPath: encode(path, true), RawQuery: query.Encode()},
			Header: http.Header{"X-Amz-Meta-A": {"  a   b "}, "Content-Type": {"text/plain"}},
			Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}
		hash := hexHash([]byte(body))
		if service == "s3" {
			hash = rapid.SampledFrom([]string{hash, unsignedPayload}).Draw(t, "payload")
			r.Header.Set("X-Amz-Content-Sha256", hash)
		}
		signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
		creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}
		if err := signer.SignHTTP(context.Background(), creds, r, hash, service, "eu-west-1", signedAt); err != nil {
			t.Fatal(err)
		}
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			t.Fatal(err)
		}
		got, err := http.ReadRequest(bufio.NewReader(&wire))
		if err != nil {
			t.Fatal(err)
		}
		back, err := verify(got, secret, signedAt)
		if err != nil || back != body {
			t.Fatalf("got body %q, error %v; want %q", back, err, body)
		}
	})
}

// TestSignAgainstSDK makes the same signature with Sign and with the SDK.
func TestSignAgainstSDK(t *testing.T) {
	t.Parallel()
	request := func() *http.Request {
		r, err := http.NewRequest("POST", "https://example.com/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "CodeDeploy_20141006.GetDeployment")
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		return r
	}
	ours, theirs := request(), request()
	if err := Sign(ours, Credentials{accessKey, secret, "token"}, "us-east-1", "codedeploy", "", signedAt); err != nil {
		t.Fatal(err)
	}
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret, SessionToken: "token"}
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, theirs, emptyHash, "codedeploy", "us-east-1", signedAt); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs.Header, ours.Header); diff != "" {
		t.Errorf("headers differ (-SDK +ours):\n%s", diff)
	}
}

func TestPresignedBySDK(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("GET", "http://127.0.0.1:8700/bucket/a%20b%2Bc.zip?X-Amz-Expires=60", nil)
	creds := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secret, SessionToken: "to/ken"}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	signed, _, err := signer.PresignHTTP(t.Context(), creds, r, unsignedPayload, "s3", "us-east-1", signedAt)
	if err != nil {
		t.Fatal(err)
	}
	get := func(url string) *http.Request { return httptest.NewRequest("GET", url, nil) }

	q, err := Parse(get(signed))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Scope{accessKey, "20260301", "us-east-1", "s3"}); q.Scope != want || !q.presigned || q.Token != creds.SessionToken {
		t.Errorf("got scope %+v, presigned %v, token %q", q.Scope, q.presigned, q.Token)
	}
	if _, err := verify(get(signed), secret, signedAt.Add(59*time.Second)); err != nil {
		t.Error(err)
	}
	_, err = verify(get(signed), secret, signedAt.Add(61*time.Second))
	wantProblem(t, err, Expired)
	_, err = verify(get(signed), secret, signedAt.Add(-16*time.Minute))
	wantProblem(t, err, Skewed)
	_, err = verify(get(strings.Replace(signed, "c.zip", "d.zip", 1)), secret, signedAt)
	wantProblem(t, err, BadSignature)
	_, err = verify(get(strings.Replace(signed, "to%2Fken", "an%2Fother", 1)), secret, signedAt)
	wantProblem(t, err, BadSignature)
	_, err = verify(get(strings.Replace(signed, "Expires=60", "Expires=3600", 1)), secret, signedAt)
	wantProblem(t, err, BadSignature)
	extra := get(signed)
	extra.Header.Set("X-Amz-Copy-Source", "/other/secret")
	_, err = verify(extra, secret, signedAt)
	wantProblem(t, err, HeaderNotSigned)
}

// signedRequest is a JSON request as the CLI sends it.
func signedRequest(t testing.TB) *http.Request {
	t.Helper()
	body := `{"deploymentId":"d-1"}`
	r, err := http.NewRequest("POST", "http://127.0.0.1:8700/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Target", "CodeDeploy_20141006.GetDeployment")
	if err := Sign(r, Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, "us-east-1", "codedeploy", hexHash([]byte(body)), signedAt); err != nil {
		t.Fatal(err)
	}
	return incoming(t, r)
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   Problem
	}{
		{"unsigned", func(r *http.Request) { r.Header.Del("Authorization") }, Missing},
		{"basic", func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }, Incomplete},
		{"two signatures", func(r *http.Request) { r.Header.Add("Authorization", "AWS4-HMAC-SHA256 x") }, Incomplete},
		{"cut short", func(r *http.Request) { cutAuthorization(r, ", Signature=") }, Incomplete},
		{"no date", func(r *http.Request) { r.Header.Del("X-Amz-Date") }, Incomplete},
		{"bad date", func(r *http.Request) { r.Header.Set("X-Amz-Date", "yesterday") }, Incomplete},
		{"unsigned date", func(r *http.Request) {
			r.Header.Del("X-Amz-Date")
			r.Header.Set("Date", signedAt.Format(http.TimeFormat))
		}, HeaderNotSigned},
		{"other day", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260302T120000Z") }, BadSignature},
		{"other time", func(r *http.Request) { r.Header.Set("X-Amz-Date", "20260301T120001Z") }, BadSignature},
		{"other operation", func(r *http.Request) { r.Header.Set("X-Amz-Target", "CodeDeploy_20141006.StopDeployment") }, BadSignature},
		{"other method", func(r *http.Request) { r.Method = "PUT" }, BadSignature},
		{"other host", func(r *http.Request) { r.Host = "other" }, BadSignature},
		{"other body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"deploymentId":"d-2"}`)) }, BadSignature},
		{"added header", func(r *http.Request) { r.Header.Set("X-Amz-Codedeploy-Agent-Version", "1") }, HeaderNotSigned},
		{"huge body", func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", DefaultMaxBody+1))) }, TooLarge},
		{"body that says it is huge", func(r *http.Request) { r.ContentLength, r.Body = DefaultMaxBody+1, io.NopCloser(untouchable{t}) }, TooLarge},
		{"huge query", func(r *http.Request) { r.URL.RawQuery = strings.Repeat("a=&", maxQuery/3+1) }, Incomplete},
		{"huge signature", func(r *http.Request) {
			r.Header.Set("Authorization", algorithm+" "+strings.Repeat(",", maxAuthorization))
		}, Incomplete},
		{"unsigned payload outside s3", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) }, Incomplete},
		{"presigned outside s3", func(r *http.Request) {
			r.Header.Del("Authorization")
			r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260301/r/codedeploy/aws4_request"
		}, Incomplete},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := signedRequest(t)
			tt.change(r)
			_, err := verify(r, secret, signedAt)
			wantProblem(t, err, tt.want)
		})
	}
}

func cutAuthorization(r *http.Request, at string) {
	before, _, _ := strings.Cut(r.Header.Get("Authorization"), at)
	r.Header.Set("Authorization", before)
}

// TestSessionToken: a token that was not signed, somebody may have added.
func TestSessionToken(t *testing.T) {
	t.Parallel()
	r, err := http.NewRequest("POST", "http://127.0.0.1:8700/", nil)
	if err != nil {
		t.Fatal(err)
	}
	c := Credentials{AccessKeyID: accessKey, SecretAccessKey: secret, SessionToken: "to/ken"}
	if err := Sign(r, c, "us-east-1", "sts", "", signedAt); err != nil {
		t.Fatal(err)
	}
	r = incoming(t, r)
	q, err := Parse(r)
	if err != nil || q.Token != "to/ken" {
		t.Errorf("got token %q, error %v", q.Token, err)
	}
	r.Header.Set("X-Amz-Security-Token", "another")
	_, err = verify(r, secret, signedAt)
	wantProblem(t, err, BadSignature)
	plain := signedRequest(t)
	plain.Header.Set("X-Amz-Security-Token", "added")
	_, err = verify(plain, secret, signedAt)
	wantProblem(t, err, HeaderNotSigned)
}

// TestDeclaredDigest: the stock agent declares the digest of JSON too. A handler that never reads to the end of such a
// body must still not see one that was changed.
func TestDeclaredDigest(t *testing.T) {
	t.Parallel()
	request := func(body string) *http.Request {
		r, err := http.NewRequest("POST", "http://127.0.0.1:8700/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		signed := hexHash([]byte(`{"a":1}`))
		r.Header.Set("X-Amz-Content-Sha256", signed)
		if err := Sign(r, Credentials{AccessKeyID: accessKey, SecretAccessKey: secret}, "us-east-1", "codedeploy-commands", signed, signedAt); err != nil {
			t.Fatal(err)
		}
		return incoming(t, r)
	}
	if got, err := verify(request(`{"a":1}`), secret, signedAt); err != nil || got != `{"a":1}` {
		t.Errorf("got %q, error %v", got, err)
	}
	q, err := Parse(request(`{"a":2}`))
	if err != nil {
		t.Fatal(err)
	}
	var v Verifier
	_, err = v.Verify(q, secret, signedAt)
	wantProblem(t, err, BadSignature)
}

func TestSecretAndClock(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		secret string
		off    time.Duration
		want   Problem
	}{
		{"right", secret, 0, 0},
		{"slow clock", secret, 5 * time.Minute, 0},
		{"fast clock", secret, -5 * time.Minute, 0},
		{"too slow", secret, 5*time.Minute + time.Second, Skewed},
		{"too fast", secret, -5*time.Minute - time.Second, Skewed},
		{"wrong secret", "x", 0, BadSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify(signedRequest(t), tt.secret, signedAt.Add(tt.off))
			if tt.want == 0 && err != nil {
				t.Error(err)
			} else if tt.want != 0 {
				wantProblem(t, err, tt.want)
			}
		})
	}
}

// TestKeyCache: the cache must not outlive a rotated secret, nor learn from requests that failed.
func TestKeyCache(t *testing.T) {
	t.Parallel()
	var v Verifier
	check := func(secret string) error {
		q, err := Parse(signedRequest(t))
		if err != nil {
			return err
		}
		_, err = v.Verify(q, secret, signedAt)
		return err
	}
	wantProblem(t, check("x"), BadSignature)
	if len(v.keys.young) != 0 {
		t.Errorf("a failed request was remembered")
	}
	for range 2 {
		if err := check(secret); err != nil {
			t.Fatal(err)
		}
	}
	wantProblem(t, check("x"), BadSignature)
	for i := range 3 * keyGeneration {
		v.keys.put(secret, Scope{Region: string(rune('a' + i))}, nil)
	}
	if n := len(v.keys.young) + len(v.keys.old); n > 2*keyGeneration {
		t.Errorf("cache holds %d keys, want at most %d", n, 2*keyGeneration)
	}
}

// FuzzParse checks that no signature in a header or in a URL opens anything without the secret, and that a refusal is one
// that a protocol can name.
func FuzzParse(f *testing.F) {
	const presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20260301%2Fus-east-1%2Fs3%2Faws4_request&" +
		"X-Amz-Date=20260301T120000Z&X-Amz-Expires=60&X-Amz-Security-Token=to%2Fken&X-Amz-SignedHeaders=host&X-Amz-Signature="
	r := signedRequest(f)
	f.Add(r.Header.Get("Authorization"), "a=b", "20260301T120000Z", "")
	f.Add(r.Header.Get("Authorization"), "", "20260301T120000Z", "to/ken")
	f.Add("AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;, Signature=", "X-Amz-Algorithm=%zz", "", "")
	f.Add("", presigned+emptyHash, "", "")
	f.Add("", presigned+"x&X-Amz-Content-Sha256="+emptyHash, "", "")
	f.Fuzz(func(t *testing.T, auth, query, date, token string) {
		r := &http.Request{Method: "GET", URL: &url.URL{Path: "/", RawQuery: query}, Header: http.Header{}, Body: http.NoBody}
		for name, value := range map[string]string{"Authorization": auth, "X-Amz-Date": date, "X-Amz-Security-Token": token} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		q, err := Parse(r)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("error %v is not an *Error", err)
			}
			return
		}
		var v Verifier
		if _, err := v.Verify(q, "not the secret", q.time); err == nil {
			t.Error("verified without the secret")
		}
	})
}
