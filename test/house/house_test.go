// Package house holds the tests of the house itself: import arrows, package docs, words.
package house

import (
	"bufio"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "grapnel/"

// goPackage is what `go list -json` tells of a package.
type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,GoFiles,Imports", "./...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// arrows reads the table of imports in CONTRIBUTING.md: the block between the lines "```arrows" and "```".
func arrows(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	table, within := map[string][]string{}, false
	for s := bufio.NewScanner(f); s.Scan(); {
		switch line := s.Text(); {
		case strings.HasPrefix(line, "```"):
			within = line == "```arrows"
		case within:
			if from, to, ok := strings.Cut(line, "→"); ok {
				for name := range strings.FieldsSeq(from) {
					table[name] = strings.Fields(to)
				}
			}
		}
	}
	if len(table) == 0 {
		t.Fatal("CONTRIBUTING.md has no block ```arrows")
	}
	return table
}

// TestImports holds the imports between our packages to the arrows in CONTRIBUTING.md: what is absent there is forbidden. A
// star stands for every package.
func TestImports(t *testing.T) {
	t.Parallel()
	table := arrows(t)
	seen := map[string]bool{}
	for _, p := range packages(t) {
		from := short(p.ImportPath)
		if len(p.GoFiles) == 0 || strings.HasPrefix(from, "test/") || strings.HasSuffix(from, "test") {
			continue // tests may import what they test
		}
		allowed, known := table[from]
		if !known {
			t.Errorf("%s has no line in the arrows of CONTRIBUTING.md: draw it on the map, or put its code where it belongs", from)
		}
		seen[from] = true
		for _, i := range p.Imports {
			if to := short(i); strings.HasPrefix(i, module) && !slices.Contains(allowed, to) && !slices.Contains(allowed, "*") {
				t.Errorf("%s imports %s, an arrow that CONTRIBUTING.md does not have: a need for a new one is a design question (docs/design)", from, to)
			}
		}
	}
	for from := range table {
		if !seen[from] {
			t.Errorf("CONTRIBUTING.md draws %s, which does not exist", from)
		}
	}
}

// short is a package as the map names it: cmd/grapnel, deploy, blob/disk.
func short(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "internal/")
}

// TestEveryPackageHasOneDoc fails for a package without a doc comment, or with two.
func TestEveryPackageHasOneDoc(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue
		}
		var docs []string
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil {
				docs = append(docs, name)
			}
		}
		if len(docs) != 1 {
			t.Errorf("%s has package docs in %v, want exactly one", p.ImportPath, docs)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)#:]+)\)`)

// TestLinks follows every relative link in our documents.
func TestLinks(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllStringSubmatch(string(text), -1) {
				if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
					t.Errorf("%s links to %s, which is not there", file, m[1])
				}
			}
		}
	}
}

// TestNoDrawerFiles refuses files named for nothing in particular.
func TestNoDrawerFiles(t *testing.T) {
	t.Parallel()
	drawers := []string{"helpers.go", "helper.go", "utils.go", "util.go", "common.go", "misc.go", "interfaces.go", "types.go"}
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			if slices.Contains(drawers, name) {
				t.Errorf("%s/%s: name the file after what is in it", p.ImportPath, name)
			}
		}
	}
}
