package disk

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"grapnel/internal/blob"
	"grapnel/internal/blob/blobtest"
)

// TestMain lets the tests below run this program again as a child that is killed, or has a tiny disk.
func TestMain(m *testing.M) {
	switch root := os.Getenv("DISK_TEST_ROOT"); os.Getenv("DISK_TEST_CHILD") {
	case "put":
		putForever(root)
	case "versions":
		changeForever(root)
	case "fill":
		fillDisk(root)
	default:
		os.Exit(m.Run())
	}
}

func open(t testing.TB, root string) *Store {
	t.Helper()
	s, err := Open(root, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, blobtest.Limits{}, func(t testing.TB) (blobtest.Store, func() blobtest.Store) {
		root := t.TempDir()
		return open(t, root), func() blobtest.Store { return open(t, root) }
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := string(rapid.SliceOfN(rapid.SampledFrom([]byte("aA./+%\x00\xff")), 1, blob.MaxKey).Draw(t, "key"))
		path := keyPath(key)
		for part := range strings.SplitSeq(path, "/") {
			if len(part) > 255 || strings.HasPrefix(part, ".") || part != filepath.Clean(part) {
				t.Fatalf("bad file name %q", part)
			}
		}
		if back, err := pathKey(path); err != nil || back != key {
			t.Fatalf("%q came back as %q, error %v", key, back, err)
		}
	})
}

// files lists what is in tmp.
func files(t *testing.T, s *Store) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.tmp(), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReap(t *testing.T) {
	t.Parallel()
	s, ctx := open(t, t.TempDir()), t.Context()
	if err := s.CreateBucket(ctx, "bundles"); err != nil {
		t.Fatal(err)
	}
	id, err := s.CreateUpload(ctx, "bundles", "k", &blob.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	u := blob.Upload{Bucket: "bundles", Key: "k", ID: id}
	for _, tt := range []struct {
		after time.Duration
		want  int
	}{{blob.UploadLife - time.Hour, 0}, {blob.UploadLife + time.Hour, 1}, {blob.UploadLife + time.Hour, 0}} {
		if n, err := s.Reap(ctx, time.Now().Add(tt.after)); err != nil || n != tt.want {
			t.Errorf("after %v: reaped %d, error %v; want %d", tt.after, n, err, tt.want)
		}
	}
	if _, _, err := s.ListParts(ctx, u); !errors.Is(err, blob.ErrNoUpload) {
		t.Errorf("got error %v, want %v", err, blob.ErrNoUpload)
	}
	if left := files(t, s); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestPartReplacedMeanwhile: a part that comes between the check of the parts and their copy is not what the client meant.
func TestPartReplacedMeanwhile(t *testing.T) {
	t.Parallel()
	s, ctx := open(t, t.TempDir()), t.Context()
	if err := s.CreateBucket(ctx, "bundles"); err != nil {
		t.Fatal(err)
	}
	id, err := s.CreateUpload(ctx, "bundles", "k", &blob.Attributes{})
	if err != nil {
		t.Fatal(err)
	}
	u := blob.Upload{Bucket: "bundles", Key: "k", ID: id}
	var parts []blob.Part
	for _, body := range []string{"checked", "came later"} {
		part, err := s.PutPart(ctx, u, 1, strings.NewReader(body), &blob.Attributes{})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if _, err := s.completeUpload(u, parts[:1], blob.Attributes{}, "", blob.Condition{}); !errors.Is(err, blob.ErrPart) {
		t.Errorf("got error %v, want %v", err, blob.ErrPart)
	}
	if _, err := s.Stat(ctx, "bundles", "k", ""); !errors.Is(err, blob.ErrNoKey) {
		t.Errorf("stat: got error %v, want %v", err, blob.ErrNoKey)
	}
	if _, err := s.CompleteUpload(ctx, u, parts[1:], "", blob.Condition{}); err != nil {
		t.Errorf("complete with the part that is there: %v", err)
	}
}

// TestVersionsMeanwhile: a delete that waits while versions are turned on, and one is stored, keeps it.
func TestVersionsMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, ctx := open(t, t.TempDir()), t.Context()
		if err := s.CreateBucket(ctx, "bundles"); err != nil {
			t.Fatal(err)
		}
		_, path, err := s.locate("bundles", "k")
		if err != nil {
			t.Fatal(err)
		}
		unlock := s.writing.lock(path)
		deleted := make(chan blob.Object)
		go func() {
			marker, err := s.Delete(ctx, "bundles", "k", "", blob.Condition{})
			if err != nil {
				t.Error(err)
			}
			deleted <- marker
		}()
		synctest.Wait()
		if err := s.SetVersioning(ctx, "bundles", blob.Enabled); err != nil {
			t.Fatal(err)
		}
		unlock()
		if marker := <-deleted; !marker.DeleteMarker {
			t.Errorf("got %+v, want a delete marker", marker)
		}
	})
}

// TestDamaged: a file that is no record is an error that names it, not an object.
func TestDamaged(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"empty": "", "short": magic, "no magic": strings.Repeat("x", 100),
		"huge length": strings.Repeat("x", 100) + "\xff\xff\xff\xff\xff\xff\xff\xff" + magic,
		"no JSON":     "{\x00\x00\x00\x00\x00\x00\x00\x01" + magic,
		"cut":         `{"size":5}` + "\x00\x00\x00\x00\x00\x00\x00\x0a" + magic,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, t.TempDir())
			if err := s.CreateBucket(t.Context(), "bundles"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(s.bucketDir("bundles"), "objects", "k"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := s.Stat(t.Context(), "bundles", "k", "")
			if err == nil || errors.Is(err, blob.ErrNoKey) || !strings.Contains(err.Error(), "objects/k") {
				t.Errorf("got error %v", err)
			}
		})
	}
}

// TestDamageIsLimited: a damaged record, and files that are none of the store's, hide nothing else; what is written to the
// key replaces it, and what is kept of the key can still be read.
func TestDamageIsLimited(t *testing.T) {
	t.Parallel()
	for _, versioning := range []blob.Versioning{blob.NeverVersioned, blob.Enabled, blob.Suspended} {
		for what, repair := range map[string]func(s *Store) error{
			"PUT": func(s *Store) error {
				_, err := s.Put(t.Context(), "bundles", "k", strings.NewReader("new"), &blob.Attributes{}, blob.Condition{})
				return err
			},
			"DELETE": func(s *Store) error {
				_, err := s.Delete(t.Context(), "bundles", "k", "", blob.Condition{})
				return err
			},
		} {
			t.Run(string(versioning)+" "+what, func(t *testing.T) {
				t.Parallel()
				s, old := damagedBucket(t, versioning)
				checkListed(t, s, "ok")
				_, err := s.Put(t.Context(), "bundles", "k", strings.NewReader("x"), &blob.Attributes{}, blob.Condition{ETag: "*"})
				if !errors.Is(err, errDamaged) {
					t.Errorf("PUT with a condition: got error %v", err)
				}
				if err := repair(s); err != nil {
					t.Fatal(err)
				}
				if what == "PUT" {
					checkListed(t, s, "k ok")
				} else {
					checkListed(t, s, "ok")
				}
				if versioning == blob.NeverVersioned {
					return
				}
				if o, err := s.Stat(t.Context(), "bundles", "k", old); err != nil || o.Size != 3 {
					t.Errorf("the version before: got %+v, error %v", o, err)
				}
			})
		}
	}
}

// damagedBucket has the objects ok and k, which is damaged, and of k a version that is not, if versions are kept; further an
// upload that is damaged, and files with names that no key has.
func damagedBucket(t *testing.T, versioning blob.Versioning) (s *Store, old string) {
	t.Helper()
	s = open(t, t.TempDir())
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(key, body string) blob.Object {
		o, err := s.Put(t.Context(), "bundles", key, strings.NewReader(body), &blob.Attributes{}, blob.Condition{})
		must(nil, err)
		return o
	}
	must(nil, s.CreateBucket(t.Context(), "bundles"))
	put("ok", "fine")
	if versioning != blob.NeverVersioned {
		must(nil, s.SetVersioning(t.Context(), "bundles", blob.Enabled))
		old = put("k", "old").Version
		must(nil, s.SetVersioning(t.Context(), "bundles", versioning))
	}
	put("k", "current")
	for _, key := range []string{"good", "bad"} {
		id, err := s.CreateUpload(t.Context(), "bundles", key, &blob.Attributes{})
		must(nil, err)
		if key == "bad" {
			must(nil, os.Truncate(filepath.Join(s.uploads("bundles"), id, "upload"), 3))
		}
	}
	objects := filepath.Join(s.bucketDir("bundles"), "objects")
	must(nil, os.Truncate(filepath.Join(objects, "k"), 5))
	for _, stray := range []string{"bad%zz", ".nfs000", "Thumbs.db"} {
		must(nil, os.WriteFile(filepath.Join(objects, stray), nil, 0o600))
	}
	return s, old
}

// checkListed compares all listings with the keys that can be read; of the uploads there is one, of the key good.
func checkListed(t *testing.T, s *Store, want string) {
	t.Helper()
	all := blob.Query{Max: 100}
	page, err := s.List(t.Context(), "bundles", all)
	var keys, latest []string
	for _, o := range page.Objects {
		keys = append(keys, o.Key)
	}
	if got := strings.Join(keys, " "); err != nil || got != want {
		t.Errorf("objects: got %q, want %q, error %v", got, want, err)
	}
	versions, err := s.ListVersions(t.Context(), "bundles", blob.VersionQuery{Query: all})
	for _, o := range versions.Versions {
		if o.Latest && !o.DeleteMarker {
			latest = append(latest, o.Key)
		}
	}
	if got := strings.Join(latest, " "); err != nil || got != want {
		t.Errorf("latest versions: got %q, want %q, error %v", got, want, err)
	}
	uploads, err := s.ListUploads(t.Context(), "bundles", "")
	if err != nil || len(uploads) != 1 || uploads[0].Key != "good" {
		t.Errorf("uploads: got %+v, error %v", uploads, err)
	}
}

// TestDamagedVersion: a version that is damaged, the current one or an older, does not stand in the way of the others.
func TestDamagedVersion(t *testing.T) {
	t.Parallel()
	s, old := damagedBucket(t, blob.Enabled)
	if _, err := s.Delete(t.Context(), "bundles", "k", old, blob.Condition{}); err != nil {
		t.Error(err)
	}
	if _, err := s.Stat(t.Context(), "bundles", "k", ""); !errors.Is(err, errDamaged) {
		t.Errorf("after another version was removed, the damaged one: got error %v", err)
	}
	put := func() string {
		o, err := s.Put(t.Context(), "bundles", "k", strings.NewReader("x"), &blob.Attributes{}, blob.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		return o.Version
	}
	bad := put()
	put()
	file := filepath.Join(s.history("bundles", "k"), bad)
	if err := os.Truncate(file, 3); err != nil {
		t.Fatal(err)
	}
	checkListed(t, s, "k ok")
	if _, err := s.Delete(t.Context(), "bundles", "k", bad, blob.Condition{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the damaged version was removed, but its file is there: %v", err)
	}
}

// TestStrayFilesAreNoObjects: they do not keep a bucket from being removed.
func TestStrayFilesAreNoObjects(t *testing.T) {
	t.Parallel()
	s, _ := damagedBucket(t, blob.NeverVersioned)
	for _, key := range []string{"k", "ok"} {
		if _, err := s.Delete(t.Context(), "bundles", key, "", blob.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeleteBucket(t.Context(), "bundles"); err != nil {
		t.Error(err)
	}
}

// TestFailedPutLeavesNothing looks at the folder itself.
func TestFailedPutLeavesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	if err := s.CreateBucket(t.Context(), "bundles"); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(strings.NewReader("x"), brokenReader{})
	if _, err := s.Put(t.Context(), "bundles", "k", broken, &blob.Attributes{}, blob.Condition{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got error %v", err)
	}
	if left := files(t, s); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// child runs this program again; command is prepended to it.
func child(t *testing.T, role, root string, command ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(command, self)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "DISK_TEST_CHILD="+role, "DISK_TEST_ROOT="+root)
	cmd.Stderr = os.Stderr
	return cmd
}

// body is what putForever stores under the i-th key.
func body(i int) string { return strings.Repeat(fmt.Sprintf("%06d", i), 5000) }

// putForever stores objects, and says so on standard output, until it is killed.
func putForever(root string) {
	s, err := Open(root, slog.New(slog.DiscardHandler))
	if err == nil {
		err = s.CreateBucket(context.Background(), "bundles")
	}
	for i := 0; err == nil; i++ {
		_, err = s.Put(context.Background(), "bundles", fmt.Sprintf("key/%d", i), strings.NewReader(body(i)), &blob.Attributes{}, blob.Condition{})
		if err == nil {
			fmt.Println(i)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilled: every acknowledged object survives kill -9, nothing half-written is seen, and nothing is left in tmp.
func TestKilled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cmd := child(t, "put", root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); acknowledged++ {
		if acknowledged == 50 {
			cmd.Process.Kill() // what is still in the pipe was acknowledged too
		}
	}
	cmd.Wait()

	s := open(t, root)
	if left := files(t, s); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	page, err := s.List(t.Context(), "bundles", blob.Query{Max: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page.Objects); n < acknowledged || n > acknowledged+1 {
		t.Errorf("%d objects survive of %d acknowledged", n, acknowledged)
	}
	for i := range len(page.Objects) {
		r, _, err := s.Open(t.Context(), "bundles", fmt.Sprintf("key/%d", i), "", blob.Range{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != body(i) {
			t.Errorf("object %d is damaged (error %v)", i, err)
		}
	}
}

// fillDisk runs on a disk of 1 MiB.
func fillDisk(root string) {
	ctx := context.Background()
	s, err := Open(root, slog.New(slog.DiscardHandler))
	if err == nil {
		err = s.CreateBucket(ctx, "bundles")
	}
	for _, versioning := range []blob.Versioning{blob.NeverVersioned, blob.Enabled} {
		if err == nil && versioning != blob.NeverVersioned {
			err = s.SetVersioning(ctx, "bundles", versioning)
		}
		if err == nil {
			_, err = s.Put(ctx, "bundles", "small", strings.NewReader("fits"), &blob.Attributes{}, blob.Condition{})
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		_, err := s.Put(ctx, "bundles", "small", strings.NewReader(strings.Repeat("x", 2<<20)), &blob.Attributes{}, blob.Condition{})
		left, _ := os.ReadDir(s.tmp())
		o, kept := s.Stat(ctx, "bundles", "small", "")
		_, again := s.Put(ctx, "bundles", "small", strings.NewReader("still fits"), &blob.Attributes{}, blob.Condition{})
		fmt.Println(errors.Is(err, blob.ErrFull), len(left), kept, o.Size, again)
	}
}

// TestFull runs on a tmpfs of its own, in a mount namespace that ends with the child.
func TestFull(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	mount := []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c",
		`mount -t tmpfs -o size=1m tmpfs "$DISK_TEST_ROOT" && exec "$0"`}
	if exec.Command(mount[0], "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", root).Run() != nil {
		t.Skip("needs unshare with user namespaces: apt-get install util-linux, and sysctl kernel.unprivileged_userns_clone=1")
	}
	out, err := child(t, "fill", root, mount...).Output()
	if want := strings.Repeat("true 0 <nil> 4 <nil>\n", 2); err != nil || string(out) != want {
		t.Errorf("got %q, error %v; want %q", out, err, want)
	}
}

// change is a line that changeForever prints: "put KEY VERSION", "mark KEY VERSION" or "drop KEY VERSION".
type change struct{ what, key, version string }

// changeForever writes versions of a few keys and removes them, and says so, until it is killed.
func changeForever(root string) {
	ctx := context.Background()
	s, err := Open(root, slog.New(slog.DiscardHandler))
	if err == nil {
		err = s.CreateBucket(ctx, "bundles")
	}
	if err == nil {
		err = s.SetVersioning(ctx, "bundles", blob.Enabled)
	}
	var versions []change
	for i := 0; err == nil; i++ {
		key := fmt.Sprintf("key/%d", i%3)
		var o blob.Object
		switch {
		case i%7 == 6:
			o, err = s.Delete(ctx, "bundles", key, "", blob.Condition{})
			versions = append(versions, change{"mark", key, o.Version})
		case i%5 == 4:
			last := len(versions) - 1 - i%2 // the newest of its key, or the one before
			fmt.Println("dropping", versions[last].key, versions[last].version)
			_, err = s.Delete(ctx, "bundles", versions[last].key, versions[last].version, blob.Condition{})
			versions[last].what = "drop"
			versions = append(versions, versions[last])
		default:
			o, err = s.Put(ctx, "bundles", key, strings.NewReader(body(i)), &blob.Attributes{}, blob.Condition{})
			versions = append(versions, change{"put", key, o.Version})
		}
		if last := versions[len(versions)-1]; err == nil {
			fmt.Println(last.what, last.key, last.version)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestVersionsKilled: kill -9 in the middle of any write loses no acknowledged version, brings none back, and what is
// current is the newest of what is listed.
func TestVersionsKilled(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	cmd := child(t, "versions", root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	state := map[change]string{} // what of a key's version → the last that was said of it
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); n++ {
		if n == 150 {
			cmd.Process.Kill()
		}
		what := strings.Fields(lines.Text())
		state[change{key: what[1], version: what[2]}] = what[0]
	}
	cmd.Wait()

	s := open(t, root)
	page, err := s.ListVersions(t.Context(), "bundles", blob.VersionQuery{Query: blob.Query{Max: 1_000_000}})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[change]bool{}
	for _, v := range page.Versions {
		id := change{key: v.Key, version: v.Version}
		if listed[id] {
			t.Errorf("%v is listed twice", id)
		}
		listed[id] = true
		if v.Latest {
			checkLatest(t, s, v)
		}
		_, err := s.Stat(t.Context(), "bundles", v.Key, v.Version)
		if v.DeleteMarker != errors.Is(err, blob.ErrDeleteMarker) || !v.DeleteMarker && err != nil {
			t.Errorf("%v: %v", id, err)
		}
	}
	for id, what := range state {
		if what == "dropping" {
			continue // it had not been answered
		}
		if listed[id] != (what != "drop") {
			t.Errorf("%v was acknowledged as %s; listed: %v", id, what, listed[id])
		}
	}
	if len(state) < 50 {
		t.Errorf("only %d versions were made", len(state))
	}
}

// checkLatest compares the newest version of a key with what is read without naming one.
func checkLatest(t *testing.T, s *Store, latest blob.Object) {
	t.Helper()
	o, err := s.Stat(t.Context(), "bundles", latest.Key, "")
	if latest.DeleteMarker != errors.Is(err, blob.ErrNoKey) || o.Version != latest.Version {
		t.Errorf("%s: version %s is the latest, current is %s (error %v)", latest.Key, latest.Version, o.Version, err)
	}
}

// TestCutShort makes the states that a crash can leave within a write (version.go lists them), and goes on from each.
func TestCutShort(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(t *testing.T, s *Store, current blob.Object){
		"kept, not replaced": func(t *testing.T, s *Store, current blob.Object) {
			if err := s.keep("bundles", current); err != nil {
				t.Fatal(err)
			}
		},
		"marker not moved": func(t *testing.T, s *Store, _ blob.Object) {
			marker, err := s.commit("bundles", "k", blob.Condition{}, func(io.Writer) (blob.Object, error) { return blob.Object{DeleteMarker: true}, nil })
			if err != nil {
				t.Fatal(err)
			}
			checkLatest(t, s, marker)
		},
	} {
		for next, write := range map[string]func(s *Store, current blob.Object) error{
			"put": func(s *Store, _ blob.Object) error {
				_, err := s.Put(t.Context(), "bundles", "k", strings.NewReader("next"), &blob.Attributes{}, blob.Condition{})
				return err
			},
			"delete": func(s *Store, _ blob.Object) error {
				_, err := s.Delete(t.Context(), "bundles", "k", "", blob.Condition{})
				return err
			},
			"delete the version": func(s *Store, current blob.Object) error {
				_, err := s.Delete(t.Context(), "bundles", "k", current.Version, blob.Condition{})
				return err
			},
		} {
			t.Run(name+", "+next, func(t *testing.T) {
				s := open(t, t.TempDir())
				if err := s.CreateBucket(t.Context(), "bundles"); err != nil {
					t.Fatal(err)
				}
				if err := s.SetVersioning(t.Context(), "bundles", blob.Enabled); err != nil {
					t.Fatal(err)
				}
				var current blob.Object
				for _, body := range []string{"first", "second"} {
					var err error
					if current, err = s.Put(t.Context(), "bundles", "k", strings.NewReader(body), &blob.Attributes{}, blob.Condition{}); err != nil {
						t.Fatal(err)
					}
				}
				cut(t, s, current)
				if err := write(s, current); err != nil {
					t.Fatal(err)
				}
				versions, err := s.versions("bundles", "k")
				if err != nil {
					t.Fatal(err)
				}
				seen := map[string]bool{}
				for _, v := range versions {
					if seen[v.Version] {
						t.Errorf("version %s is there twice", v.Version)
					}
					seen[v.Version] = true
				}
				checkLatest(t, s, versions[0])
				if wanted := next != "delete the version"; seen[current.Version] != wanted {
					t.Errorf("the version is there: %v, want %v", seen[current.Version], wanted)
				}
			})
		}
	}
}

// TestFormerFormat: what was stored before there were versions is read, kept and replaced like everything else.
func TestFormerFormat(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	for _, dir := range []string{"objects", "uploads"} {
		if err := os.MkdirAll(filepath.Join(s.bucketDir("bundles"), dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	descriptor := `{"key":"app.zip","size":5,"etag":"5d41402abc4b2a76b9719d911017c592","modified":"2026-01-02T03:04:05.006Z",` +
		`"attributes":{"contentType":"application/zip","checksum":{"algorithm":"CRC32","value":"NhCmhg=="}}}`
	record := "hello" + descriptor + string(binary.BigEndian.AppendUint64(nil, uint64(len(descriptor)))) + "GRAPNEL1"
	for file, content := range map[string]string{"bucket": "", "objects/app.zip": record} {
		if err := os.WriteFile(filepath.Join(s.bucketDir("bundles"), file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	read := func(version string) string {
		r, o, err := s.Open(t.Context(), "bundles", "app.zip", version, blob.Range{})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(got) + " " + o.Version + " " + o.ContentType
	}
	if got := read(""); got != "hello  application/zip" {
		t.Errorf("got %q", got)
	}
	if err := s.SetVersioning(t.Context(), "bundles", blob.Enabled); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "bundles", "app.zip", strings.NewReader("new"), &blob.Attributes{}, blob.Condition{}); err != nil {
		t.Fatal(err)
	}
	if got := read("null"); got != "hello null application/zip" {
		t.Errorf("got %q", got)
	}
}
