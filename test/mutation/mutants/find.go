package mutants

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
)

// finder goes through one file, and notes what each operator can change in it.
type finder struct {
	*loaded
	file    *ast.File
	source  *source
	name    string // of the file, from the module's root
	next    func() int
	found   []Mutant
	times   map[string]int // how often a key was there
	within  string         // the declaration
	result  []*types.Tuple // of the functions that enclose the place
	failing string         // what is not nil here
	// handled are expressions that their parent has changed in all ways that matter.
	handled map[ast.Node]bool
}

// find lists the mutants of a package, and notes them in its sources.
func (p *loaded) find(root string, next func() int) ([]Mutant, error) {
	var all []Mutant
	for i, file := range p.files {
		name, err := filepath.Rel(root, p.sources[i].path)
		if err != nil {
			return nil, err
		}
		f := &finder{loaded: p, file: file, source: p.sources[i], name: name, next: next, times: map[string]int{}, handled: map[ast.Node]bool{}}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Body == nil {
					continue
				}
				f.within = d.Name.Name
				if d.Recv != nil && len(d.Recv.List) == 1 {
					f.within = strings.TrimPrefix(f.textOf(d.Recv.List[0].Type), "*") + "." + d.Name.Name
				}
				f.function(p.info.Defs[d.Name].Type().(*types.Signature), d.Body)
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					v := spec.(*ast.ValueSpec)
					f.within = v.Names[0].Name
					for _, value := range v.Values {
						f.expression(value)
					}
				}
			}
		}
		all = append(all, f.found...)
	}
	return all, nil
}

func (f *finder) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// textOf is a node's source on one line, cut where it is long.
func (f *finder) textOf(n ast.Node) string {
	text := strings.Join(strings.Fields(string(f.source.text[f.offset(n.Pos()):f.offset(n.End())])), " ")
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return text
}

// mutant notes one, which is made by the wraps and swaps that follow with its number.
func (f *finder) mutant(n ast.Node, text string) int {
	m := Mutant{ID: f.next(), File: f.name, Line: f.fset.Position(n.Pos()).Line, Func: f.within, Text: text}
	f.times[m.Key()]++
	if times := f.times[m.Key()]; times > 1 {
		m.Text += fmt.Sprintf(" #%d", times)
	}
	f.found = append(f.found, m)
	return m.ID
}

// wrap notes a mutant that consists of text around a node. %d in it is its number.
func (f *finder) wrap(n ast.Node, text, open, close string) {
	id := f.mutant(n, text)
	f.around(n, id, open, close)
}

func (f *finder) around(n ast.Node, id int, open, close string) {
	number := func(s string) string { return strings.ReplaceAll(s, "%d", fmt.Sprint(id)) }
	f.source.wraps = append(f.source.wraps, wrap{f.offset(n.Pos()), f.offset(n.End()), number(open), number(close), id})
}

// insert notes a mutant that consists of text at a place of its own.
func (f *finder) insert(at token.Pos, n ast.Node, text, code string) {
	id := f.mutant(n, text)
	f.source.wraps = append(f.source.wraps, wrap{f.offset(at), f.offset(at), strings.ReplaceAll(code, "%d", fmt.Sprint(id)), "", id})
}

func (f *finder) swap(start, end token.Pos, text string, id int) {
	f.source.swaps = append(f.source.swaps, swap{f.offset(start), f.offset(end), text, id})
}

// typeText writes a type as the file can name it; false where it cannot.
func (f *finder) typeText(t types.Type) (string, bool) {
	ok := true
	text := types.TypeString(t, func(p *types.Package) string {
		if p == f.types {
			return ""
		}
		for _, i := range f.file.Imports {
			if strings.Trim(i.Path.Value, `"`) != p.Path() {
				continue
			}
			if i.Name != nil {
				return i.Name.Name
			}
			return p.Name()
		}
		ok = false
		return p.Name()
	})
	if b, basic := t.(*types.Basic); basic && b.Info()&types.IsUntyped != 0 || strings.Contains(text, "invalid type") {
		return "", false
	}
	return text, ok
}

func (f *finder) typeOf(e ast.Expr) types.Type { return f.info.Types[e].Type }

func (f *finder) constant(e ast.Expr) bool { return f.info.Types[e].Value != nil }

func is(t types.Type, what types.BasicInfo) bool {
	if t == nil {
		return false
	}
	if _, parameter := t.(*types.TypeParam); parameter {
		return false
	}
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Info()&what != 0
}

// isDuration tells a time.Duration.
func isDuration(t types.Type) bool { return t.String() == "time.Duration" }

// callee is what a call calls: its package's path and its name; empty where that is
// not known.
func (f *finder) callee(c *ast.CallExpr) (pkg, name string) {
	var id *ast.Ident
	switch fun := ast.Unparen(c.Fun).(type) {
	case *ast.Ident:
		id = fun
	case *ast.SelectorExpr:
		id = fun.Sel
	default:
		return "", ""
	}
	o := f.info.Uses[id]
	if o == nil {
		return "", ""
	}
	if o.Pkg() != nil {
		pkg = o.Pkg().Path()
	}
	return pkg, o.Name()
}

// logs tells a call that writes to the log.
func (f *finder) logs(c *ast.CallExpr) bool {
	pkg, _ := f.callee(c)
	return pkg == "log/slog"
}
