package deploy

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPure holds deploy and planner to what makes their answers repeatable: no clock, no chance, no I/O, no goroutine, and
// no map whose random order could reach the output.
func TestPure(t *testing.T) {
	t.Parallel()
	for dir, allowed := range map[string]string{
		".":          "cmp fmt maps slices sort strconv strings time grapnel/internal/lifecycle",
		"../planner": "cmp crypto/sha256 encoding/binary fmt maps slices strings time grapnel/internal/awsapi grapnel/internal/deploy grapnel/internal/lifecycle",
	} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			for _, offence := range impurities(t, dir, strings.Fields(allowed)) {
				t.Error(offence)
			}
		})
	}
}

// TestPureCatches shows the check what it must find.
func TestPureCatches(t *testing.T) {
	t.Parallel()
	offences := impurities(t, "testdata/impure", []string{"maps", "slices", "time"})
	for _, want := range []string{
		"imports math/rand/v2", "time.Now", "time.Since", "starts a goroutine", "ranges over a map", "maps.Keys",
	} {
		if !slices.ContainsFunc(offences, func(o string) bool { return strings.Contains(o, want) }) {
			t.Errorf("%q was not found in %q", want, offences)
		}
	}
	if len(offences) != 6 {
		t.Errorf("want 6 offences, got %q", offences)
	}
}

// impurities lists what the non-test files of a package may not do.
func impurities(t *testing.T, dir string, allowed []string) []string {
	t.Helper()
	fset := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		t.Fatalf("no Go files in %s", dir)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	if _, err := conf.Check(dir, fset, files, info); err != nil {
		t.Fatal(err)
	}
	p := &purist{fset: fset, info: info, allowed: allowed}
	for _, f := range files {
		p.file(f)
	}
	return p.offences
}

type purist struct {
	fset     *token.FileSet
	info     *types.Info
	allowed  []string
	offences []string
}

func (p *purist) offend(n ast.Node, what string) {
	p.offences = append(p.offences, p.fset.Position(n.Pos()).String()+": "+what)
}

func (p *purist) file(f *ast.File) {
	for _, spec := range f.Imports {
		if path, _ := strconv.Unquote(spec.Path.Value); !slices.Contains(p.allowed, path) {
			p.offend(spec, "imports "+path)
		}
	}
	sorted := map[ast.Expr]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			p.offend(n, "starts a goroutine")
		case *ast.RangeStmt:
			if _, isMap := p.info.TypeOf(n.X).Underlying().(*types.Map); isMap {
				p.offend(n, "ranges over a map; use slices.Sorted(maps.Keys(m))")
			}
		case *ast.CallExpr:
			if p.name(n.Fun) == "slices.Sorted" {
				sorted[n.Args[0]] = true
			}
			p.call(n, sorted[n])
		}
		return true
	})
}

func (p *purist) call(n *ast.CallExpr, sorted bool) {
	switch name := p.name(n.Fun); name {
	case "time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker":
		p.offend(n, "calls "+name)
	case "maps.Keys", "maps.Values", "maps.All":
		if !sorted {
			p.offend(n, "calls "+name+" without slices.Sorted around it")
		}
	}
}

// name returns package and name of a called function, "" if it is none of a package.
func (p *purist) name(fun ast.Expr) string {
	sel, ok := fun.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	f, ok := p.info.Uses[sel.Sel].(*types.Func)
	if !ok || f.Pkg() == nil || f.Signature().Recv() != nil {
		return ""
	}
	return f.Pkg().Path() + "." + f.Name()
}
