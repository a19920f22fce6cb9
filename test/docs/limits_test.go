package docs

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const reference = "docs/reference.md"

// limit is a row of the reference's table of limits: what is limited, the values, and
// the constants that hold them.
var limit = regexp.MustCompile("(?m)^\\|[^|]+\\| ([^|]+) \\| ((?:`[^`|]+`(?:, )?)+) \\|$")

// TestTheLimitsInTheReferenceAreThoseOfTheCode is about the values that the page names.
func TestTheLimitsInTheReferenceAreThoseOfTheCode(t *testing.T) {
	values := map[string]string{}
	for _, room := range rooms(t) {
		for _, bound := range read(t, room) {
			values[room+"."+bound.name] = bound.value
		}
	}
	_, table, ok := strings.Cut(text(t, reference), "\n## Limits\n")
	require.True(t, ok)
	rows := limit.FindAllStringSubmatch(table, -1)
	require.Len(t, rows, strings.Count(table, "\n| ")-1, "each row names its constants")
	require.Greater(t, len(rows), 10)
	for _, row := range rows {
		var want []string
		for _, name := range strings.Split(row[2], ", ") {
			name = strings.Trim(name, "`")
			require.Contains(t, values, name, "there is no such constant in a limits.go")
			want = append(want, values[name])
		}
		require.Equal(t, strings.Join(want, ", "), row[1], row[2])
	}
}

// TestEveryBoundHasAReason is about every constant of every limits.go: it has a
// comment, or that of the one above it names it.
func TestEveryBoundHasAReason(t *testing.T) {
	for _, room := range rooms(t) {
		require.NotEmpty(t, read(t, room), room)
	}
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

// bound is a constant, or a field of a variable, with its value.
type bound struct{ name, value string }

// read gives the bounds of a room: its constants, and the fields of variables
// that are more than names of constants.
func read(t *testing.T, folder string) []bound {
	t.Helper()
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	file, _ := newLoader(t).load(folder, info)
	var bounds []bound
	reason := ""
	add := func(name string, doc *ast.CommentGroup, e ast.Expr) {
		if doc != nil {
			reason = doc.Text()
		}
		require.NotEmpty(t, strings.TrimSpace(reason), "%s/limits.go: %s has no reason", folder, name)
		if constant, _, field := strings.Cut(name, "."); doc == nil && !field {
			require.Contains(t, reason, constant, "%s/limits.go: the comment above %s names it, or it has its own", folder, name)
		}
		bounds = append(bounds, bound{name, show(info.Types[e], e, doc.Text())})
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
			for _, e := range literal.Elts {
				name := value.Names[0].Name
				if field, ok := e.(*ast.KeyValueExpr); ok {
					if _, named := field.Value.(*ast.Ident); named {
						continue // A name has a bound of its own.
					}
					name, e = name+"."+field.Key.(*ast.Ident).Name, field.Value
				}
				add(name, doc, e)
				doc = nil
			}
		}
	}
	return bounds
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
