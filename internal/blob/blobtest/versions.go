package blobtest

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/blob"
)

func testConditions(t *testing.T, s Store, _ func() Store) {
	write := func(body string, when blob.Condition) error {
		_, err := s.Put(t.Context(), bucket, "k", strings.NewReader(body), &blob.Attributes{}, when)
		return err
	}
	wantError(t, "match of nothing", write("x", blob.Condition{ETag: md5Hex("x")}), blob.ErrNoKey)
	must(t, write("1", blob.Condition{Absent: true}))
	wantError(t, "absent", write("2", blob.Condition{Absent: true}), blob.ErrCondition)
	wantError(t, "other", write("2", blob.Condition{ETag: md5Hex("x")}), blob.ErrCondition)
	must(t, write("2", blob.Condition{ETag: md5Hex("1")}))
	_, err := s.Delete(t.Context(), bucket, "k", "", blob.Condition{ETag: md5Hex("1")})
	wantError(t, "delete another", err, blob.ErrCondition)
	if got := get(t, s, "k", blob.Range{}); got != "2" {
		t.Errorf("got %q", got)
	}
	_, err = s.Delete(t.Context(), bucket, "k", "", blob.Condition{ETag: md5Hex("2")})
	must(t, err)
	must(t, write("3", blob.Condition{Absent: true}))

	u := createUpload(t, s, blob.Attributes{})
	part := putPart(t, s, u, 1, "x", nil)
	_, err = s.CompleteUpload(t.Context(), u, []blob.Part{part}, "", blob.Condition{Absent: true})
	wantError(t, "complete", err, blob.ErrCondition)
	_, err = s.CompleteUpload(t.Context(), u, []blob.Part{part}, "", blob.Condition{ETag: md5Hex("3")})
	must(t, err)
}

// testRaceForKey: of many writers who want to be the first, one is.
func testRaceForKey(t *testing.T, s Store, _ func() Store) {
	var wins atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			body := strings.NewReader(fmt.Sprint(i))
			switch _, err := s.Put(t.Context(), bucket, "k", body, &blob.Attributes{}, blob.Condition{Absent: true}); {
			case err == nil:
				wins.Add(1)
			case !errors.Is(err, blob.ErrCondition):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d writers were the first", wins.Load())
	}
}

func testUploads(t *testing.T, s Store, reopen func() Store) {
	var want []blob.Upload
	for _, key := range []string{"b", "a/1", "a/2"} {
		id, err := s.CreateUpload(t.Context(), bucket, key, &blob.Attributes{})
		must(t, err)
		want = append(want, blob.Upload{Bucket: bucket, Key: key, ID: id})
	}
	list := func(prefix string) []blob.Upload {
		uploads, err := reopen().ListUploads(t.Context(), bucket, prefix)
		must(t, err)
		var ids []blob.Upload
		for _, u := range uploads {
			ids = append(ids, u.Upload)
		}
		return ids
	}
	if diff := cmp.Diff([]blob.Upload{want[1], want[2], want[0]}, list("")); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	must(t, s.AbortUpload(t.Context(), want[1]))
	if diff := cmp.Diff([]blob.Upload{want[2]}, list("a/")); diff != "" {
		t.Errorf("with a prefix (-want +got):\n%s", diff)
	}
	_, err := s.ListUploads(t.Context(), "absent", "")
	wantError(t, "elsewhere", err, blob.ErrNoBucket)
}

// testUpgradeToVersions: what was stored before is the version "null" from then on.
func testUpgradeToVersions(t *testing.T, s Store, reopen func() Store) {
	if old := put(t, s, "k", "old"); old.Version != "" {
		t.Errorf("version %q in a bucket without versions", old.Version)
	}
	must(t, s.SetVersioning(t.Context(), bucket, blob.Enabled))
	b, err := reopen().StatBucket(t.Context(), bucket)
	must(t, err)
	if b.Versioning != blob.Enabled {
		t.Errorf("versioning is %q", b.Versioning)
	}
	if o, err := s.Stat(t.Context(), bucket, "k", ""); err != nil || o.Version != blob.NullVersion {
		t.Errorf("got version %q, error %v", o.Version, err)
	}
	newer := put(t, s, "k", "new")
	for version, want := range map[string]string{"": "new", newer.Version: "new", blob.NullVersion: "old"} {
		if got := getVersion(t, s, "k", version); got != want {
			t.Errorf("version %q is %q, want %q", version, got, want)
		}
	}
	for _, version := range []string{"ABSENT", "../k", ".", "a/b", "nul"} {
		_, err := s.Stat(t.Context(), bucket, "k", version)
		wantError(t, "stat "+version, err, blob.ErrNoVersion)
	}
	wantError(t, "delete the bucket", s.DeleteBucket(t.Context(), bucket), blob.ErrBucketNotEmpty)
	marker, err := s.Delete(t.Context(), bucket, "k", "", blob.Condition{})
	must(t, err)
	o, err := s.Stat(t.Context(), bucket, "k", "")
	wantError(t, "stat", err, blob.ErrNoKey)
	if !o.DeleteMarker || o.Version != marker.Version {
		t.Errorf("the marker %+v does not come with the error", o)
	}
	_, err = s.Stat(t.Context(), bucket, "k", marker.Version)
	wantError(t, "stat the marker", err, blob.ErrDeleteMarker)
	wantError(t, "delete the bucket with old versions", s.DeleteBucket(t.Context(), bucket), blob.ErrBucketNotEmpty)
	for _, version := range []string{marker.Version, newer.Version, blob.NullVersion, "ABSENT"} {
		_, err := s.Delete(t.Context(), bucket, "k", version, blob.Condition{})
		must(t, err)
	}
	must(t, s.DeleteBucket(t.Context(), bucket))
	_, err = s.ListVersions(t.Context(), bucket, blob.VersionQuery{Query: blob.Query{Max: 1}})
	wantError(t, "list", err, blob.ErrNoBucket)
	wantError(t, "set", s.SetVersioning(t.Context(), bucket, blob.Enabled), blob.ErrNoBucket)
}

func testVersionsOfUploads(t *testing.T, s Store, reopen func() Store) {
	must(t, s.SetVersioning(t.Context(), bucket, blob.Enabled))
	before := put(t, s, "k", "before")
	u := createUpload(t, s, blob.Attributes{})
	part := putPart(t, s, u, 1, "x", nil)
	made, err := s.CompleteUpload(t.Context(), u, []blob.Part{part}, "", blob.Condition{})
	must(t, err)
	put(t, s, "k", "after")
	again, err := reopen().CompleteUpload(t.Context(), u, []blob.Part{part}, "", blob.Condition{})
	must(t, err)
	if made.Version == "" || made.Version != again.Version {
		t.Errorf("made %+v, and later %+v", made, again)
	}
	if a, b := getVersion(t, s, "k", before.Version), getVersion(t, s, "k", made.Version); a != "before" || b != "x" {
		t.Errorf("got %q and %q", a, b)
	}
}

func testVersionWhileOpen(t *testing.T, s Store, _ func() Store) {
	must(t, s.SetVersioning(t.Context(), bucket, blob.Enabled))
	old := strings.Repeat("old", 1<<20)
	version := put(t, s, "k", old).Version
	body, _, err := s.Open(t.Context(), bucket, "k", version, blob.Range{})
	must(t, err)
	defer body.Close()
	put(t, s, "k", "new")
	_, err = s.Delete(t.Context(), bucket, "k", version, blob.Condition{})
	must(t, err)
	got, err := io.ReadAll(body)
	must(t, err)
	if string(got) != old {
		t.Error("the open version changed")
	}
}

func getVersion(t *testing.T, s Store, key, version string) string {
	t.Helper()
	body, _, err := s.Open(t.Context(), bucket, key, version, blob.Range{})
	must(t, err)
	data, err := io.ReadAll(body)
	must(t, errors.Join(err, body.Close()))
	return string(data)
}

// history is what versions mean, plainly: those of one key, the newest first.
type history []blob.Object

func (h history) add(v blob.Object) history {
	if v.Version == blob.NullVersion {
		h = h.without(v.Version)
	}
	return append(history{v}, h...)
}

func (h history) without(version string) history {
	return slices.DeleteFunc(slices.Clone(h), func(v blob.Object) bool { return v.Version == version })
}

// testVersions makes random histories and compares every version, and every page of their listing, with the model.
func testVersions(t *testing.T, newStore func(t testing.TB) (Store, func() Store)) {
	s, reopen := newStore(t)
	n := 0
	rapid.Check(t, func(r *rapid.T) {
		n++
		name := fmt.Sprintf("versions-%d", n)
		must(t, s.CreateBucket(t.Context(), name))
		must(t, s.SetVersioning(t.Context(), name, blob.Enabled))
		model := map[string]history{}
		for i := range rapid.IntRange(1, 12).Draw(r, "steps") {
			key := rapid.SampledFrom([]string{"a", "a/b", "b", strings.Repeat("l", 300)}).Draw(r, "key")
			switch rapid.SampledFrom([]string{"put", "put", "delete", "remove", "suspend", "enable", "reopen"}).Draw(r, "step") {
			case "put":
				o, err := s.Put(t.Context(), name, key, strings.NewReader(fmt.Sprint(i)), &blob.Attributes{}, blob.Condition{})
				must(t, err)
				model[key] = model[key].add(o)
			case "delete":
				o, err := s.Delete(t.Context(), name, key, "", blob.Condition{})
				must(t, err)
				model[key] = model[key].add(o)
			case "remove":
				if len(model[key]) > 0 {
					v := rapid.SampledFrom(model[key]).Draw(r, "version")
					_, err := s.Delete(t.Context(), name, key, v.Version, blob.Condition{})
					must(t, err)
					model[key] = model[key].without(v.Version)
				}
			case "suspend":
				must(t, s.SetVersioning(t.Context(), name, blob.Suspended))
			case "enable":
				must(t, s.SetVersioning(t.Context(), name, blob.Enabled))
			case "reopen":
				s = reopen()
			}
			checkCurrent(t, r, s, name, model)
		}
		checkVersions(t, r, s, name, model)
	})
}

// checkCurrent compares what one sees who asks for no version.
func checkCurrent(t *testing.T, r *rapid.T, s Store, name string, model map[string]history) {
	var want, got []string
	for key, h := range model {
		if len(h) > 0 && !h[0].DeleteMarker {
			want = append(want, key+" "+h[0].ETag)
		}
	}
	slices.Sort(want)
	page, err := s.List(t.Context(), name, blob.Query{Max: 100})
	must(t, err)
	for _, o := range page.Objects {
		stat, err := s.Stat(t.Context(), name, o.Key, "")
		must(t, err)
		if len(model[o.Key]) > 0 && stat.Version != model[o.Key][0].Version {
			r.Fatalf("%s has version %s, want %s", o.Key, stat.Version, model[o.Key][0].Version)
		}
		got = append(got, o.Key+" "+stat.ETag)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("current objects (-want +got):\n%s", diff)
	}
}

// checkVersions compares the listing, read in pages, and finds each version.
func checkVersions(t *testing.T, r *rapid.T, s Store, name string, model map[string]history) {
	var want, got []string
	show := func(v blob.Object, latest bool) string {
		return fmt.Sprint(v.Key, " ", v.Version, " ", v.ETag, " ", v.DeleteMarker, " ", latest)
	}
	for _, key := range slices.Sorted(maps.Keys(model)) {
		for i, v := range model[key] {
			want = append(want, show(v, i == 0))
			_, err := s.Stat(t.Context(), name, key, v.Version)
			if found := map[bool]error{true: blob.ErrDeleteMarker}[v.DeleteMarker]; !errors.Is(err, found) {
				r.Fatalf("version %s of %s: got error %v, want %v", v.Version, key, err, found)
			}
		}
	}
	q := blob.VersionQuery{Query: blob.Query{Max: rapid.IntRange(1, 3).Draw(r, "max")}}
	for {
		page, err := s.ListVersions(t.Context(), name, q)
		must(t, err)
		for _, v := range page.Versions {
			got = append(got, show(v, v.Latest))
		}
		if page.Next == "" {
			break
		}
		q.After, q.AfterVersion = page.Next, page.NextVersion
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.Fatalf("versions (-want +got):\n%s", diff)
	}
}
