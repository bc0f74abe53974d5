package local

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"grapnel/internal/agent/source"
)

// Each option has the spellings of agent.md 1.2.
func TestSpellingsOfOptions(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		short, long string
		value       func(o *options) string
	}{
		{"-l", "--bundle-location", func(o *options) string { return o.location }},
		{"-t", "--type", func(o *options) string { return o.kind }},
		{"-b", "--file-exists-behavior", func(o *options) string { return o.behavior }},
		{"-g", "--deployment-group", func(o *options) string { return o.group }},
		{"-d", "--deployment-group-name", func(o *options) string { return o.groupName }},
		{"-a", "--application-name", func(o *options) string { return o.application }},
		{"-e", "--events", func(o *options) string { return o.events }},
		{"-c", "--agent-configuration-file", func(o *options) string { return o.configFile }},
		{"-A", "--appspec-filename", func(o *options) string { return o.appSpec }},
		{"--github-token", "--github-token", func(o *options) string { return o.token }},
	} {
		for _, args := range [][]string{{row.short, "v=1"}, {row.long, "v=1"}, {row.long + "=v=1"}} {
			o, err := parse(args)
			if err != nil || row.value(o) != "v=1" {
				t.Errorf("%q: %+v, %v", args, o, err)
			}
		}
	}
	if o, err := parse([]string{"-tzip", "-h"}); err != nil || o.kind != "zip" || !o.help {
		t.Errorf("a value directly after its letter: %+v, %v", o, err)
	}
}

// agent.md 16: 41, 42
func TestDefaults(t *testing.T) {
	t.Parallel()
	o, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{o.location, o.kind, o.behavior, o.group, o.groupName, o.appSpec}
	if diff := cmp.Diff([]string{".", "directory", "DISALLOW", "default-local-deployment-group", "LocalFleet", "appspec.yml"}, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	o.location, o.kind = "s3://bucket/key?versionId=1", "zip"
	d, err := o.deployment()
	if err != nil || d.ApplicationName != "s3://bucket/key?versionId=1" {
		t.Errorf("application name = %q (%v), want the location", d.ApplicationName, err)
	}
}

// Of two mistakes the one that stock agents look for first is told.
func TestOrderOfValidation(t *testing.T) {
	t.Parallel()
	empty, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ args, want string }{
		{"-t rar -l https://%zz", "--type"},
		{"-l https://%zz -e Install,DownloadBundle", "cannot be understood"},
		{"-l http://x -e Install,DownloadBundle", "not encrypted"},
		{"-l /nowhere/at/all -e Install,DownloadBundle", "cannot be used"},
		{"-l " + file + " -e Install,DownloadBundle", "is a file and the type is directory"},
		{"-l " + empty + " -t tar -e Install,DownloadBundle", "is a folder and the type is tar"},
		{"-l " + empty + " -e Install,DownloadBundle", "has no appspec.yml"},
		{"-l s3://b/k -t tar -e AfterInstall,Install,DownloadBundle", "AfterInstall cannot come before DownloadBundle"},
		{"-l s3://b/k -t tar -e AfterInstall,Install,lower", "AfterInstall cannot come before Install"},
		{"-l s3://b/k -t tar -e lower -b WHAT", "is no name of an event"},
	} {
		o, err := parse(strings.Fields(row.args))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := o.deployment(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: error = %v, want one about %q", row.args, err, row.want)
		}
	}
}

func TestRemoteLocations(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		location, kind string
		want           source.Revision
	}{
		// agent.md 16: 38
		{"s3://b/dir/key.zip?versionId=V&etag=E", "zip", source.Revision{S3: &source.S3{Bucket: "b", Key: "dir/key.zip", Version: "V", ETag: "E", Type: "zip"}}},
		{"s3://b/key%20with%20space", "tar", source.Revision{S3: &source.S3{Bucket: "b", Key: "key with space", Type: "tar"}}},
		// agent.md 16: 39
		{"https://github.com/o/r", "directory", source.Revision{GitHub: &source.GitHub{Account: "o", Repository: "r", Commit: "HEAD", Type: "zip", Token: "t"}}},
		{"https://github.com/o/r.git/", "tgz", source.Revision{GitHub: &source.GitHub{Account: "o", Repository: "r", Commit: "HEAD", Type: "zip", Token: "t"}}},
		{"https://github.com/o/r/tree/feature/x", "zip", source.Revision{GitHub: &source.GitHub{Account: "o", Repository: "r", Commit: "feature/x", Type: "zip", Token: "t"}}},
		{"https://github.com/o/r/commit/abc", "tar", source.Revision{GitHub: &source.GitHub{Account: "o", Repository: "r", Commit: "abc", Type: "tar", Token: "t"}}},
		// agent.md 16: 40
		{"https://api.github.com/repos/o/r/tarball/main", "tar", source.Revision{GitHub: &source.GitHub{Account: "o", Repository: "r", Commit: "main", Type: "tar", Token: "t"}}},
		{"https://api.github.com/repos/o/r/zipball/feature/x", "directory", source.Revision{GitHub: &source.GitHub{Account: "o", Repository: "r", Commit: "feature/x", Type: "zip", Token: "t"}}},
	} {
		got, err := revision(row.location, row.kind, "t")
		if err != nil {
			t.Errorf("%s: %v", row.location, err)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.location, diff)
		}
	}
}

// Whatever is asked for, DownloadBundle and Install are run, in this order, once each, and the others in theirs.
func TestCompletedEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		asked := rapid.SliceOfDistinct(rapid.SampledFrom(append([]string{"CustomEvent"}, defaultEvents...)), rapid.ID).Draw(t, "asked")
		if checkOrder(asked) != nil {
			t.Skip("refused")
		}
		events := completed(asked)
		download, install := slices.Index(events, downloadBundle), slices.Index(events, installEvent)
		if download < 0 || install < download {
			t.Fatalf("completed(%q) = %q", asked, events)
		}
		others := func(list []string) []string {
			return slices.DeleteFunc(slices.Clone(list), func(e string) bool { return e == downloadBundle || e == installEvent })
		}
		if len(asked) > 0 && !slices.Equal(others(asked), others(events)) {
			t.Fatalf("completed(%q) = %q: the order has changed", asked, events)
		}
		for _, late := range afterInstall {
			if at := slices.Index(events, late); at >= 0 && at < install {
				t.Fatalf("completed(%q) = %q: %s before Install", asked, events, late)
			}
		}
	})
}

func TestDeploymentID(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^d-[A-Z0-9]{9}-local$`)
	if one, other := newID(), newID(); !form.MatchString(one) || one == other {
		t.Errorf("ids = %s, %s", one, other)
	}
}

// The command that repeats a run can be pasted into a shell and does not tell the token.
func TestRepeatingCommand(t *testing.T) {
	t.Parallel()
	got := commandLine([]string{"-l", "my app", "--github-token", "hush", "--github-token=hush", "-a", "it's"})
	want := `codedeploy-local -l 'my app' --github-token TOKEN --github-token=TOKEN -a 'it'\''s'`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A token is never told, whatever is wrong with the location.
func TestTokenIsNotTold(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"https://github.com/o", "https://hush@github.com/o/r", "https://api.github.com/repos/o", "http://hush@github.com/o/r"} {
		if _, err := revision(location, "zip", "hush"); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: error = %v, want one without the token", location, err)
		}
	}
}
