package bundle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// StripWrapper moves the contents of a single wrapping folder up by one level when that folder is the only entry and
// has an entry whose name contains "appspec" (agent.md 10.4). It reports whether it did. One level only.
func StripWrapper(dir string) (bool, error) {
	wrapper, ok, err := findWrapper(dir)
	if err != nil || !ok {
		return false, err
	}
	aside := filepath.Clean(dir) + "-temp" // the name that the stock agent uses
	for _, step := range []func() error{
		func() error { return removeAll(aside) }, // left over from a crash
		func() error { return os.Chmod(wrapper, 0o755) },
		func() error { return os.Rename(wrapper, aside) },
		func() error { return os.Remove(dir) },
		func() error { return os.Rename(aside, dir) },
	} {
		if err := step(); err != nil {
			return false, fmt.Errorf("strip the wrapping folder %s: %w", wrapper, err)
		}
	}
	return true, nil
}

// findWrapper returns the only entry of dir if that is a folder which holds an AppSpec.
func findWrapper(dir string) (string, bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !entries[0].IsDir() {
		return "", false, err
	}
	wrapper := filepath.Join(dir, entries[0].Name())
	inner, err := os.ReadDir(wrapper)
	if err != nil {
		return "", false, err
	}
	for _, e := range inner {
		if strings.Contains(strings.ToLower(e.Name()), "appspec") {
			return wrapper, true, nil
		}
	}
	return "", false, nil
}
