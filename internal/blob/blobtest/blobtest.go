// Package blobtest is the suite that every provider of package blob must pass.
package blobtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/blob"
)

// Store is what the suite needs of a provider.
type Store interface {
	blob.Store
	blob.Buckets
	blob.Multipart
	blob.Versions
}

const bucket = "bundles"

// Limits are what a provider is excused from. The zero Limits are none.
type Limits struct {
	// Key, if not nil, returns false for keys that the provider refuses with blob.ErrKey.
	Key func(key string) bool
	// Cannot names the tests of what the provider, or the store behind it, cannot do.
	Cannot []string
}

func (l Limits) allows(key string) bool { return l.Key == nil || l.Key(key) }

// Run tests the provider. newStore returns an empty store and a function that opens it anew, as after a restart.
func Run(t *testing.T, limits Limits, newStore func(t testing.TB) (s Store, reopen func() Store)) {
	for name, test := range map[string]func(*testing.T, Store, func() Store){
		"buckets": testBuckets, "round trip": testRoundTrip, "ranges": testRanges,
		"failed put": testFailedPut, "replace while open": testReplaceWhileOpen, "missing": testMissing,
		"concurrent puts": testConcurrentPuts, "late attributes": testLateAttributes, "multipart": testMultipart,
		"complete again": testCompleteAgain, "complete twice at once": testCompleteTwiceAtOnce,
		"multipart refusals": testMultipartRefusals, "multipart checksums": testMultipartChecksums, "abort": testAbort,
		"conditions": testConditions, "race for a key": testRaceForKey, "uploads": testUploads, "upgrade to versions": testUpgradeToVersions,
		"versions of uploads": testVersionsOfUploads, "version while open": testVersionWhileOpen,
		"odd keys": func(t *testing.T, s Store, reopen func() Store) { testOddKeys(t, limits, s, reopen) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if slices.Contains(limits.Cannot, name) {
				t.SkipNow()
			}
			s, reopen := newStore(t)
			must(t, s.CreateBucket(t.Context(), bucket))
			test(t, s, reopen)
		})
	}
	t.Run("versions", func(t *testing.T) {
		t.Parallel()
		if slices.Contains(limits.Cannot, "versions") {
			t.SkipNow()
		}
		testVersions(t, newStore)
	})
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		testList(t, newStore)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want %v", what, err, want)
	}
}

func put(t *testing.T, s Store, key, body string) blob.Object {
	t.Helper()
	object, err := s.Put(t.Context(), bucket, key, strings.NewReader(body), &blob.Attributes{}, blob.Condition{})
	must(t, err)
	return object
}

func remove(t *testing.T, s Store, key string) {
	t.Helper()
	if _, err := s.Delete(t.Context(), bucket, key, "", blob.Condition{}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s Store, key string, r blob.Range) string {
	t.Helper()
	body, _, err := s.Open(t.Context(), bucket, key, "", r)
	must(t, err)
	data, err := io.ReadAll(body)
	must(t, errors.Join(err, body.Close()))
	return string(data)
}

func keys(t *testing.T, s Store) []string {
	t.Helper()
	page, err := s.List(t.Context(), bucket, blob.Query{Max: 1000})
	must(t, err)
	var keys []string
	for _, o := range page.Objects {
		keys = append(keys, o.Key)
	}
	return keys
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

func testBuckets(t *testing.T, s Store, reopen func() Store) {
	ctx := t.Context()
	must(t, s.CreateBucket(ctx, "another.bucket"))
	wantError(t, "create again", s.CreateBucket(ctx, bucket), blob.ErrBucketExists)
	for _, name := range []string{"", "ab", "Upper", "a_b_c", "..", "a..b", "-abc", "a/../b", strings.Repeat("a", 64)} {
		wantError(t, "create "+name, s.CreateBucket(ctx, name), blob.ErrBucketName)
		_, err := s.StatBucket(ctx, name)
		wantError(t, "stat "+name, err, blob.ErrNoBucket)
	}
	buckets, err := reopen().ListBuckets(ctx)
	must(t, err)
	if len(buckets) != 2 || buckets[0].Name != "another.bucket" || buckets[1].Name != bucket {
		t.Errorf("got buckets %v", buckets)
	}
	if age := time.Since(buckets[1].Created); age < -time.Minute || age > time.Minute {
		t.Errorf("bucket is %v old", age)
	}
	put(t, s, "k", "")
	wantError(t, "delete with an object", s.DeleteBucket(ctx, bucket), blob.ErrBucketNotEmpty)
	remove(t, s, "k")
	_, err = s.CreateUpload(ctx, bucket, "unfinished", &blob.Attributes{})
	must(t, err)
	must(t, s.DeleteBucket(ctx, bucket))
	wantError(t, "delete again", s.DeleteBucket(ctx, bucket), blob.ErrNoBucket)
	_, err = s.Put(ctx, bucket, "k", strings.NewReader(""), &blob.Attributes{}, blob.Condition{})
	wantError(t, "put", err, blob.ErrNoBucket)
	_, err = s.List(ctx, bucket, blob.Query{Max: 1})
	wantError(t, "list", err, blob.ErrNoBucket)
	must(t, s.CreateBucket(ctx, bucket))
}

// about compares times: a store may keep seconds, and tell a moment later when it wrote.
var about = cmp.Comparer(func(a, b time.Time) bool { return a.Sub(b).Abs() <= 2*time.Second })

func testRoundTrip(t *testing.T, s Store, reopen func() Store) {
	attrs := blob.Attributes{
		ContentType: "application/zip",
		Headers:     map[string]string{"Cache-Control": "no-store"},
		Metadata:    map[string]string{"version": "ü 2"},
		Checksum:    &blob.Checksum{Algorithm: blob.CRC32, Value: "NhCmhg=="},
	}
	stored, err := s.Put(t.Context(), bucket, "app/1.zip", strings.NewReader("hello"), &attrs, blob.Condition{})
	must(t, err)
	want := blob.Object{Key: "app/1.zip", Size: 5, ETag: md5Hex("hello"), Modified: stored.Modified, Attributes: attrs}
	s = reopen()
	body, opened, err := s.Open(t.Context(), bucket, "app/1.zip", "", blob.Range{})
	must(t, err)
	must(t, body.Close())
	statted, err := s.Stat(t.Context(), bucket, "app/1.zip", "")
	must(t, err)
	page, err := s.List(t.Context(), bucket, blob.Query{Max: 1})
	must(t, err)
	listed := page.Objects[0]
	listed.Attributes = attrs // which a list need not tell
	for what, got := range map[string]blob.Object{"put": stored, "open": opened, "stat": statted, "list": listed} {
		if diff := cmp.Diff(want, got, about); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	if got := get(t, s, "app/1.zip", blob.Range{}); got != "hello" {
		t.Errorf("got %q", got)
	}
	if age := time.Since(stored.Modified); age < -time.Minute || age > time.Minute {
		t.Errorf("object is %v old", age)
	}
	if got := put(t, s, "app/1.zip", "").ETag; got != md5Hex("") {
		t.Errorf("got ETag %s after it was emptied", got)
	}
	if got := get(t, s, "app/1.zip", blob.Range{}); got != "" {
		t.Errorf("got %q after it was emptied", got)
	}
}

func testRanges(t *testing.T, s Store, _ func() Store) {
	put(t, s, "k", "0123456789")
	put(t, s, "empty", "")
	for _, tt := range []struct {
		r    blob.Range
		want string
	}{
		{blob.Range{}, "0123456789"}, {blob.Range{First: 9}, "9"}, {blob.Range{First: -3}, "789"},
		{blob.Range{First: -30}, "0123456789"}, {blob.Range{First: 2, Count: 3}, "234"}, {blob.Range{Count: 1}, "0"},
		{blob.Range{First: 8, Count: 5}, "89"},
	} {
		if got := get(t, s, "k", tt.r); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.r, got, tt.want)
		}
	}
	for key, r := range map[string]blob.Range{"k": {First: 10}, "empty": {First: -1}} {
		_, object, err := s.Open(t.Context(), bucket, key, "", r)
		wantError(t, "range", err, blob.ErrRange)
		if object.Key != key {
			t.Errorf("%s: object %+v does not come with the error", key, object)
		}
	}
}

// testOddKeys: keys that would be trouble as file names, each next to those that it could be mistaken for.
func testOddKeys(t *testing.T, limits Limits, s Store, reopen func() Store) {
	long := strings.Repeat("x", 200)
	odd := []string{
		"..", ".", "/", "../../etc/passwd", "a", "a/", "a//b", "a/b", "a/./b", "a/../b", "A", "%61", "a%2fb", "a+", "a+/b",
		"nul\x00byte", "line\nbreak", "ünï/cødé", "日本語.zip", " ", ".hidden", "-rf", "a\\b", "c:con", "~",
		long, long + "x", long + "+", long + "/y", long + ".z", strings.Repeat("/", blob.MaxKey),
		strings.Repeat("Ü", blob.MaxKey/2), strings.Repeat(".", 700), strings.Repeat("a/", 500),
	}
	refused := []string{"", strings.Repeat("k", blob.MaxKey+1), "\xff"}
	odd = slices.DeleteFunc(odd, func(key string) bool {
		if !limits.allows(key) {
			refused = append(refused, key)
		}
		return !limits.allows(key)
	})
	slices.Sort(odd)
	for _, key := range odd {
		put(t, s, key, "body of "+key)
	}
	s = reopen()
	for _, key := range odd {
		if got := get(t, s, key, blob.Range{}); got != "body of "+key {
			t.Errorf("%q: got %q", key, got)
		}
	}
	if diff := cmp.Diff(odd, keys(t, s)); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	for i, key := range odd {
		remove(t, s, key)
		if diff := cmp.Diff(append([]string(nil), odd[i+1:]...), keys(t, s)); diff != "" {
			t.Fatalf("list after %q was deleted (-want +got):\n%s", key, diff)
		}
	}
	for _, key := range refused {
		_, err := s.Put(t.Context(), bucket, key, strings.NewReader(""), &blob.Attributes{}, blob.Condition{})
		wantError(t, "put", err, blob.ErrKey)
		_, err = s.Stat(t.Context(), bucket, key, "")
		wantError(t, "stat", err, blob.ErrKey)
		_, err = s.Delete(t.Context(), bucket, key, "", blob.Condition{})
		wantError(t, "delete", err, blob.ErrKey)
	}
}

// brokenReader gives some bytes and then fails, as a refused or interrupted upload does.
type brokenReader struct{ left int }

var errBroken = errors.New("broken")

func (b *brokenReader) Read(p []byte) (int, error) {
	n := min(b.left, len(p))
	b.left -= n
	if n == 0 {
		return 0, errBroken
	}
	return n, nil
}

func testFailedPut(t *testing.T, s Store, reopen func() Store) {
	put(t, s, "k", "old")
	_, err := s.Put(t.Context(), bucket, "k", &brokenReader{100_000}, &blob.Attributes{}, blob.Condition{})
	wantError(t, "replace", err, errBroken)
	_, err = s.Put(t.Context(), bucket, "new", &brokenReader{100_000}, &blob.Attributes{}, blob.Condition{})
	wantError(t, "put", err, errBroken)
	s = reopen()
	if got := get(t, s, "k", blob.Range{}); got != "old" {
		t.Errorf("got %q, want the old object", got)
	}
	_, err = s.Stat(t.Context(), bucket, "new", "")
	wantError(t, "stat", err, blob.ErrNoKey)
}

func testReplaceWhileOpen(t *testing.T, s Store, _ func() Store) {
	old := strings.Repeat("old", 1<<20)
	put(t, s, "k", old)
	body, _, err := s.Open(t.Context(), bucket, "k", "", blob.Range{})
	must(t, err)
	defer body.Close()
	put(t, s, "k", strings.Repeat("new", 1<<20))
	remove(t, s, "k")
	got, err := io.ReadAll(body)
	must(t, err)
	if string(got) != old {
		t.Error("the open object changed")
	}
}

func testMissing(t *testing.T, s Store, _ func() Store) {
	ctx := t.Context()
	_, err := s.Stat(ctx, bucket, "k", "")
	wantError(t, "stat", err, blob.ErrNoKey)
	_, _, err = s.Open(ctx, bucket, "k", "", blob.Range{First: 5})
	wantError(t, "open", err, blob.ErrNoKey)
	remove(t, s, "k")
	put(t, s, "k", "")
	remove(t, s, "k")
	_, err = s.Stat(ctx, bucket, "k", "")
	wantError(t, "stat after delete", err, blob.ErrNoKey)
	_, err = s.Stat(ctx, "absent", "k", "")
	wantError(t, "stat elsewhere", err, blob.ErrNoBucket)
	_, _, err = s.Open(ctx, "absent", "k", "", blob.Range{})
	wantError(t, "open elsewhere", err, blob.ErrNoBucket)
	_, err = s.Delete(ctx, "absent", "k", "", blob.Condition{})
	wantError(t, "delete elsewhere", err, blob.ErrNoBucket)
	_, err = s.CreateUpload(ctx, "absent", "k", &blob.Attributes{})
	wantError(t, "upload elsewhere", err, blob.ErrNoBucket)
}

// testConcurrentPuts: of several writers of one key one wins as a whole, and folders that come and go with long keys do
// not make writers of their neighbours fail.
func testConcurrentPuts(t *testing.T, s Store, _ func() Store) {
	long := strings.Repeat("x", 300)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 10 {
				body := strings.Repeat(fmt.Sprint(i), 10_000)
				if _, err := s.Put(context.Background(), bucket, "shared", strings.NewReader(body), &blob.Attributes{}, blob.Condition{}); err != nil {
					t.Error(err)
				}
				key := long + fmt.Sprint(i)
				if _, err := s.Put(context.Background(), bucket, key, strings.NewReader(""), &blob.Attributes{}, blob.Condition{}); err != nil {
					t.Error(err)
				}
				if _, err := s.Delete(context.Background(), bucket, key, "", blob.Condition{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got := get(t, s, "shared", blob.Range{})
	if got != strings.Repeat(got[:1], 10_000) {
		t.Error("two objects were mixed")
	}
	if diff := cmp.Diff([]string{"shared"}, keys(t, s)); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

// lateReader sets attributes when it ends.
type lateReader struct {
	io.Reader
	attrs *blob.Attributes
}

func (l lateReader) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF {
		l.attrs.Metadata = map[string]string{"late": "yes"}
	}
	return n, err
}

func testLateAttributes(t *testing.T, s Store, _ func() Store) {
	var attrs blob.Attributes
	_, err := s.Put(t.Context(), bucket, "k", lateReader{strings.NewReader("x"), &attrs}, &attrs, blob.Condition{})
	must(t, err)
	if object, err := s.Stat(t.Context(), bucket, "k", ""); err != nil || object.Metadata["late"] != "yes" {
		t.Errorf("attributes were read before the end of the body: %+v, error %v", object, err)
	}
}

// testList compares every page with what a plain reading of the rules gives.
func testList(t *testing.T, newStore func(t testing.TB) (Store, func() Store)) {
	s, _ := newStore(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		name := fmt.Sprintf("list-%d", n)
		must(t, s.CreateBucket(t.Context(), name))
		all := rapid.SliceOfNDistinct(rapid.StringMatching(`[ab/%]{1,5}`), 0, 12, rapid.ID).Draw(r, "keys")
		for _, key := range all {
			_, err := s.Put(t.Context(), name, key, strings.NewReader(key), &blob.Attributes{}, blob.Condition{})
			must(t, err)
		}
		q := blob.Query{
			Prefix:    rapid.StringMatching(`[ab/]{0,2}`).Draw(r, "prefix"),
			Delimiter: rapid.SampledFrom([]string{"", "/", "b/"}).Draw(r, "delimiter"),
			After:     rapid.StringMatching(`[ab]{0,2}`).Draw(r, "after"),
			Max:       rapid.IntRange(1, 4).Draw(r, "max"),
		}
		want := listModel(all, q)
		var got []string
		for {
			page, err := s.List(t.Context(), name, q)
			must(t, err)
			entries := slices.Clone(page.Prefixes)
			for _, o := range page.Objects {
				entries = append(entries, o.Key)
				if o.Size != int64(len(o.Key)) {
					r.Fatalf("%q has %d bytes", o.Key, o.Size)
				}
			}
			if len(entries) > q.Max {
				r.Fatalf("%d entries on a page of %d", len(entries), q.Max)
			}
			slices.Sort(entries)
			got = append(got, entries...)
			if page.Next == "" {
				break
			}
			if page.Next <= q.After {
				r.Fatalf("the page after %q is followed by that after %q", q.After, page.Next)
			}
			q.After = page.Next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			r.Fatalf("list (-want +got):\n%s", diff)
		}
	})
}

func listModel(keys []string, q blob.Query) []string {
	entries := map[string]bool{}
	for _, key := range keys {
		rest, ok := strings.CutPrefix(key, q.Prefix)
		if !ok || key <= q.After {
			continue
		}
		if before, _, found := strings.Cut(rest, q.Delimiter); found && q.Delimiter != "" {
			key = q.Prefix + before + q.Delimiter
		}
		entries[key] = true
	}
	var sorted []string
	for entry := range entries {
		sorted = append(sorted, entry)
	}
	slices.Sort(sorted)
	return sorted
}

func putPart(t *testing.T, s Store, u blob.Upload, number int, body string, sum *blob.Checksum) blob.Part {
	t.Helper()
	part, err := s.PutPart(t.Context(), u, number, strings.NewReader(body), &blob.Attributes{Checksum: sum})
	must(t, err)
	return part
}

func createUpload(t *testing.T, s Store, attrs blob.Attributes) blob.Upload {
	t.Helper()
	id, err := s.CreateUpload(t.Context(), bucket, "k", &attrs)
	must(t, err)
	return blob.Upload{Bucket: bucket, Key: "k", ID: id}
}

func testMultipart(t *testing.T, s Store, reopen func() Store) {
	first, second := strings.Repeat("1", blob.MinPart), "2"
	attrs := blob.Attributes{ContentType: "application/zip", Metadata: map[string]string{"a": "b"}}
	u := createUpload(t, s, attrs)
	two := putPart(t, s, u, 2, second, nil)
	putPart(t, s, u, 1, "replaced", nil)
	putPart(t, s, u, 7, "left out", nil)
	s = reopen()
	one := putPart(t, s, u, 1, first, nil)
	if _, err := s.PutPart(t.Context(), u, 1, &brokenReader{10}, &blob.Attributes{}); !errors.Is(err, errBroken) {
		t.Errorf("got error %v, want %v", err, errBroken)
	}
	parts, sum, err := s.ListParts(t.Context(), u)
	must(t, err)
	if len(parts) != 3 || !cmp.Equal(parts[:2], []blob.Part{one, two}, about) || sum != nil {
		t.Errorf("got parts %+v, checksum %+v", parts, sum)
	}
	if len(keys(t, s)) != 0 {
		t.Error("the object is visible before it is complete")
	}
	object, err := s.CompleteUpload(t.Context(), u, []blob.Part{one, two}, "", blob.Condition{})
	must(t, err)
	a, b := md5.Sum([]byte(first)), md5.Sum([]byte(second))
	want := blob.Object{
		Key: "k", Size: int64(len(first) + 1), ETag: md5Hex(string(a[:])+string(b[:])) + "-2",
		Modified: object.Modified, Upload: u.ID, Parts: []int64{blob.MinPart, 1}, Attributes: attrs,
	}
	stored, err := reopen().Stat(t.Context(), bucket, "k", "")
	must(t, err)
	if stored.Upload == "" && stored.Parts == nil {
		stored.Upload, stored.Parts = want.Upload, want.Parts // not known
	}
	if diff := cmp.Diff(want, stored, about); diff != "" {
		t.Errorf("stat (-want +got):\n%s", diff)
	}
	if get(t, s, "k", blob.Range{}) != first+second {
		t.Error("the parts were not joined")
	}
}

// testCompleteAgain: a client that got no answer asks again, perhaps after the server has come back.
func testCompleteAgain(t *testing.T, s Store, reopen func() Store) {
	u := createUpload(t, s, blob.Attributes{})
	parts := []blob.Part{putPart(t, s, u, 1, "x", nil)}
	object, err := s.CompleteUpload(t.Context(), u, parts, "", blob.Condition{})
	must(t, err)
	again, err := reopen().CompleteUpload(t.Context(), u, parts, "", blob.Condition{})
	must(t, err)
	if again.ETag != object.ETag {
		t.Errorf("made %+v, and then %+v", object, again)
	}
	put(t, s, "k", "replaced")
	_, err = s.CompleteUpload(t.Context(), u, parts, "", blob.Condition{})
	wantError(t, "complete again after the object was replaced", err, blob.ErrNoUpload)
}

// testCompleteTwiceAtOnce: a client that had no answer for long enough asks again while the first request is still at work.
func testCompleteTwiceAtOnce(t *testing.T, s Store, _ func() Store) {
	u := createUpload(t, s, blob.Attributes{})
	part := putPart(t, s, u, 1, strings.Repeat("1", blob.MinPart), nil)
	var objects [4]blob.Object
	var wg sync.WaitGroup
	for i := range objects {
		wg.Go(func() {
			var err error
			if objects[i], err = s.CompleteUpload(t.Context(), u, []blob.Part{part}, "", blob.Condition{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, o := range objects[1:] {
		if !cmp.Equal(o, objects[0], about) {
			t.Errorf("one upload made %+v and %+v", objects[0], o)
		}
	}
}

func testMultipartRefusals(t *testing.T, s Store, _ func() Store) {
	ctx := t.Context()
	u := createUpload(t, s, blob.Attributes{})
	small, big := putPart(t, s, u, 1, "small", nil), putPart(t, s, u, 2, "last", nil)
	for _, number := range []int{0, -1, blob.MaxParts + 1} {
		_, err := s.PutPart(ctx, u, number, strings.NewReader(""), &blob.Attributes{})
		wantError(t, fmt.Sprint("part ", number), err, blob.ErrPart)
	}
	other := small
	other.ETag = md5Hex("other")
	for _, tt := range []struct {
		name  string
		parts []blob.Part
		want  error
	}{
		{"none", nil, blob.ErrPart},
		{"absent", []blob.Part{{Number: 3, ETag: small.ETag}}, blob.ErrPart},
		{"other ETag", []blob.Part{other}, blob.ErrPart},
		{"descending", []blob.Part{big, small}, blob.ErrPartOrder},
		{"twice", []blob.Part{small, small}, blob.ErrPartOrder},
		{"too small", []blob.Part{small, big}, blob.ErrPartTooSmall},
	} {
		_, err := s.CompleteUpload(ctx, u, tt.parts, "", blob.Condition{})
		wantError(t, tt.name, err, tt.want)
	}
	for _, wrong := range []blob.Upload{
		{Bucket: bucket, Key: "other", ID: u.ID}, {Bucket: bucket, Key: "k", ID: "absent"}, {Bucket: bucket, Key: "k"},
		{Bucket: bucket, Key: "k", ID: "../uploads/" + u.ID}, {Bucket: bucket, Key: "k", ID: ".."},
	} {
		_, err := s.PutPart(ctx, wrong, 1, strings.NewReader(""), &blob.Attributes{})
		wantError(t, "part of "+wrong.ID, err, blob.ErrNoUpload)
		_, err = s.CompleteUpload(ctx, wrong, []blob.Part{small}, "", blob.Condition{})
		wantError(t, "complete "+wrong.ID, err, blob.ErrNoUpload)
		wantError(t, "abort "+wrong.ID, s.AbortUpload(ctx, wrong), blob.ErrNoUpload)
	}
	_, err := s.CompleteUpload(ctx, u, []blob.Part{small}, "", blob.Condition{})
	must(t, err)
}

func testMultipartChecksums(t *testing.T, s Store, _ func() Store) {
	sum := func(body string) *blob.Checksum {
		h := blob.CRC32C.New()
		io.WriteString(h, body)
		return &blob.Checksum{Algorithm: blob.CRC32C, Value: blob.Encode(h)}
	}
	first := string(bytes.Repeat([]byte{'1'}, blob.MinPart))
	for _, composite := range []bool{true, false} {
		u := createUpload(t, s, blob.Attributes{Checksum: &blob.Checksum{Algorithm: blob.CRC32C, Composite: composite}})
		parts := []blob.Part{putPart(t, s, u, 1, first, sum(first)), putPart(t, s, u, 2, "2", sum("2"))}
		want := sum(first + "2")
		if composite {
			want = blob.PartsChecksum(blob.CRC32C, parts)
		}
		_, err := s.CompleteUpload(t.Context(), u, parts, "AAAAAA==", blob.Condition{})
		wantError(t, "wrong checksum", err, blob.ErrChecksum)
		wrong := slices.Clone(parts)
		wrong[0].Checksum = sum("other")
		_, err = s.CompleteUpload(t.Context(), u, wrong, "", blob.Condition{})
		wantError(t, "wrong checksum of a part", err, blob.ErrPart)

		object, err := s.CompleteUpload(t.Context(), u, parts, want.Value, blob.Condition{})
		must(t, err)
		if diff := cmp.Diff(want, object.Checksum); diff != "" {
			t.Errorf("composite %v (-want +got):\n%s", composite, diff)
		}
	}
}

func testAbort(t *testing.T, s Store, _ func() Store) {
	u := createUpload(t, s, blob.Attributes{})
	part := putPart(t, s, u, 1, "x", nil)
	must(t, s.AbortUpload(t.Context(), u))
	wantError(t, "abort again", s.AbortUpload(t.Context(), u), blob.ErrNoUpload)
	_, err := s.PutPart(t.Context(), u, 1, strings.NewReader(""), &blob.Attributes{})
	wantError(t, "part after abort", err, blob.ErrNoUpload)
	_, err = s.CompleteUpload(t.Context(), u, []blob.Part{part}, "", blob.Condition{})
	wantError(t, "complete after abort", err, blob.ErrNoUpload)
	if len(keys(t, s)) != 0 {
		t.Error("an aborted upload left an object")
	}
}
