package source

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"grapnel/internal/bundle"
)

func write(t testing.TB, path, text string, mode fs.FileMode) {
	t.Helper()
	err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
	if err != nil {
		t.Fatal(err)
	}
}

func symlink(t testing.TB, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

// tree describes what is in a folder: mode, and content or target, by name.
func tree(t testing.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text = "-> " + to
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += " " + string(data)
		}
		name, err := filepath.Rel(root, path)
		found[name] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func local(location string, t bundle.Type) Revision {
	return Revision{Local: &Local{Location: location, Type: t}}
}

// agent.md 16: 171
func TestLocalFileIsLinked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "app.zip")
	write(t, file, "the bundle", 0o600)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, file)
	if err != nil {
		t.Fatal(err)
	}
	for i, location := range []string{file, relative} {
		path := filepath.Join(dir, "bundle.tar")
		for range 2 { // the second replaces the link of the first
			result, err := New(Options{}).Fetch(t.Context(), local(location, bundle.Zip), path, "")
			if err != nil || result != (Result{Bytes: 10}) {
				t.Fatalf("%d: %+v, %v", i, result, err)
			}
		}
		if to, err := os.Readlink(path); err != nil || to != file {
			t.Errorf("the bundle is a link to %q, %v; want %s", to, err, file)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("the user's file is now %v, %v", info.Mode(), err)
	}
}

func TestLocalFolderIsCopied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "app"), filepath.Join(dir, "archive")
	write(t, filepath.Join(from, "appspec.yml"), "version: 0.0", 0o644)
	write(t, filepath.Join(from, "bin", "run"), "#!/bin/sh", 0o755)
	write(t, filepath.Join(from, "bin", "set-id"), "x", 0o755|fs.ModeSetuid)
	write(t, filepath.Join(from, "private", "key"), "secret", 0o400)
	symlink(t, "bin/run", filepath.Join(from, "start"))
	symlink(t, "/etc", filepath.Join(from, "outside"))
	symlink(t, "nowhere", filepath.Join(from, "broken"))
	for name, mode := range map[string]fs.FileMode{"empty": 0o755, "private": 0o700} {
		path := filepath.Join(from, name)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	result, err := New(Options{}).Fetch(t.Context(), local(from, Directory), filepath.Join(dir, "bundle.tar"), to)
	if want := (Result{Bytes: 28, Unpacked: true}); err != nil || result != want {
		t.Fatalf("%+v, %v; want %+v", result, err, want)
	}
	want := map[string]string{
		".": "drwxr-xr-x", "appspec.yml": "-rw-r----- version: 0.0", "bin": "drwxr-xr-x", "bin/run": "-rwxr-x--- #!/bin/sh",
		"bin/set-id": "urwxr-x--- x", "private": "drwxr-xr-x", "private/key": "-r-------- secret",
		"start": "-> bin/run", "outside": "-> /etc", "broken": "-> nowhere", "empty": "drwxr-xr-x",
	}
	if diff := cmp.Diff(want, tree(t, to)); diff != "" {
		t.Errorf("the copy (-want +got):\n%s", diff)
	}
	if _, err := os.Lstat(filepath.Join(dir, "bundle.tar")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is a bundle too: %v", err)
	}

	write(t, filepath.Join(from, "appspec.yml"), "edited", 0o644)
	if got := tree(t, to)["appspec.yml"]; got != "-rw-r----- version: 0.0" {
		t.Errorf("an edit in the source shows in the archive: %s", got)
	}
}

// A folder that holds the deployment root is copied without it, or the copy would hold itself.
func TestLocalFolderAroundTheRoot(t *testing.T) {
	t.Parallel()
	for _, named := range []bool{true, false} {
		from := t.TempDir()
		root := filepath.Join(from, "opt", "deployment-root")
		archive := filepath.Join(root, "group", "d-2", "archive")
		write(t, filepath.Join(from, "appspec.yml"), "version: 0.0", 0o644)
		write(t, filepath.Join(root, "group", "d-1", "archive", "old"), "old", 0o644)
		write(t, filepath.Join(root, "group", "d-2", "log"), "", 0o644)
		write(t, filepath.Join(archive, "left over"), "from an earlier attempt", 0o644)
		o := Options{}
		if named { // by another path, as an administrator may
			o.Root = filepath.Join(t.TempDir(), "root")
			symlink(t, root, o.Root)
		}
		if _, err := New(o).Fetch(t.Context(), local(from, Directory), "", archive); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{".": "drwxr-xr-x", "appspec.yml": "-rw-r----- version: 0.0", "opt": "drwxr-xr-x"}
		if !named {
			for _, name := range []string{"opt/deployment-root", "opt/deployment-root/group", "opt/deployment-root/group/d-1", "opt/deployment-root/group/d-1/archive", "opt/deployment-root/group/d-2"} {
				want[name] = "drwxr-xr-x"
			}
			want["opt/deployment-root/group/d-1/archive/old"] = "-rw-r----- old"
			want["opt/deployment-root/group/d-2/log"] = "-rw-r----- "
		}
		if diff := cmp.Diff(want, tree(t, archive)); diff != "" {
			t.Errorf("the copy (-want +got):\n%s", diff)
		}
	}
}

func TestLocalFolderNeedsRoom(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app", "a"), "12345", 0o644)
	write(t, filepath.Join(dir, "app", "below", "b"), "123", 0o644)
	full := errors.New("no space left")
	archive := filepath.Join(dir, "archive")
	s := New(Options{HasRoom: func(path string, bytes int64) error {
		if path != archive || bytes != 8 {
			t.Errorf("room for %d bytes is asked for at %s", bytes, path)
		}
		return full
	}})
	if _, err := s.Fetch(t.Context(), local(filepath.Join(dir, "app"), Directory), "", archive); !errors.Is(err, full) {
		t.Errorf("error = %v", err)
	}
	if _, err := os.Lstat(archive); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a part of the copy is left: %v", err)
	}
}

func TestLocalMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "app.zip"), "the bundle", 0o644)
	for _, c := range []struct {
		name string
		typ  bundle.Type
		want string
	}{
		{"missing.zip", bundle.Zip, "there is no bundle at " + filepath.Join(dir, "missing.zip")},
		{"missing", Directory, "there is no bundle at"},
		{"app.zip", Directory, "is no folder: give its type"},
		{".", bundle.Tgz, "is a folder and not a tgz file: give the type directory"},
		{"app.zip", "rar", `BundleType "rar" is none of tar, tgz, zip, directory`},
	} {
		wantError(t, New(Options{}), local(filepath.Join(dir, c.name), c.typ), c.want)
	}
}

// An earlier deployment's archive becomes that of the next, as it is (agent.md 10.5).
func TestReuse(t *testing.T) {
	t.Parallel()
	group := t.TempDir()
	from, to := filepath.Join(group, "d-1"), filepath.Join(group, "d-2")
	archive := filepath.Join(from, ArchiveName)
	write(t, filepath.Join(from, BundleName), "the bundle", 0o644)
	write(t, filepath.Join(archive, "appspec.yml"), "version: 0.0", 0o640)
	write(t, filepath.Join(archive, "bin", "run"), "#!/bin/sh", 0o755|fs.ModeSetgid)
	symlink(t, "bin/run", filepath.Join(archive, "start"))
	if err := New(Options{}).Record(from, Result{ETag: "0123"}); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(filepath.Join(archive, "bin"))
	if err != nil {
		t.Fatal(err)
	}
	old := before.ModTime().AddDate(-1, 0, 0)
	for _, name := range []string{"bin/run", "bin"} {
		if err := os.Chtimes(filepath.Join(archive, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	owned := os.Geteuid() == 0
	if owned {
		if err := os.Lchown(filepath.Join(archive, "appspec.yml"), 12, 34); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(to, ArchiveName, "left over"), "from an earlier attempt", 0o644)

	result, err := New(Options{}).Reuse(t.Context(), from, to, "", `"0123"`)
	if want := (Result{ETag: "0123", Bytes: 21, Unpacked: true}); err != nil || result != want {
		t.Fatalf("%+v, %v; want %+v", result, err, want)
	}
	if diff := cmp.Diff(tree(t, archive), tree(t, filepath.Join(to, ArchiveName))); diff != "" {
		t.Errorf("the archive (-want +got):\n%s", diff)
	}
	for _, name := range []string{"bin/run", "bin"} {
		if info, err := os.Stat(filepath.Join(to, ArchiveName, name)); err != nil || !info.ModTime().Equal(old) {
			t.Errorf("%s is of %v, %v; want %v", name, info.ModTime(), err, old)
		}
	}
	if info, err := os.Stat(filepath.Join(to, ArchiveName, "appspec.yml")); owned && err == nil {
		if uid, gid, _ := owner(info); uid != 12 || gid != 34 {
			t.Errorf("appspec.yml belongs to %d:%d, want 12:34", uid, gid)
		}
	}
	one, err1 := os.Stat(filepath.Join(from, BundleName))
	two, err2 := os.Stat(filepath.Join(to, BundleName))
	if err := errors.Join(err1, err2); err != nil || !os.SameFile(one, two) {
		t.Errorf("the bundle is not the same file: %v", err)
	}
	for name, want := range map[string]string{ETagName: "0123", OriginName: "archive-reuse"} {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	if got, err := os.ReadFile(filepath.Join(from, OriginName)); err != nil || string(got) != "downloaded" {
		t.Errorf("%s of the download holds %q, %v", OriginName, got, err)
	}
}

// What cannot be reused leaves nothing, so that the bundle can be downloaded.
func TestReuseRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(from string) error
		want  string
	}{
		"no archive":      {func(from string) error { return os.RemoveAll(filepath.Join(from, ArchiveName)) }, "no such file"},
		"no bundle":       {func(from string) error { return os.Remove(filepath.Join(from, BundleName)) }, "no such file"},
		"no AppSpec":      {func(from string) error { return os.Remove(filepath.Join(from, ArchiveName, "appspec.yml")) }, "no AppSpec file"},
		"another bundle":  {func(from string) error { return New(Options{}).Record(from, Result{ETag: "4567"}) }, `"4567"`},
		"no deployment":   {os.RemoveAll, "no such file"},
		"a linked bundle": {func(from string) error { return relink(filepath.Join(from, BundleName)) }, "not a file of its own"},
		"a linked folder": {func(from string) error { return relink(filepath.Join(from, ArchiveName)) }, "no folder"},
		"a full disk":     {func(from string) error { return nil }, "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group := t.TempDir()
			from, to := filepath.Join(group, "d-1"), filepath.Join(group, "d-2")
			write(t, filepath.Join(from, BundleName), "the bundle", 0o644)
			write(t, filepath.Join(from, ArchiveName, "appspec.yml"), "version: 0.0", 0o644)
			write(t, filepath.Join(to, "logs", "scripts.log"), "kept", 0o644)
			if err := c.spoil(from); err != nil {
				t.Fatal(err)
			}
			s := New(Options{HasRoom: func(string, int64) error { return errors.New("no space left") }})
			if _, err := s.Reuse(t.Context(), from, to, "", "0123"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error = %v, want %q", err, c.want)
			}
			if diff := cmp.Diff(map[string]string{".": "drwxr-x---", "logs": "drwxr-x---", "logs/scripts.log": "-rw-r--r-- kept"}, tree(t, to)); diff != "" {
				t.Errorf("what is left (-want +got):\n%s", diff)
			}
		})
	}
}

// relink moves something aside and leaves a symbolic link to it.
func relink(path string) error {
	return errors.Join(os.Rename(path, path+"-aside"), os.Symlink(path+"-aside", path))
}

func TestCheckReuse(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{
		"d-ABC123": true, "d-" + strings.Repeat("A", 62): true, "d-" + strings.Repeat("A", 63): false,
		"d-abc": false, "d-": false, "": false, "../d-ABC": false, "d-ABC\n": false, "d-CURRENT": false,
	} {
		if err := CheckReuse(id, "d-CURRENT"); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// A large folder's files arrive whole, cloned or copied.
func TestLargeFileIsCopied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data := random(3 << 20)
	write(t, filepath.Join(dir, "app", "jar"), string(data), 0o644)
	if _, err := New(Options{}).Fetch(t.Context(), local(filepath.Join(dir, "app"), Directory), "", filepath.Join(dir, "archive")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "archive", "jar")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, %v", len(got), err)
	}
}
