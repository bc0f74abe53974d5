package agent

import (
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/awsapi"
)

// copies is an AppSpec that copies the folder content to destination.
func copies(destination string, more ...string) string {
	return "version: 0.0\nos: linux\nfiles:\n  - source: content\n    destination: " + destination + "\n" + strings.Join(more, "\n")
}

// The install was planned before the cleanup counted, so that the second deployment of a file met its own first.
//
// users.md mistakes: 1
func TestMistake1SameFileTwiceUnderDisallow(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app := h.path("app")
	for _, id := range []string{"d-ONE", "d-TWO"} {
		h.mustDeploy(h.put(id, files{"appspec.yml": copies(app), "content/app.jar": id}.zip(t)))
		if got := readFile(t, app+"/app.jar"); got != id {
			t.Errorf("app.jar holds %q, want %q", got, id)
		}
	}
}

// The cleanup removed a folder that the plan had counted on, and the application was gone.
//
// users.md mistakes: 2
func TestMistake2RenamedFile(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app := h.path("app")
	h.mustDeploy(h.put("d-ONE", files{"appspec.yml": copies(app), "content/lib/app-1.jar": "1"}.zip(t)))
	h.mustDeploy(h.put("d-TWO", files{"appspec.yml": copies(app), "content/lib/app-2.jar": "2"}.zip(t)))
	if exists(app+"/lib/app-1.jar") || readFile(t, app+"/lib/app-2.jar") != "2" {
		t.Error("want app-2.jar instead of app-1.jar")
	}
}

// A running program was overwritten in place: "text file busy".
//
// users.md mistakes: 10
func TestMistake10RunningProgramIsReplaced(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("needs sleep: apt-get install coreutils")
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	app := h.path("app")
	spec := copies(app, "file_exists_behavior: OVERWRITE", "permissions:", "  - object: "+app, "    mode: \"755\"")
	h.mustDeploy(h.put("d-ONE", files{"appspec.yml": spec, "content/server": string(program)}.zip(t)))
	running := exec.Command(app+"/server", "60")
	if err := running.Start(); err != nil {
		t.Fatal(err)
	}
	defer running.Wait()         //nolint:errcheck // it is killed
	defer running.Process.Kill() //nolint:errcheck // it may have ended
	// Without the cleanup file the second deployment meets the running program itself.
	if err := os.Remove(h.path("root/deployment-instructions/group-1-cleanup")); err != nil {
		t.Fatal(err)
	}
	h.mustDeploy(h.put("d-TWO", files{"appspec.yml": spec, "content/server": "new"}.zip(t)))
	if got := readFile(t, app+"/server"); got != "new" {
		t.Errorf("the program was not replaced")
	}
}

// tree returns path, mode and content of everything below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		found[path] = info.Mode().String()
		if entry.Type().IsRegular() {
			found[path] += " " + readFile(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A plan that does not stand leaves the host as it is: files of the old revision, cleanup file and pointers.
//
// agent.md 16: 139, 150, 151, 163
func TestFailedPlanChangesNothing(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		revision func(app string) files
		want     []string
	}{
		{"a file in the way", func(app string) files {
			return files{"appspec.yml": copies(app), "content/app.txt": "2", "content/users.txt": "2"}
		}, []string{"specified file already exists at this location", "app/users.txt", "OVERWRITE or RETAIN", "othing was changed"}},
		{"a folder in the way", func(app string) files {
			return files{"appspec.yml": copies(app, "file_exists_behavior: OVERWRITE"), "content/userdir": "2"}
		}, []string{"userdir is a folder on this host"}},
		{"a file where a folder must be", func(app string) files {
			return files{"appspec.yml": copies(app), "content/users.txt/x": "2"}
		}, []string{"users.txt must become a folder"}},
		{"a missing source", func(app string) files {
			return files{"appspec.yml": "version: 0.0\nos: linux\nfiles:\n  - source: contents\n    destination: " + app + "\n", "content/x": "2"}
		}, []string{`the source "contents" is not in the bundle`}},
		{"two files for one place", func(app string) files {
			return files{"appspec.yml": copies(app, "  - source: other/app.txt", "    destination: "+app), "content/app.txt": "2", "other/app.txt": "3"}
		}, []string{"both content/app.txt and other/app.txt would be copied to"}},
		{"an unknown owner", func(app string) files {
			return files{"appspec.yml": copies(app, "permissions:", "  - object: "+app, "    owner: nobody-of-this-name"), "content/app.txt": "2"}
		}, []string{`there is no user "nobody-of-this-name"`}},
		{"permissions given twice", func(app string) files {
			return files{"appspec.yml": copies(app, "permissions:", "  - object: "+app, "    mode: \"600\"", "  - object: "+app+"/app.txt", "    mode: \"644\""), "content/app.txt": "2"}
		}, []string{"both set the permissions of"}},
		{"a hook of an unknown event", func(app string) files {
			return files{"appspec.yml": copies(app, "hooks:", "  AfterInstal:", "    - location: x.sh"), "content/app.txt": "2"}
		}, []string{"AfterInstal"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			app := h.path("app")
			files{"userdir/own.txt": "own"}.write(t, app)
			h.mustDeploy(h.put("d-ONE", files{"appspec.yml": copies(app), "content/app.txt": "1", "content/sub/x": "1"}.zip(t)))
			writeFile(t, app+"/users.txt", "own")
			before, state := tree(t, app), tree(t, h.path("root/deployment-instructions"))

			doc := h.put("d-TWO", test.revision(app).zip(t)).with("AllPossibleLifecycleEvents", []string{"AfterInstall"})
			h.run("DownloadBundle", doc)
			end := h.run("Install", doc)
			if end.ErrorCode != awsapi.CodeUnknownError {
				t.Errorf("code = %d (%s), want 5", end.ErrorCode, end.Message)
			}
			wantContains(t, "message", end.Message, test.want...)
			if diff := cmp.Diff(before, tree(t, app)); diff != "" {
				t.Errorf("the failed Install changed the application (-before +after):\n%s", diff)
			}
			recent := h.path("root/deployment-instructions/group-1_most_recent_install")
			after := tree(t, h.path("root/deployment-instructions"))
			delete(after, recent)
			delete(state, recent)
			if diff := cmp.Diff(state, after); diff != "" {
				t.Errorf("the failed Install changed the agent's records (-before +after):\n%s", diff)
			}
		})
	}
}

// agent.md 16: 106, 158
func TestExistingFiles(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, override, appspec, want string }{
		{"deployment overwrites", "overwrite", "", "new"},
		{"deployment retains", "RETAIN", "", "own"},
		{"AppSpec overwrites", "DISALLOW", "OVERWRITE", "new"},
		{"AppSpec retains", "OVERWRITE", "RETAIN", "own"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			app := h.path("app")
			writeFile(t, app+"/f", "own")
			spec := copies(app)
			if test.appspec != "" {
				spec = copies(app, "file_exists_behavior: "+test.appspec)
			}
			doc := h.put("d-ONE", files{"appspec.yml": spec, "content/f": "new"}.zip(t)).
				with("AgentActionOverrides", map[string]any{"AgentOverrides": map[string]string{"FileExistsBehavior": test.override}})
			h.mustDeploy(doc)
			if got := readFile(t, app+"/f"); got != test.want {
				t.Errorf("the file holds %q, want %q", got, test.want)
			}
			// What was retained is not ours, so the next deployment leaves it alone.
			h.mustDeploy(h.put("d-TWO", files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t)))
			if got := exists(app + "/f"); got != (test.want == "own") {
				t.Errorf("after a deployment without files the file is there: %v", got)
			}
		})
	}
}

// A folder of the old revision in which the application has written something stays, so nothing else can take its place;
// that must show before the old revision's files are gone.
func TestFolderInUseBecomesAFile(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app := h.path("app")
	h.mustDeploy(h.put("d-ONE", files{"appspec.yml": copies(app), "content/conf/default": "1", "content/run": "1"}.zip(t)))
	writeFile(t, app+"/conf/own", "own")
	before := tree(t, app)
	second := h.put("d-TWO", files{"appspec.yml": copies(app), "content/conf": "2", "content/run": "2"}.zip(t))
	h.run("DownloadBundle", second)
	end := h.run("Install", second)
	wantContains(t, "message", end.Message, "app/conf", "othing was changed")
	if diff := cmp.Diff(before, tree(t, app)); diff != "" {
		t.Errorf("the failed Install changed the application (-before +after):\n%s", diff)
	}
	if err := os.Remove(app + "/conf/own"); err != nil {
		t.Fatal(err)
	}
	if end := h.run("Install", second); end.ErrorCode != awsapi.CodeSuccess {
		t.Errorf("Install with nothing in the way: %s", end.Message)
	}
}

// An Install that failed in the middle is put right by the next.
//
// agent.md 16: 162, 163
func TestNextInstallCleansUpAfterAFailure(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	app := h.path("app")
	first := h.put("d-ONE", files{"appspec.yml": copies(app, "permissions:", "  - object: "+app+"/b", "    mode: \"600\""), "content/a": "1"}.zip(t))
	h.run("DownloadBundle", first)
	// A link to nowhere is copied as it is; the mode cannot be set through it.
	if err := os.Symlink("nowhere", h.archive("d-ONE")+"/content/b"); err != nil {
		t.Fatal(err)
	}
	if end := h.run("Install", first); end.ErrorCode != awsapi.CodeUnknownError {
		t.Fatalf("Install = %+v, want it to fail", end)
	}
	if exists(h.path("root/deployment-instructions/group-1_last_successful_install")) {
		t.Error("the failed Install became the last successful one")
	}
	h.mustDeploy(h.put("d-TWO", files{"appspec.yml": copies(app), "content/a": "2"}.zip(t)))
	if readFile(t, app+"/a") != "2" || exists(app+"/b") {
		t.Error("want the second revision only")
	}
}

// Of each group the newest deployments are kept, and always the one installed last.
//
// agent.md 16: 173, 174
func TestRetention(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		keep int
		want []string
	}{
		{1, []string{"d-BAD4", "d-GOOD"}},
		{2, []string{"d-BAD4", "d-GOOD"}},
		{3, []string{"d-BAD3", "d-BAD4", "d-GOOD"}},
		{5, []string{"d-BAD1", "d-BAD2", "d-BAD3", "d-BAD4", "d-GOOD"}},
	} {
		t.Run(strconv.Itoa(test.keep), func(t *testing.T) {
			t.Parallel()
			h := newHost(t, newFake(t))
			h.cfg.MaxRevisions = test.keep
			h.start()
			plain := files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t)
			h.mustDeploy(h.put("d-GOOD", plain))
			for i, id := range []string{"d-BAD1", "d-BAD2", "d-BAD3", "d-BAD4"} { // downloaded, never installed
				if end := h.run("DownloadBundle", h.put(id, plain)); end.ErrorCode != 0 {
					t.Fatal(end.Message)
				}
				age := time.Now().Add(time.Duration(i-10) * time.Minute)
				if err := os.Chtimes(filepath.Dir(h.archive(id)), age, age); err != nil {
					t.Fatal(err)
				}
			}
			entries, err := os.ReadDir(h.path("root/group-1"))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, entry := range entries {
				got = append(got, entry.Name())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("deployments kept (-want +got):\n%s", diff)
			}
		})
	}
}

// A command that is handed out once more replaces what its first run has left.
//
// agent.md 16: 167
func TestDownloadAgain(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	doc := h.put("d-AGAIN", files{"appspec.yml": "version: 0.0\nos: linux\n", "a.txt": "1"}.zip(t))
	h.run("DownloadBundle", doc)
	writeFile(t, h.archive("d-AGAIN")+"/left.txt", "left")
	if end := h.run("DownloadBundle", doc); end.ErrorCode != 0 {
		t.Fatal(end.Message)
	}
	if exists(h.archive("d-AGAIN")+"/left.txt") || readFile(t, h.archive("d-AGAIN")+"/a.txt") != "1" {
		t.Error("want the archive as it is in the bundle")
	}
}

// agent.md 16: 86, 164, 168
// agent.md 17: 7, 8
func TestDownloadFailures(t *testing.T) {
	t.Parallel()
	plain := files{"appspec.yml": "version: 0.0\nos: linux\n"}.zip(t)
	for _, test := range []struct {
		name string
		doc  func(f *fake) specDoc
		want []string
	}{
		{"no such object", func(f *fake) specDoc {
			doc := f.put("d-X", plain)
			delete(f.objects, "bundles/d-X.zip")
			return doc
		}, []string{"cannot download s3://bundles/d-X.zip: NoSuchKey"}},
		{"another ETag", func(f *fake) specDoc {
			doc := f.put("d-X", plain)
			doc["Revision"].(map[string]any)["S3Revision"].(map[string]any)["ETag"] = `"0123"`
			return doc
		}, []string{`the revision wants "0123"`, strings.Trim(etagOf(plain), `"`)}},
		{"not a zip", func(f *fake) specDoc { return f.put("d-X", []byte("something else")) }, []string{"the bundle cannot be unpacked", "not a zip"}},
		{"cut off", func(f *fake) specDoc { return f.put("d-X", plain[:len(plain)-30]) }, []string{"the bundle cannot be unpacked", "not a zip"}},
		{"no AppSpec", func(f *fake) specDoc { return f.put("d-X", files{"app.txt": ""}.zip(t)) }, []string{"no AppSpec file"}},
		{"AppSpec too deep", func(f *fake) specDoc { return f.put("d-X", files{"a/x": "", "b/appspec.yml": ""}.zip(t)) }, []string{"b/appspec.yml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := startHost(t)
			end := h.run("DownloadBundle", test.doc(h.fake))
			if end.ErrorCode != awsapi.CodeUnknownError {
				t.Errorf("code = %d, want 5", end.ErrorCode)
			}
			wantContains(t, "message", end.Message, test.want...)
			if left := tree(t, h.path("root/group-1/d-X")); len(left) != 1 {
				t.Errorf("the failed download left %v", left)
			}
			if exists(h.path("root/deployment-instructions/group-1_most_recent_install")) {
				t.Error("the failed download became the most recent one")
			}
		})
	}
}

// The free space is compared with the size that S3 announces, before any of it is taken.
//
// agent.md 17: 7
func TestNoSpaceForTheBundle(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	h.intercepting(func(w http.ResponseWriter, _ *http.Request, operation string) bool {
		if operation != "GetObject" {
			return false
		}
		w.Header().Set("Content-Length", "4503599627370496") // 4 PiB
		w.Header().Set("ETag", `"e"`)
		w.WriteHeader(http.StatusOK)
		return true
	})
	doc := h.put("d-BIG", nil)
	delete(doc["Revision"].(map[string]any)["S3Revision"].(map[string]any), "ETag")
	end := h.run("DownloadBundle", doc)
	wantContains(t, "message", end.Message, "no space left on the device mounted at /", "needs 4294967296.0 MiB", "MiB are free", "max_revisions")
	if exists(h.path("root/group-1/d-BIG/bundle.tar")) {
		t.Error("the bundle's file was left behind")
	}
}

func TestDownloadIsResumed(t *testing.T) {
	t.Parallel()
	h := startHost(t)
	big := strings.Repeat("not compressible by much 0123456789 ", 1)
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(i * i >> 3)
	}
	data := files{"appspec.yml": "version: 0.0\nos: linux\n", "noise": string(noise) + big}.zip(t)
	var ranges []string
	h.intercepting(func(w http.ResponseWriter, r *http.Request, operation string) bool {
		if operation != "GetObject" {
			return false
		}
		h.mu.Lock()
		ranges = append(ranges, r.Header.Get("Range"))
		first := len(ranges) == 1
		h.mu.Unlock()
		if !first {
			return false
		}
		w.Header().Set("ETag", etagOf(data))
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		w.Write(data[:len(data)/2])           //nolint:errcheck // the connection is cut next
		http.NewResponseController(w).Flush() //nolint:errcheck // as above
		panic(http.ErrAbortHandler)
	})
	if end := h.run("DownloadBundle", h.put("d-CUT", data)); end.ErrorCode != 0 {
		t.Fatal(end.Message)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(ranges) != 2 || ranges[0] != "" || !strings.HasPrefix(ranges[1], "bytes=") {
		t.Errorf("ranges asked for = %q, want the rest after the first half", ranges)
	}
	if got := readFile(t, h.path("root/group-1/d-CUT/bundle.tar")); got != string(data) {
		t.Error("the resumed download differs from the object")
	}
}

func ownerOf(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run the tests as root to change owners")
	}
	h := startHost(t)
	app := h.path("app")
	files{"before/own": ""}.write(t, app)
	h.mustDeploy(h.put("d-ONE", files{
		"appspec.yml": copies(app, "permissions:",
			"  - object: "+app, "    pattern: \"*.sh\"", "    except: [\"keep*\"]", "    mode: 4750", "    type: [file]",
			"  - object: "+app+"/sub", "    mode: \"600\"", "    owner: daemon", "    group: daemon", "    type: [file]",
			"  - object: "+app+"/before", "    mode: \"000\""),
		"content/run.sh": "x", "content/keep.sh": "x", "content/sub/deep/data": "x", "content/before/new": "x",
	}.zip(t)))
	for name, want := range map[string]fs.FileMode{
		"run.sh": 0o750 | fs.ModeSetuid, "keep.sh": 0o644, "sub/deep/data": 0o600, "sub/deep": 0o755 | fs.ModeDir, "before/new": 0, "before/own": 0o644,
	} {
		info, err := os.Stat(filepath.Join(app, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if got := ownerOf(t, app+"/sub/deep/data"); got == 0 {
		t.Error("the owner of sub/deep/data was not changed")
	}
}
