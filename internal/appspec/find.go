package appspec

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// DefaultName is the name of the AppSpec file when the deployment names none.
const DefaultName = "appspec.yml"

// Find returns the path of the AppSpec file in an unpacked revision: preferred, which is relative to dir and "" for
// DefaultName, else appspec.yaml, else appspec.yml (agent.md 7.1). An error is an *Error, and fs.ErrNotExist when there is
// none.
func Find(dir, preferred string) (string, error) {
	if preferred == "" {
		preferred = DefaultName
	}
	if !filepath.IsLocal(preferred) {
		return "", &Error{File: preferred, Message: "the name of the AppSpec file leaves the revision", Fix: "give a path within the revision"}
	}
	for _, name := range []string{preferred, "appspec.yaml", "appspec.yml"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", &Error{
		File:    preferred,
		Message: fmt.Sprintf("the revision in %s holds no AppSpec file", dir),
		Fix:     missingFix(dir, preferred),
		Err:     fs.ErrNotExist,
	}
}

// missingFix says what is there in its place: a file with a similar name, or an AppSpec one folder further down.
func missingFix(dir, preferred string) string {
	if info, err := os.Lstat(filepath.Join(dir, preferred)); err == nil {
		return fmt.Sprintf("%s is there but no file (%s); make it one", preferred, info.Mode().Type())
	}
	var names []string
	for _, pattern := range []string{"*", "*/*"} {
		paths, _ := filepath.Glob(filepath.Join(globEscape(dir), pattern))
		for _, path := range paths {
			if name, err := filepath.Rel(dir, path); err == nil {
				names = append(names, name)
			}
		}
	}
	similar := Suggest(preferred, names)
	switch {
	case similar == "":
		return fmt.Sprintf("add %s to the top of the bundle", preferred)
	case strings.Contains(similar, string(filepath.Separator)):
		return fmt.Sprintf("it holds %s, but the AppSpec file belongs to the top of the bundle", similar)
	}
	return fmt.Sprintf("it holds %s; rename that to %s", similar, preferred)
}

// globEscape makes a path stand for itself in a pattern.
func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}
