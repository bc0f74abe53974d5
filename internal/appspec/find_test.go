package appspec

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// agent.md 16: 140
func TestFind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, files, preferred, want string }{
		{"default", "appspec.yml", "", "appspec.yml"},
		{"preferred", "deploy/my.yml appspec.yml", "deploy/my.yml", "deploy/my.yml"},
		{"preferred first", "appspec.yml appspec.yaml", "appspec.yml", "appspec.yml"},
		{"yaml before yml", "appspec.yml appspec.yaml", "other.yml", "appspec.yaml"},
		{"yml last", "appspec.yml", "other.yml", "appspec.yml"},
		{"yaml only", "appspec.yaml", "appspec.yml", "appspec.yaml"},
		{"a folder is none", "appspec.yml/x appspec.yaml", "", "appspec.yaml"},
		{"none", "README", "", "error: holds no AppSpec file; add appspec.yml to the top of the bundle"},
		{"similar", "AppSpec.yml", "", "error: it holds AppSpec.yml; rename that to appspec.yml"},
		{"one down", "app[1]/appspec.yml other", "", "error: it holds app[1]/appspec.yml, but the AppSpec file belongs to the top"},
		{"leaves", "appspec.yml", "../appspec.yml", "error: leaves the revision"},
		{"absolute", "appspec.yml", "/etc/appspec.yml", "error: leaves the revision"},
	} {
		dir := filepath.Join(t.TempDir(), "a[b]*")
		for _, file := range strings.Fields(c.files) {
			path := filepath.Join(dir, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Find(dir, c.preferred)
		if part, isError := strings.CutPrefix(c.want, "error: "); isError {
			var mistake *Error
			if !errors.As(err, &mistake) || !strings.Contains(err.Error(), part) {
				t.Errorf("%s: Find = %q, %v; want an *Error with %q", c.name, got, err, part)
			}
			if strings.Contains(part, "holds") && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v is not fs.ErrNotExist", c.name, err)
			}
			continue
		}
		if err != nil || got != filepath.Join(dir, c.want) {
			t.Errorf("%s: Find = %q, %v; want %s", c.name, got, err, c.want)
		}
	}
}
