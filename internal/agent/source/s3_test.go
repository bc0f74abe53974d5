package source

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/crc64"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/bundle"
)

// agent.md 16: 164
func TestETagIsComparedWithoutQuotes(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := s.put("app/v1.zip", []byte("the bundle"))
	source := s.start(Options{})
	for _, etag := range []string{"", o.etag(), `"` + o.etag() + `"`} {
		r := Revision{S3: &S3{Bucket: "app", Key: "v1.zip", ETag: etag, Type: bundle.Zip}}
		if got := wantBundle(t, source, r, o.data); got.ETag != o.etag() || got.Unpacked {
			t.Errorf("the result is %+v, want the ETag %s of a bundle", got, o.etag())
		}
	}
	r := Revision{S3: &S3{Bucket: "app", Key: "v1.zip", ETag: `"0123"`, Type: bundle.Zip}}
	wantError(t, source, r, "s3://app/v1.zip", o.etag(), `"0123"`, "Push it again")
}

// agent.md 16: 165
func TestVersionIsAskedFor(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("app/v1.zip", []byte("the bundle"))
	source := s.start(Options{})
	wantBundle(t, source, Revision{S3: &S3{Bucket: "app", Key: "v1.zip", Version: "Zz.1_-+/=", Type: bundle.Zip}}, []byte("the bundle"))
	wantBundle(t, source, inS3("app", "v1.zip"), []byte("the bundle"))
	if got := s.requests[0].URL.Query().Get("versionId"); got != "Zz.1_-+/=" {
		t.Errorf("versionId = %q", got)
	}
	if got := s.requests[1].URL.RawQuery; got != "" {
		t.Errorf("without a version the query is %q", got)
	}
}

// Every key that S3 allows is signed right and arrives as it is.
func TestKeys(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	source := s.start(Options{})
	fetch := func(t interface{ Errorf(string, ...any) }, key string) {
		s.put("app/"+key, []byte(key))
		dir, err := os.MkdirTemp("", "")
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "bundle")
		if _, err := source.Fetch(context.Background(), inS3("app", key), path, ""); err != nil {
			t.Errorf("key %q: %v", key, err)
			return
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != key {
			t.Errorf("key %q brought %q, %v", key, got, err)
		}
	}
	for _, key := range []string{
		"a b+c", "100%", "%2F", "a//b", "/a", "a/", "../up", "./a/./b", "ünï/日本語", "a?b#c&d=e", `quo"te'\`, "!*'();:@$,[]~", "\U0001F680", "a\tb",
	} {
		fetch(t, key)
	}
	rapid.Check(t, func(t *rapid.T) {
		fetch(t, rapid.StringOfN(rapid.RuneFrom([]rune("ab/.%+ ?&=~é\U0001F680")), 1, 20, -1).Draw(t, "key"))
	})
}

// A download that breaks off goes on at the byte where it broke, as often as it takes, and only with the same object
// (users.md 25).
func TestBrokenDownloadIsResumed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := s.put("app/v1", random(1<<20))
	breaks := []int64{0, 300_000, 300_001, 700_000, 700_000, 1<<20 - 1}
	s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number > len(breaks) {
			return false
		}
		s.breakOff(w, r, breaks[number-1])
		return true
	}
	log := &logText{}
	wantBundle(t, s.start(Options{Log: log.logger()}), inS3("app", "v1"), o.data)
	ranges := []string{"", "", "bytes=300000-1048575", "bytes=300001-1048575", "bytes=700000-1048575", "bytes=700000-1048575", "bytes=1048575-1048575"}
	if diff := cmp.Diff(ranges, s.seen("Range")); diff != "" {
		t.Errorf("ranges asked for (-want +got):\n%s", diff)
	}
	quoted := `"` + o.etag() + `"`
	if diff := cmp.Diff([]string{"", "", quoted, quoted, quoted, quoted, quoted}, s.seen("If-Match")); diff != "" {
		t.Errorf("If-Match (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "at_byte=700000") {
		t.Errorf("the log does not tell where it broke off:\n%s", log)
	}
}

// A stream that gets no further is given up after a few tries.
func TestDownloadIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put("app/v1", random(1000))
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			s.breakOff(w, r, 500)
			return true
		}
		source := s.source(Options{HTTP: serveInBubble(t, s), S3Endpoint: "http://store.example"})
		wantError(t, source, inS3("app", "v1"), "s3://app/v1", "broke off")
		if got := len(s.requests); got != downloadTries {
			t.Errorf("%d requests, want %d: one that brought something, and the tries after it", got, downloadTries)
		}
	})
}

// An object that is replaced while it is downloaded is begun anew; the halves of two bundles are never put together.
func TestObjectReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, honest := range []bool{true, false} {
		s := newStore(t)
		old := s.put("app/v1", random(100_000))
		later := bytes.ToUpper(random(100_000))
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			if number%3 == 1 {
				s.put("app/v1", old.data)
				defer s.put("app/v1", later)
				s.breakOff(w, r, 60_000)
			}
			if !honest { // a store that does not know If-Match
				r.Header.Del("If-Match")
				r.Header.Del("Range")
			}
			return false
		}
		source := s.start(Options{})
		wantBundle(t, source, inS3("app", "v1"), later)

		s.mu.Lock()
		s.requests = nil
		s.mu.Unlock()
		pinned := Revision{S3: &S3{Bucket: "app", Key: "v1", ETag: old.etag(), Type: bundle.Tar}}
		wantError(t, source, pinned, old.etag(), s.objects["app/v1"].etag(), "replaced")
	}
}

// A store that cannot serve parts has the object sent again from its first byte.
func TestStoreWithoutRanges(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := s.put("app/v1", random(100_000))
	s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number == 1 {
			s.breakOff(w, r, 60_000)
		}
		w.Header().Set("ETag", o.etag())
		w.Write(o.data)
		return true
	}
	wantBundle(t, s.start(Options{}), inS3("app", "v1"), o.data)
}

// A store, or a proxy, that does not say how large the object is.
func TestUnknownSize(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := s.put("app/v1", random(300_000))
	s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
		w.Header().Set("ETag", `"`+o.etag()+`"`)
		w.(http.Flusher).Flush()
		if number == 1 {
			w.Write(o.data[:200_000])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write(o.data)
		return true
	}
	asked := int64(0)
	source := s.start(Options{HasRoom: func(_ string, bytes int64) error { asked = bytes; return nil }})
	wantBundle(t, source, inS3("app", "v1"), o.data)
	if asked != growth {
		t.Errorf("room was asked for %d bytes at a time, want %d", asked, growth)
	}
}

// A connection that stays open and brings nothing is broken off and tried again, wherever it stops.
func TestStalledDownload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		o := s.put("app/v1", random(100_000))
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			switch number {
			case 1: // before the first byte
				<-r.Context().Done()
				return true
			case 2: // in the middle
				w.Header().Set("ETag", `"`+o.etag()+`"`)
				w.Header().Set("Content-Length", fmt.Sprint(len(o.data)))
				w.Write(o.data[:40_000])
				w.(http.Flusher).Flush()
				<-r.Context().Done()
				return true
			}
			return false
		}
		log := &logText{}
		source := s.source(Options{HTTP: serveInBubble(t, s), S3Endpoint: "http://store.example", Stalled: time.Minute, Log: log.logger()})
		begun := time.Now()
		wantBundle(t, source, inS3("app", "v1"), o.data)
		if took := time.Since(begun); took < 2*time.Minute || took > 2*time.Minute+5*time.Second {
			t.Errorf("it took %v, want two minutes of waiting and two pauses", took)
		}
		if !strings.Contains(log.String(), "nothing came for 1m0s") {
			t.Errorf("the log does not say why:\n%s", log)
		}
	})
}

// slowly serves an object with so many bytes every 10 ms on each connection.
func (s *store) slowly(w http.ResponseWriter, r *http.Request, piece int) {
	recorder := httptest.NewRecorder()
	s.serve(recorder, r)
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	for part := range slices.Chunk(recorder.Body.Bytes(), piece) {
		time.Sleep(10 * time.Millisecond)
		if _, err := w.Write(part); err != nil {
			return
		}
	}
}

// A large object on a slow connection is brought by several, and put together right also when they break.
func TestSlowDownloadIsDivided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		data := random(40 << 20)
		sum := crc32.ChecksumIEEE(data)
		o := s.put("app/v1", data, "X-Amz-Checksum-Crc32", base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum)))
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			if number == 3 {
				panic(http.ErrAbortHandler)
			}
			s.slowly(w, r, 100_000)
			return true
		}
		source := s.source(Options{HTTP: serveInBubble(t, s), S3Endpoint: "http://store.example"})
		begun := time.Now()
		wantBundle(t, source, inS3("app", "v1"), o.data)
		if got := len(s.requests); got != 1+(streams-1)+1 {
			t.Errorf("%d requests, want one for each stream and one for the broken one", got)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %v; one stream takes 4.2 s", took)
		}
	})
}

// While four streams run the object is replaced: all of it is brought again.
func TestDividedDownloadOfAReplacedObject(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		s.put("app/v1", random(40<<20))
		later := bytes.ToUpper(random(30 << 20))
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			if number == 2 {
				s.put("app/v1", later)
			}
			s.slowly(w, r, 100_000)
			return true
		}
		wantBundle(t, s.source(Options{HTTP: serveInBubble(t, s), S3Endpoint: "http://store.example"}), inS3("app", "v1"), later)
	})
}

func TestBusyStoreIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	o := s.put("app/v1", []byte("the bundle"))
	s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
		switch number {
		case 1:
			refuse(w, http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate.")
		case 2:
			refuse(w, http.StatusBadRequest, "RequestTimeout", "Your socket connection was not used in time.")
		default:
			return false
		}
		return true
	}
	wantBundle(t, s.start(Options{}), inS3("app", "v1"), o.data)
}

// inEveryRegion serves Amazon's hosts, all of them, and tells which were asked.
func inEveryRegion(t *testing.T, h http.Handler) *http.Client {
	server := httptest.NewTLSServer(h)
	t.Cleanup(server.Close)
	client := server.Client()
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig.InsecureSkipVerify = true // the certificate is for example.com
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	return client
}

// A bucket in another region is found once, and one that no region owns up to is not searched for.
func TestBucketInAnotherRegion(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"PermanentRedirect": 301, "AuthorizationHeaderMalformed": 400} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.put("v1", []byte("the bundle"))
			var hosts []string
			s.intercept = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				hosts = append(hosts, r.Host)
				scope := "/us-east-2/s3/"
				if strings.Contains(r.Header.Get("Authorization"), scope) {
					return false
				}
				w.Header().Set("X-Amz-Bucket-Region", "us-east-2")
				refuse(w, status, name, "The bucket is not here.")
				return true
			}
			source := s.source(Options{HTTP: inEveryRegion(t, s)})
			wantBundle(t, source, inS3("app", "v1"), []byte("the bundle"))
			if diff := cmp.Diff([]string{"app.s3.eu-west-1.amazonaws.com", "app.s3.us-east-2.amazonaws.com"}, hosts); diff != "" {
				t.Errorf("hosts (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("in a circle", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			w.Header().Set("X-Amz-Bucket-Region", fmt.Sprintf("xx-south-%d", number))
			refuse(w, 301, "PermanentRedirect", "Elsewhere.")
			return true
		}
		wantError(t, s.source(Options{HTTP: inEveryRegion(t, s)}), inS3("app", "v1"), "PermanentRedirect", "xx-south-2")
		if len(s.requests) != 2 {
			t.Errorf("%d requests, want 2", len(s.requests))
		}
	})
	t.Run("no region at all", func(t *testing.T) {
		t.Parallel()
		s := newStore(t)
		s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
			w.Header().Set("X-Amz-Bucket-Region", "evil.example/")
			refuse(w, 301, "PermanentRedirect", "Elsewhere.")
			return true
		}
		wantError(t, s.source(Options{HTTP: inEveryRegion(t, s)}), inS3("app", "v1"), "PermanentRedirect", "s3_endpoint_override")
		if len(s.requests) != 1 {
			t.Errorf("%d requests, want 1: credentials go to no host that is not Amazon's", len(s.requests))
		}
	})
}

// agent.md 3.4
func TestEndpoints(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o            Options
		bucket, want string
	}{
		{Options{Region: "eu-west-1"}, "app", "https://app.s3.eu-west-1.amazonaws.com/k"},
		{Options{Region: "eu-west-1"}, "www.app.com", "https://s3.eu-west-1.amazonaws.com/www.app.com/k"},
		{Options{Region: "us-east-1"}, "Old_Bucket", "https://s3.us-east-1.amazonaws.com/Old_Bucket/k"},
		{Options{Region: "us-gov-west-1", FIPS: true}, "app", "https://app.s3-fips.us-gov-west-1.amazonaws.com/k"},
		{Options{Region: "cn-north-1", Domain: "amazonaws.com.cn"}, "app", "https://app.s3.cn-north-1.amazonaws.com.cn/k"},
		{Options{Region: "eusc-de-east-1", Domain: "amazonaws.eu"}, "app", "https://app.s3.eusc-de-east-1.amazonaws.eu/k"},
		{Options{Region: "eu-west-1", FIPS: true, S3Endpoint: "http://10.0.0.1:9000/s3/"}, "app", "http://10.0.0.1:9000/s3/app/k"},
	} {
		u, err := New(c.o).bucket(c.bucket).address(S3{Bucket: c.bucket, Key: "k"})
		if err != nil || u.String() != c.want {
			t.Errorf("%+v, bucket %s: %v, %v; want %s", c.o, c.bucket, u, err, c.want)
		}
	}
	for _, o := range []Options{{}, {S3Endpoint: "store:9000"}, {S3Endpoint: ":"}} {
		if u, err := New(o).bucket("app").address(S3{}); err == nil {
			t.Errorf("%+v: address %v, want an error", o, u)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		code    string
		advised string
	}{
		{404, "NoSuchKey", "Push the bundle again"},
		{404, "NoSuchBucket", "correct the revision's location"},
		{403, "AccessDenied", "needs s3:GetObject for s3://app/v1"},
		{403, "", "or a proxy is in the way"},
		{403, "RequestTimeTooSkewed", "clock is wrong"},
		{403, "ExpiredToken", "does not accept this host's credentials"},
		{403, "InvalidObjectState", "restore it"},
		{407, "", "proxy_uri"},
		{418, "", "418 I'm a teapot"},
	} {
		s := newStore(t)
		s.intercept = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if c.code == "" {
				http.Error(w, "<html>a page of a proxy", c.status)
			} else {
				refuse(w, c.status, c.code, "As S3 says.")
			}
			return true
		}
		texts := []string{"s3://app/v1", c.advised}
		if c.code != "" {
			texts = append(texts, c.code+": As S3 says.")
		}
		wantError(t, s.start(Options{}), inS3("app", "v1"), texts...)
		if len(s.requests) != 1 {
			t.Errorf("%d %s: %d requests; it does not pass", c.status, c.code, len(s.requests))
		}
	}
}

func TestStoreThatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("connection refused")
		}}}
		source := newStore(t).source(Options{HTTP: broken, S3Endpoint: "http://store.example"})
		wantError(t, source, inS3("app", "v1"), "connection refused", "s3_endpoint_override", "proxy_uri")
	})
}

func TestUnknownCertificateAuthority(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(newStore(t))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	source := newStore(t).source(Options{S3Endpoint: server.URL})
	wantError(t, source, inS3("app", "v1"), "ca_file")
}

// A checksum that the store sends is verified, whichever it is; one that does not cover the whole object is left alone.
func TestChecksums(t *testing.T) {
	t.Parallel()
	data := random(300_000)
	crc64sum := crc64.Checksum(data, crc64.MakeTable(crc64NVME))
	sha1sum, sha256sum := sha1.Sum(data), sha256.Sum256(data)
	for name, sum := range map[string][]byte{
		"Crc32":     binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)),
		"Crc32c":    binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))),
		"Crc64nvme": binary.BigEndian.AppendUint64(nil, crc64sum),
		"Sha1":      sha1sum[:],
		"Sha256":    sha256sum[:],
	} {
		header, value := "X-Amz-Checksum-"+name, base64.StdEncoding.EncodeToString(sum)
		s := newStore(t)
		source := s.start(Options{})
		s.put("app/right", data, header, value)
		wantBundle(t, source, inS3("app", "right"), data)
		if got := s.seen("X-Amz-Checksum-Mode"); got[0] != "ENABLED" {
			t.Errorf("checksums are not asked for: %q", got)
		}
		s.put("app/parts", data, header, value+"-3")
		wantBundle(t, source, inS3("app", "parts"), data)
		damaged := bytes.Clone(data)
		damaged[150_000] ^= 1
		s.put("app/wrong", damaged, header, value)
		wantError(t, source, inS3("app", "wrong"), "did not arrive as it was stored", header, value)
	}
}

// The check value that the NVM Express specification gives for its CRC-64.
func TestCRC64NVME(t *testing.T) {
	t.Parallel()
	if got := crc64.Checksum([]byte("123456789"), crc64.MakeTable(crc64NVME)); got != 0xae8b14860a799888 {
		t.Errorf("the CRC-64 of 123456789 is %x", got)
	}
}

// Damage on the way is mended by another try.
func TestDamagedDownloadIsRepeated(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	data := random(100_000)
	sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)))
	s.put("app/v1", data, "X-Amz-Checksum-Crc32", sum)
	s.intercept = func(w http.ResponseWriter, r *http.Request, number int) bool {
		if number > 1 {
			return false
		}
		damaged := bytes.Clone(data)
		damaged[99_999] ^= 0x80
		w.Header().Set("X-Amz-Checksum-Crc32", sum)
		w.Write(damaged)
		return true
	}
	wantBundle(t, s.start(Options{}), inS3("app", "v1"), data)
}

// An object that is stored with a Content-Encoding is a bundle as it is.
func TestContentEncodingIsLeftAlone(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("the bundle"))
	z.Close()
	s := newStore(t)
	s.put("app/v1.tgz", packed.Bytes(), "Content-Encoding", "gzip")
	wantBundle(t, s.start(Options{}), inS3("app", "v1.tgz"), packed.Bytes())
}

// Room is asked for before the first byte is written, and a download for which there is none leaves nothing.
//
// agent.md 17: 7
func TestRoomIsCheckedFirst(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("app/v1", random(100_000))
	full := errors.New("no space left")
	source := s.start(Options{HasRoom: func(path string, bytes int64) error {
		if info, err := os.Stat(path); err != nil || info.Size() != 0 || bytes != 100_000 {
			t.Errorf("room for %d bytes is asked for when the bundle has %v, %v", bytes, info, err)
		}
		return full
	}})
	if _, _, err := fetched(t, source, inS3("app", "v1")); !errors.Is(err, full) {
		t.Errorf("error = %v", err)
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests: a full disk does not pass", len(s.requests))
	}
}

// A link that an earlier local deployment left is replaced, not written through.
func TestBundleReplacesALink(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("app/v1", []byte("the bundle"))
	dir := t.TempDir()
	precious, path := filepath.Join(dir, "precious.zip"), filepath.Join(dir, "bundle.tar")
	if err := errors.Join(os.WriteFile(precious, []byte("precious"), 0o600), os.Symlink(precious, path)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.start(Options{}).Fetch(t.Context(), inS3("app", "v1"), path, ""); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(precious); err != nil || string(data) != "precious" {
		t.Errorf("the user's file holds %q, %v", data, err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("the bundle is %v, %v; want a file with the mode 0644", info, err)
	}
}

func TestCancelledDownloadLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.put("app/v1", random(100_000))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the agent stops")
	s.intercept = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		cancel(why)
		<-r.Context().Done()
		return true
	}
	path := filepath.Join(t.TempDir(), "bundle.tar")
	if _, err := s.start(Options{}).Fetch(ctx, inS3("app", "v1"), path, ""); !errors.Is(err, why) {
		t.Errorf("error = %v, want %v", err, why)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("a part of the bundle is left: %v", err)
	}
	if len(s.requests) != 1 {
		t.Errorf("%d requests", len(s.requests))
	}
}
