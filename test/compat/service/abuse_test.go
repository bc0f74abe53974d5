package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"grapnel/internal/awsapi"
	"grapnel/internal/awsjson"
	"grapnel/internal/server"
	"grapnel/internal/sigv4"
)

// patience is longer than each of the server's limits on slow clients.
const patience = 45 * time.Second

// TestAbuse lets everything that is bad happen to one server at the same time, while a good client, from the same address,
// goes on being served.
func TestAbuse(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	w.bucket("bundles")
	stop := w.goodClient(t)
	t.Run("attacks", func(t *testing.T) {
		for name, attack := range map[string]func(*testing.T, *world){
			"slow clients":                slowClients,
			"headers that are too long":   longHeaders,
			"a body of an unknown sender": unknownBody,
			"a body that is too long":     longBody,
			"garbage":                     garbage,
			"pipelined requests":          pipelined,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				attack(t, w)
			})
		}
	})
	stop()
}

// goodClient reads the application over and over until it is stopped; each time the answer has to come within seconds.
func (w *world) goodClient(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	client := w.as(w.root)
	ended := make(chan int)
	go func() {
		calls := 0
		for ; ctx.Err() == nil; calls++ {
			call, done := context.WithTimeout(ctx, 10*time.Second)
			_, err := client.GetApplication(call, &codedeploy.GetApplicationInput{ApplicationName: aws.String("shop")}, func(o *codedeploy.Options) {
				o.RetryMaxAttempts = 3 // as SDKs do: an idle connection may have been closed for a newcomer
			})
			done()
			if err != nil && ctx.Err() == nil {
				t.Errorf("call %d of the good client: %v", calls, err)
				break
			}
		}
		ended <- calls
	}()
	return func() {
		cancel()
		if calls := <-ended; calls == 0 {
			t.Error("the good client was not served")
		}
	}
}

func (w *world) bucket(name string) {
	w.t.Helper()
	_, err := w.s3(w.root).CreateBucket(w.t.Context(), &s3.CreateBucketInput{Bucket: &name})
	ok(w.t, err)
}

// s3 returns a typed client of the S3 endpoint.
func (w *world) s3(c sigv4.Credentials) *s3.Client {
	return s3.New(s3.Options{Region: region, BaseEndpoint: &w.url, UsePathStyle: true, RetryMaxAttempts: 1, Credentials: static(c)})
}

// dial opens a connection to the server on which a test writes what it likes.
func (w *world) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	ok(t, err)
	t.Cleanup(func() { conn.Close() })
	ok(t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// write returns a signed request as it goes over the connection. Its body is announced, and sent by the caller if he likes.
func (w *world) write(t *testing.T, c sigv4.Credentials, r *http.Request, service, body string) string {
	t.Helper()
	hash := sha256.Sum256([]byte(body))
	ok(t, sigv4.Sign(r, c, region, service, hex.EncodeToString(hash[:]), time.Now()))
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.Method, r.URL.RequestURI(), r.Host)
	if body != "" {
		fmt.Fprintf(&buf, "Content-Length: %d\r\n", len(body))
	}
	ok(t, r.Header.Write(&buf))
	buf.WriteString("\r\n")
	return buf.String()
}

// call is a call of CodeDeploy as it goes over the connection, without its body.
func (w *world) call(t *testing.T, c sigv4.Credentials, operation, body string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.url+"/", nil)
	ok(t, err)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", awsapi.Prefix+"."+operation)
	return w.write(t, c, r, "codedeploy", body)
}

// slowClients send headers and a body that never end, and read nothing of a reply. All are cut off.
func slowClients(t *testing.T, w *world) {
	const size = 64 << 20
	_, err := w.s3(w.root).PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("bundles"), Key: aws.String("large"), Body: bytes.NewReader(make([]byte, size)),
	})
	ok(t, err)
	r, err := http.NewRequest(http.MethodGet, w.url+"/bundles/large", nil)
	ok(t, err)
	reader := w.dial(t)
	io.WriteString(reader, w.write(t, w.root, r, "s3", ""))
	headers := trickle(w.dial(t), "GET /healthz HTTP/1.1\r\nHost: x\r\n", "X: y\r\n")
	// The key is known, so that the body is awaited.
	body := trickle(w.dial(t), w.call(t, w.root, "ListApplications", strings.Repeat("{", 100_000)), "{")
	for what, gone := range map[string]<-chan struct{}{"headers": headers, "body": body} {
		select {
		case <-gone:
		case <-time.After(patience):
			t.Errorf("the server still listens to a %s that never ends", what)
		}
	}
	w.endOfDownload(t)
	reader.SetDeadline(time.Now().Add(patience))
	if n, _ := io.Copy(io.Discard, reader); n >= size { // what the system has buffered comes
		t.Errorf("%d bytes came", n)
	}
}

// trickle writes a beginning, and then a piece again and again, until the server has had enough.
func trickle(conn net.Conn, beginning, piece string) (gone <-chan struct{}) {
	end := make(chan struct{})
	go func() {
		defer close(end)
		io.Copy(io.Discard, conn)
	}()
	go func() {
		io.WriteString(conn, beginning)
		for tick := time.Tick(100 * time.Millisecond); ; {
			select {
			case <-tick:
				io.WriteString(conn, piece)
			case <-end:
				return
			}
		}
	}()
	return end
}

// endOfDownload waits until the server has ended the one download that there is.
func (w *world) endOfDownload(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !strings.Contains(w.metrics(t), `operation="GET",service="s3",status="200",le="+Inf"} 1`); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("the server still writes a reply that nobody reads")
		}
	}
}

func (w *world) metrics(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(w.url + "/metrics")
	ok(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	ok(t, err)
	return string(text)
}

// answered sends bytes, and wants an answer with a status and a text in it, and the end of the connection.
func answered(t *testing.T, w *world, send string, status int, text string) {
	t.Helper()
	conn := w.dial(t)
	go io.WriteString(conn, send) // the server may stop reading
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(body), text) {
		t.Errorf("%d %s %v, want %d with %q", resp.StatusCode, body, err, status, text)
	}
	if _, err := in.ReadByte(); err == nil || isTimeout(err) {
		t.Errorf("the connection stays open: %v", err)
	}
}

func longHeaders(t *testing.T, w *world) {
	answered(t, w, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: "+strings.Repeat("y", 16_000)+"\r\n\r\n", http.StatusOK, "ok")
	answered(t, w, "GET /healthz HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("y", 17_000)+"\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge, "")
	answered(t, w, "GET /"+strings.Repeat("y", 17_000)+" HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge, "")
}

// None of the body is sent: the answer comes without.
func unknownBody(t *testing.T, w *world) {
	body := strings.Repeat(" ", 100_000)
	answered(t, w, w.call(t, unknown, "ListApplications", body), 400, "UnrecognizedClientException")
	answered(t, w, "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: x\r\nContent-Length: 1000000\r\n\r\n", 400, "MissingAuthenticationTokenException")
	answered(t, w, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 403, "AccessDenied")
	answered(t, w, "GET /latest/install HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n", 404, "make packages")
}

var unknown = sigv4.Credentials{AccessKeyID: "AKIAUNKNOWNUNKNOWN00", SecretAccessKey: strings.Repeat("x", 40)}

func longBody(t *testing.T, w *world) {
	body := `{"applicationName":"` + strings.Repeat("x", 1<<20) + `"}`
	answered(t, w, w.call(t, w.root, "GetApplication", body)+body, 400, "RequestEntityTooLargeException")
}

func garbage(t *testing.T, w *world) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		conn := w.dial(t)
		noise := make([]byte, 4096)
		for i := range noise {
			noise[i] = byte(random.Uint32())
		}
		conn.Write(append(noise, "\r\n\r\n"...))
		io.Copy(io.Discard, conn) // ends when the server hangs up
	}
	answered(t, w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403, "AccessDenied")
	answered(t, w, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "")
	answered(t, w, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "")
	answered(t, w, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "")
}

// pipelined requests are answered one after the other, each with its own answer.
func pipelined(t *testing.T, w *world) {
	const n = 500
	conn := w.dial(t)
	var requests strings.Builder
	for i := range n {
		if i%2 == 0 {
			requests.WriteString("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		} else {
			requests.WriteString(w.call(t, w.root, "GetApplication", `{"applicationName":"shop"}`) + `{"applicationName":"shop"}`)
		}
	}
	go io.WriteString(conn, requests.String())
	in := bufio.NewReader(conn)
	for i := range n {
		resp, err := http.ReadResponse(in, nil)
		ok(t, err)
		body, err := io.ReadAll(resp.Body)
		if want := []string{"ok\n", `"applicationName":"shop"`}[i%2]; err != nil || !strings.Contains(string(body), want) {
			t.Fatalf("answer %d is %s, %v", i, body, err)
		}
	}
}

// TestMoreConnectionsThanPlaces: who says nothing on a thousand connections loses them to those who come later.
func TestMoreConnectionsThanPlaces(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *server.Options) { o.MaxConnections = 100 })
	w.application("shop")
	defer w.goodClient(t)()
	var conns []net.Conn
	for range 1000 {
		conns = append(conns, w.dial(t))
	}
	lost := 0
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
			lost++
		}
	}
	if lost < 800 {
		t.Errorf("%d of 1000 connections were closed; there are places for 100", lost)
	}
	_, err := w.as(w.root).GetApplication(t.Context(), &codedeploy.GetApplicationInput{ApplicationName: aws.String("shop")})
	ok(t, err)
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// TestWrongSignatures: who fails too often is held back, at the address that failed; those who sign with another key from there
// are not, also when they were never heard of before.
func TestWrongSignatures(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.application("shop")
	defer w.goodClient(t)()
	ann, bob := w.user("ann", all), w.user("bob", all)
	forged := sigv4.Credentials{AccessKeyID: bob.AccessKeyID, SecretAccessKey: unknown.SecretAccessKey}
	list := func(c sigv4.Credentials) error {
		_, err := w.as(c).ListApplications(t.Context(), &codedeploy.ListApplicationsInput{})
		return err
	}
	for wrong, want := range map[sigv4.Credentials]string{unknown: "UnrecognizedClientException", forged: "InvalidSignatureException"} {
		throttled := 0
		for range 300 {
			switch err := list(wrong); code(err) {
			case want:
			case "ThrottlingException":
				throttled++
			default:
				t.Fatal(err)
			}
		}
		if throttled < 50 {
			t.Errorf("%d of 300 requests with %s were held back", throttled, want)
		}
	}
	ok(t, list(ann))
	if text := w.metrics(t); !strings.Contains(text, `grapnel_http_throttled_total{by="address"}`) {
		t.Error("the metrics do not tell")
	}
}

// TestRateLimit: an identity that calls too often is told so in the words of each protocol, alone; root never is. A client
// that waits gets through.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *server.Options) { o.RateLimit = 20 })
	busy, calm, h := w.user("busy", ""), w.user("calm", ""), w.host("web-1")
	w.role("ci")
	ctx := t.Context()
	list := func(c sigv4.Credentials) error {
		_, err := w.as(c).ListApplications(ctx, &codedeploy.ListApplicationsInput{})
		return err
	}
	until(t, "JSON", func() bool { return code(list(busy)) == "ThrottlingException" })
	until(t, "query", func() bool { return code(w.whoami(busy, 1)) == "Throttling" })
	until(t, "S3", func() bool {
		_, err := w.s3(busy).ListBuckets(ctx, &s3.ListBucketsInput{})
		return code(err) == "SlowDown"
	})
	until(t, "a host", func() bool {
		return awsjson.Throttled(h.call("PutHostCommandComplete", awsapi.PutHostCommandCompleteInput{}, nil)) // what agents wait for
	})
	sessions := 0
	until(t, "a role, with a new session for each call", func() bool {
		sessions++
		session, _ := w.session("ci", fmt.Sprintf("build-%d", sessions))
		return code(list(session)) == "ThrottlingException"
	})
	ok(t, w.whoami(calm, 1))
	for range 200 {
		ok(t, list(w.root))
	}
	until(t, "query", func() bool { return code(w.whoami(busy, 1)) == "Throttling" })
	for range 30 {
		ok(t, w.whoami(busy, 10)) // SDKs wait and try again
	}
	if text := w.metrics(t); !strings.Contains(text, `grapnel_http_throttled_total{by="identity"}`) {
		t.Error("the metrics do not tell")
	}
}

// TestRetryAfter: what refuses a sender says how long.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	w := start(t, func(o *server.Options) { o.RateLimit = 20 })
	busy := w.user("busy", "")
	for range 1000 {
		r, err := http.NewRequest(http.MethodGet, w.url+"/", nil)
		ok(t, err)
		ok(t, sigv4.Sign(r, busy, region, "s3", "", time.Now()))
		resp, err := http.DefaultClient.Do(r)
		ok(t, err)
		resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable {
			if got := resp.Header.Get("Retry-After"); got != "1" {
				t.Errorf("Retry-After is %q", got)
			}
			return
		}
	}
	t.Error("never refused")
}

// until calls until the call is refused.
func until(t *testing.T, who string, refused func() bool) {
	t.Helper()
	for range 2000 {
		if refused() {
			return
		}
	}
	t.Errorf("%s: 2000 calls, and none was refused", who)
}

// whoami asks STS, which everybody may, and tries so often.
func (w *world) whoami(c sigv4.Credentials, attempts int) error {
	_, err := w.sts(c).GetCallerIdentity(w.t.Context(), &sts.GetCallerIdentityInput{}, func(o *sts.Options) { o.RetryMaxAttempts = attempts })
	return err
}
