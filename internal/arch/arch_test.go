// Package arch holds the first test of the project: it reads every Go file and
// checks the import order and the purity of the core.
//
//	cmd/node                                        wiring
//	daemon  p2p  api  web  sim  adapters            none imports another
//	node                                            the composition, pure
//	auction  ledger  gossip  runtime                pure; siblings never import one another
//	wire                                            messages, pure
//	job  clock                                      leaves: standard library only
//
// The simulator rests on it: a core with no goroutine, clock, chance or IO of its
// own gives equal outputs for equal inputs, on any machine. Each finding says what
// to do instead. Tests may import what they like; only the order of test helpers
// is checked the other way round: production code never imports them.
package arch

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestImportOrderAndPurity(t *testing.T) {
	eachGoFile(t, func(rel, name string) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		findings, err := checkFile(rel, nil, name)
		if err != nil {
			t.Error(err)
		}
		for _, f := range findings {
			t.Error(f)
		}
	})
}

func TestFormat(t *testing.T) {
	eachGoFile(t, func(rel, name string) {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		formatted, err := format.Source(src)
		if err != nil {
			t.Errorf("%s: %v", rel, err)
		} else if !bytes.Equal(src, formatted) {
			t.Errorf("%s: not formatted: run gofmt -w %s", rel, rel)
		}
	})
}

// eachGoFile calls f with every Go file of the module but those in testdata and
// hidden directories: its path below the root, with slashes, and its name.
func eachGoFile(t *testing.T, f func(rel, name string)) {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && name != root && (base == "testdata" || strings.HasPrefix(base, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(base, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files++
		f(filepath.ToSlash(rel), name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 5 {
		t.Fatalf("read %d files below %s: the walk has lost the module", files, root)
	}
}

// checkFile parses one non-test file and returns its findings, "file:line: what;
// what to do instead". rel is its path below the module's root. The text is src
// or, if that is nil, what the file at name holds.
func checkFile(rel string, src any, name string) ([]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	c := checker{fset: fset, rel: rel, dir: path.Dir(rel)}
	if levelOf(c.dir) == unknown {
		c.report(file.Pos(), "package outside the layout", "put it into one of the known trees, or add it to internal/arch")
	}
	c.imports(file)
	if isPure(c.dir) {
		c.purity(file)
	}
	return c.findings, nil
}

type checker struct {
	fset     *token.FileSet
	rel, dir string
	findings []string
}

func (c *checker) report(pos token.Pos, what, instead string) {
	c.findings = append(c.findings, fmt.Sprintf("%s:%d: %s: %s", c.rel, c.fset.Position(pos).Line, what, instead))
}

func (c *checker) imports(file *ast.File) {
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue // the parser has refused it already
		}
		var advice string
		if below(imported, module) {
			advice = importAdvice(c.dir, strings.TrimPrefix(strings.TrimPrefix(imported, module), "/"))
		} else {
			advice = libraryAdvice(c.dir, imported)
		}
		if advice != "" {
			c.report(spec.Pos(), c.dir+" imports "+imported, advice)
		}
	}
}

const (
	noGoroutine = "return an Action and let the daemon run it; its result comes back as an input"
	noChannel   = "take inputs as arguments of Step and return outputs as values"
)

// purity looks for goroutines, channels, clocks and global chance.
func (c *checker) purity(file *ast.File) {
	narrowed := c.narrowedImports(file)
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.report(n.Pos(), "go statement in a pure package", noGoroutine)
		case *ast.SelectStmt:
			c.report(n.Pos(), "select in a pure package", noChannel)
		case *ast.SendStmt:
			c.report(n.Pos(), "send on a channel in a pure package", noChannel)
		case *ast.ChanType:
			c.report(n.Pos(), "channel in a pure package", noChannel)
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				c.report(n.Pos(), "receive from a channel in a pure package", noChannel)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
				c.report(n.Pos(), id.Name+" in a pure package", impureAdvice["log"])
			}
		case *ast.SelectorExpr:
			c.selector(n, narrowed)
		}
		return true
	})
}

// narrowedImports maps the local names of the imports of which only a part may be
// used to their paths.
func (c *checker) narrowedImports(file *ast.File) map[string]string {
	names := map[string]string{}
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		rule, ok := pureSelectors[imported]
		if !ok {
			continue
		}
		name := path.Base(strings.TrimSuffix(imported, "/v2"))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			c.report(spec.Pos(), "dot import of "+imported, rule.advice)
			continue
		}
		names[name] = imported
	}
	return names
}

func (c *checker) selector(n *ast.SelectorExpr, narrowed map[string]string) {
	id, ok := n.X.(*ast.Ident)
	if !ok {
		return
	}
	rule, ok := pureSelectors[narrowed[id.Name]]
	if ok && !slices.Contains(rule.allowed, n.Sel.Name) {
		c.report(n.Pos(), id.Name+"."+n.Sel.Name+" in a pure package", rule.advice)
	}
}
