package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables in docs/limits.md anew")

const (
	page      = "../../docs/limits.md"
	beginning = "<!-- Written by `make docs` from the limits.go files. -->\n"
	end       = "<!-- End of what is written. -->\n"
)

// TestTheTablesOfLimitsSayWhatTheCodeSays is about every constant of every
// limits.go: its value and the comment that gives its reason.
func TestTheTablesOfLimitsSayWhatTheCodeSays(t *testing.T) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), beginning)
	require.True(t, ok, "the page says where its tables begin")
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "and where they end")

	var want strings.Builder
	for _, room := range rooms(t) {
		fmt.Fprintf(&want, "\n### [%s](../%[1]s/limits.go)\n\n| bound | value | what for |\n|---|---:|---|\n", room)
		for _, bound := range read(t, room) {
			fmt.Fprintf(&want, "| %s | %s | %s |\n", bound.names, bound.values, bound.reason)
		}
	}
	whole := before + beginning + want.String() + "\n" + end + after
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(whole), 0o644)) //nolint:gosec // It is a page of documentation.
		return
	}
	require.Equal(t, whole, string(text), "`make docs` writes it anew")
}

// rooms are the folders that have a limits.go and are no test's, by name.
func rooms(t *testing.T) (folders []string) {
	t.Helper()
	for _, file := range files(t, "/limits.go") {
		if folder := strings.TrimSuffix(file, "/limits.go"); !strings.HasPrefix(folder, "test/") {
			folders = append(folders, folder)
		}
	}
	require.NotEmpty(t, folders)
	return folders
}

// bound is a row: constants that share a comment share it.
type bound struct{ names, values, reason string }

// read gives the bounds of a room: its constants, and the fields of variables
// that are more than names of constants.
func read(t *testing.T, folder string) []bound {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	file, _ := newLoader(t).load(folder, info)
	var bounds []bound
	add := func(name string, doc *ast.CommentGroup, e ast.Expr) {
		shown := show(info.Types[e], e, doc.Text())
		if doc != nil {
			bounds = append(bounds, bound{"`" + name + "`", shown, reason(name, doc.Text())})
			return
		}
		require.NotEmpty(t, bounds, "%s/limits.go: %s has no reason", folder, name)
		last := &bounds[len(bounds)-1]
		if name != "" {
			last.names += ", `" + name + "`"
		}
		last.values += ", " + shown
	}
	for _, decl := range file.Decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST && g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			value := spec.(*ast.ValueSpec)
			doc := value.Doc
			if doc == nil && g.Lparen == token.NoPos {
				doc = g.Doc
			}
			literal, ok := value.Values[0].(*ast.CompositeLit)
			if !ok {
				add(value.Names[0].Name, doc, value.Values[0])
				continue
			}
			for i, e := range literal.Elts {
				field, ok := e.(*ast.KeyValueExpr)
				if !ok { // A list has one name.
					add(map[bool]string{true: value.Names[0].Name}[i == 0], doc, e)
					doc = nil
					continue
				}
				if _, named := field.Value.(*ast.Ident); !named { // A name has a row of its own.
					add(value.Names[0].Name+"."+field.Key.(*ast.Ident).Name, doc, field.Value)
					doc = nil
				}
			}
		}
	}
	return bounds
}

var start = regexp.MustCompile(`^(\w+) (?:is |(bounds|keeps|takes) )`)

// reason is a comment on one line, fit for a cell of a table. What it begins
// with is in the row already.
func reason(name, comment string) string {
	comment = strings.Join(strings.Fields(comment), " ")
	if m := start.FindStringSubmatch(comment); m != nil && m[1] == name {
		comment = strings.TrimSpace(m[2] + " " + comment[len(m[0]):])
	}
	return strings.ReplaceAll(comment, "|", `\|`)
}

// counts is how the comment of a number begins that counts no bytes.
var counts = regexp.MustCompile(`^\w+ is how many `)

var zeros = regexp.MustCompile(`([hm])0[ms](?:0s)?$`)

// show writes a value with its unit: a duration as Go does, bytes that the code
// writes as a shift in KiB or MiB, anything else as the number that it is.
func show(v types.TypeAndValue, expression ast.Expr, doc string) string {
	n, exact := constant.Int64Val(constant.ToInt(v.Value))
	switch {
	case v.Value.Kind() == constant.String:
		return constant.StringVal(v.Value)
	case !exact:
		return v.Value.String()
	case v.Type.String() == "time.Duration":
		return zeros.ReplaceAllString(time.Duration(n).String(), "$1")
	case !shifts(expression) || counts.MatchString(doc):
		return fmt.Sprint(n)
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprint(n)
}

func shifts(expression ast.Expr) (found bool) {
	ast.Inspect(expression, func(n ast.Node) bool {
		b, ok := n.(*ast.BinaryExpr)
		found = found || ok && b.Op == token.SHL
		return true
	})
	return found
}

// loader checks the types of limits.go files alone, so that no room's libraries
// need be read: they import time and each other.
type loader struct {
	t       *testing.T
	fset    *token.FileSet
	library types.Importer
}

func newLoader(t *testing.T) *loader {
	fset := token.NewFileSet()
	return &loader{t: t, fset: fset, library: importer.ForCompiler(fset, "gc", nil)}
}

func (l *loader) Import(path string) (*types.Package, error) {
	if folder, ok := strings.CutPrefix(path, "onefire/"); ok {
		_, pkg := l.load(folder, nil)
		return pkg, nil
	}
	pkg, err := l.library.Import(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return pkg, nil
}

func (l *loader) load(folder string, info *types.Info) (*ast.File, *types.Package) {
	l.t.Helper()
	file, err := parser.ParseFile(l.fset, filepath.Join("../..", folder, "limits.go"), nil, parser.ParseComments)
	require.NoError(l.t, err)
	pkg, err := (&types.Config{Importer: l}).Check("onefire/"+folder, l.fset, []*ast.File{file}, info)
	require.NoError(l.t, err, "limits.go needs nothing else of its room")
	return file, pkg
}
