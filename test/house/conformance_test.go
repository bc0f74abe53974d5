package house

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the tests' column of docs/conformance from the marks in the tests")

// A mark names a list of the specification and statements of it, to the end of the line: "agent.md 16: 45, 130-134". A heading
// of a conformance table begins with the same name.
var (
	markForm    = regexp.MustCompile(`(?m)(agent\.md \d+|service\.md \d+|users\.md mistakes): ([A-Z]?\d.*)$`)
	itemForm    = regexp.MustCompile(`^([A-Z]?)(\d+)(?:-[A-Z]?(\d+))?$`)
	headingForm = regexp.MustCompile(`^## (agent\.md \d+|service\.md \d+|users\.md mistakes):`)
)

// marks maps a statement ("agent.md 16: 45") to the tests that show it ("internal/agent/config TestX").
type marks map[string][]string

func (m marks) add(text, test string) error {
	for _, found := range markForm.FindAllStringSubmatch(text, -1) {
		for item := range strings.SplitSeq(found[2], ", ") {
			ids, err := expand(item)
			if err != nil {
				return fmt.Errorf("%s: the mark %q: %w", test, found[0], err)
			}
			for _, id := range ids {
				key := found[1] + ": " + id
				if !slices.Contains(m[key], test) {
					m[key] = append(m[key], test)
				}
			}
		}
	}
	return nil
}

// expand turns "45" or "W3-W5" into its members.
func expand(item string) ([]string, error) {
	parts := itemForm.FindStringSubmatch(item)
	if parts == nil {
		return nil, fmt.Errorf("%q names no statement", item)
	}
	first, last := parts[2], cmp.Or(parts[3], parts[2])
	from, errFrom := strconv.Atoi(first)
	to, errTo := strconv.Atoi(last)
	if errFrom != nil || errTo != nil || to < from {
		return nil, fmt.Errorf("%q is no range", item)
	}
	var ids []string
	for n := from; n <= to; n++ {
		ids = append(ids, parts[1]+strconv.Itoa(n))
	}
	return ids, nil
}

// readMarks looks through every test of the house.
func readMarks(t *testing.T) marks {
	t.Helper()
	found := marks{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case strings.HasSuffix(name, "_test.go") && filepath.Dir(name) != "test/house":
			return readGoMarks(found, path, filepath.Dir(name))
		case strings.HasSuffix(name, ".txtar"):
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return found.add(string(data), scriptTest(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// scriptTest names the test that runs a script, which go test knows as a part of the package's TestScripts.
func scriptTest(path string) string {
	dir := filepath.Dir(filepath.Dir(path)) // without testdata
	return dir + " TestScripts/" + strings.TrimSuffix(filepath.Base(path), ".txtar")
}

// readGoMarks adds the marks in and above the test functions of one file.
func readGoMarks(found marks, path, dir string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range file.Comments {
		test := enclosing(file, group)
		if !markForm.MatchString(group.Text()) {
			continue
		}
		if test == "" {
			return fmt.Errorf("%s: the mark %q belongs to no test function", path, markForm.FindString(group.Text()))
		}
		if err := found.add(group.Text(), dir+" "+test); err != nil {
			return err
		}
	}
	return nil
}

// enclosing returns the test function that a comment stands in or above.
func enclosing(file *ast.File, comment *ast.CommentGroup) string {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if ok && (f.Doc == comment || f.Pos() < comment.Pos() && comment.End() < f.End()) &&
			(strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
			return f.Name.Name
		}
	}
	return ""
}

// TestConformance holds the tables in docs/conformance to the marks in the tests, both ways. That the tests named there run and
// pass is for .ci/run to see.
func TestConformance(t *testing.T) {
	t.Parallel()
	found := readMarks(t)
	files, err := filepath.Glob("../../docs/conformance/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("docs/conformance: %v, %v", files, err)
	}
	listed := map[string]bool{}
	for _, path := range files {
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := fill(t, string(old), found, listed)
		if text == string(old) {
			continue
		}
		if !*update {
			t.Errorf("%s is stale: make conformance", path)
		} else if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if !listed[key] {
			t.Errorf("%v: the mark %q names no statement", found[key], key)
		}
	}
}

// fill returns a document whose tables name the tests that were found, and enters its statements into listed.
func fill(t *testing.T, doc string, found marks, listed map[string]bool) string {
	t.Helper()
	var out strings.Builder
	list := ""
	for line := range strings.Lines(doc) {
		if strings.HasPrefix(line, "## ") {
			list = ""
			if heading := headingForm.FindStringSubmatch(line); heading != nil {
				list = heading[1]
			}
		}
		cells := strings.Split(strings.TrimSuffix(line, "\n"), " | ")
		id := strings.TrimPrefix(cells[0], "| ")
		if list == "" || !strings.HasPrefix(line, "| ") || id == "#" {
			out.WriteString(line)
			continue
		}
		if len(cells) != 4 {
			t.Fatalf("a statement is a row of four cells: %s", line)
		}
		key := list + ": " + id
		listed[key] = true
		tests := found[key]
		if len(tests) == 0 {
			t.Errorf("no test is marked with %s: %s", key, cells[1])
		}
		fmt.Fprintf(&out, "%s | %s | %s | %s\n", cells[0], cells[1], cell(tests), cells[3])
	}
	return out.String()
}

// cell names tests by package; a package is named once.
func cell(tests []string) string {
	byPackage := map[string][]string{}
	for _, test := range tests {
		dir, name, _ := strings.Cut(test, " ")
		byPackage[dir] = append(byPackage[dir], name)
	}
	var parts []string
	for _, dir := range slices.Sorted(maps.Keys(byPackage)) {
		names := slices.Sorted(slices.Values(byPackage[dir]))
		parts = append(parts, dir+" "+strings.Join(names, " "))
	}
	return strings.Join(parts, "; ")
}
