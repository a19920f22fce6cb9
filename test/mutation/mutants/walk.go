package mutants

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"strings"
)

// function goes through a function's body.
func (f *finder) function(s *types.Signature, body *ast.BlockStmt) {
	f.result = append(f.result, s.Results())
	f.statements(body.List)
	f.result = f.result[:len(f.result)-1]
}

// statements goes through a list of statements, any of which can be left out.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		f.leaveOut(s)
		f.statement(s)
	}
}

// leaveOut makes the mutant without a statement.
func (f *finder) leaveOut(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		if !ok {
			return
		}
		pkg, name := f.callee(call)
		switch {
		case name == "panic" && pkg == "", pkg == "sync" && (name == "Lock" || name == "RLock" || name == "Unlock" || name == "RUnlock"):
			return // The first ends a function, the others end the process or hang it.
		case f.logs(call) && name != "Error" && name != "ErrorContext" && name != "LogAttrs":
			return // A line of the log for information is not a promise.
		}
	case *ast.AssignStmt:
		if s.Tok == token.DEFINE {
			return
		}
		if id, ok := s.Lhs[0].(*ast.Ident); ok && id.Name == "_" && len(s.Lhs) == 1 {
			return
		}
	case *ast.DeferStmt:
		if pkg, name := f.callee(s.Call); pkg == "sync" && (name == "Unlock" || name == "RUnlock") {
			return // It hangs.
		}
	case *ast.IncDecStmt, *ast.GoStmt, *ast.SendStmt:
	default:
		return
	}
	f.wrap(s, "without: "+f.textOf(s), "if !mutant__(%d) { ", " }")
}

// statement goes through the parts of one.
func (f *finder) statement(s ast.Stmt) {
	switch s := s.(type) {
	case nil:
	case *ast.BlockStmt:
		f.statements(s.List)
	case *ast.LabeledStmt:
		f.statement(s.Stmt)
	case *ast.ExprStmt:
		f.expression(s.X)
	case *ast.SendStmt:
		f.expression(s.Value)
	case *ast.AssignStmt:
		for _, e := range append(s.Lhs, s.Rhs...) {
			f.expression(e)
		}
	case *ast.IncDecStmt:
		f.expression(s.X)
	case *ast.GoStmt:
		f.expression(s.Call)
	case *ast.DeferStmt:
		f.expression(s.Call)
	case *ast.DeclStmt:
		if d := s.Decl.(*ast.GenDecl); d.Tok == token.VAR {
			for _, spec := range d.Specs {
				for _, v := range spec.(*ast.ValueSpec).Values {
					f.expression(v)
				}
			}
		}
	case *ast.ReturnStmt:
		f.returns(s)
	case *ast.IfStmt:
		f.statement(s.Init)
		f.condition("if", s.Cond)
		f.expression(s.Cond)
		before := f.failing
		f.failing = nonNil(s.Cond)
		f.statements(s.Body.List)
		f.failing = before
		f.statement(s.Else)
	case *ast.ForStmt:
		f.statement(s.Init)
		if s.Cond != nil {
			f.condition("for", s.Cond)
			f.expression(s.Cond)
			f.once(s, s.Body)
		}
		f.statement(s.Post)
		f.statements(s.Body.List)
	case *ast.RangeStmt:
		f.expression(s.X)
		f.insert(s.Body.Lbrace+1, s, "range "+f.textOf(s.X)+" → none", " if mutant__(%d) { break }; ")
		f.once(s, s.Body)
		f.statements(s.Body.List)
	case *ast.SwitchStmt:
		f.statement(s.Init)
		if s.Tag != nil {
			f.expression(s.Tag)
		}
		for _, c := range s.Body.List {
			f.clause(c.(*ast.CaseClause), s.Tag)
		}
	case *ast.TypeSwitchStmt:
		f.statement(s.Init)
		f.statement(s.Assign)
		for _, c := range s.Body.List {
			f.statements(c.(*ast.CaseClause).Body)
		}
	case *ast.SelectStmt:
		for _, c := range s.Body.List {
			f.statement(c.(*ast.CommClause).Comm)
			f.statements(c.(*ast.CommClause).Body)
		}
	}
}

// once makes the mutant whose loop ends after the first time.
func (f *finder) once(loop ast.Stmt, body *ast.BlockStmt) {
	if n := len(body.List); n > 0 {
		switch body.List[n-1].(type) {
		case *ast.ReturnStmt, *ast.BranchStmt:
			return
		}
	}
	what := "for"
	switch l := loop.(type) {
	case *ast.RangeStmt:
		what = "range " + f.textOf(l.X)
	case *ast.ForStmt:
		what = "for " + f.textOf(l.Cond)
	}
	f.insert(body.Rbrace, loop, what+" → once", "; if mutant__(%d) { break } ")
}

// clause makes the mutants without a switch's case.
func (f *finder) clause(c *ast.CaseClause, tag ast.Expr) {
	for _, e := range c.List {
		switch t := f.typeOf(e); {
		case tag == nil && !f.constant(e):
			f.wrap(e, "case "+f.textOf(e)+" → never", "(!mutant__(%d) && (", "))")
			f.handled[e] = true
			f.expression(e)
		case is(t, types.IsString):
			f.wrap(e, "case "+f.textOf(e)+" → never", "mutant__text(%d, ", ")")
		case is(t, types.IsInteger) && is(f.typeOf(tag), types.IsInteger):
			f.wrap(e, "case "+f.textOf(e)+" → never", "mutant__never(%d, ", ")")
		}
	}
	f.statements(c.Body)
}

// returns makes the mutants that return nothing instead of a result.
func (f *finder) returns(s *ast.ReturnStmt) {
	want := f.result[len(f.result)-1]
	failed := len(s.Results) > 1 && f.fails(s.Results[len(s.Results)-1])
	for i, e := range s.Results {
		if failed && i < len(s.Results)-1 {
			continue // Beside an error nobody may ask for it.
		}
		if len(s.Results) == want.Len() {
			f.zero(e, want.At(i).Type(), "return "+f.textOf(e))
		}
		f.expression(e)
	}
	if len(s.Results) == 1 && want.Len() > 1 {
		f.dropError(s, want)
	}
}

// dropError makes the mutant that returns what a call returned, but no error.
func (f *finder) dropError(s *ast.ReturnStmt, want *types.Tuple) {
	last := want.Len() - 1
	if want.At(last).Type().String() != "error" {
		return
	}
	call := string(f.source.text[f.offset(s.Results[0].Pos()):f.offset(s.Results[0].End())])
	if strings.Contains(call, "\n") {
		return // The lines would be others afterwards.
	}
	var names []string
	for i := range last + 1 {
		names = append(names, fmt.Sprint("mutant__", i))
	}
	list := strings.Join(names, ", ")
	f.insert(s.Pos(), s, "return "+f.textOf(s.Results[0])+" → no error",
		"if mutant__(%d) { "+list+" := "+call+"; "+names[last]+" = nil; return "+list+" }; ")
}

// nonNil is the name of what a condition finds not to be nil; empty if that is not all
// that it says.
func nonNil(condition ast.Expr) string {
	b, ok := condition.(*ast.BinaryExpr)
	if !ok || b.Op != token.NEQ {
		return ""
	}
	x, isName := b.X.(*ast.Ident)
	if y, ok := b.Y.(*ast.Ident); !isName || !ok || y.Name != "nil" {
		return ""
	}
	return x.Name
}

// fails tells an expression that is always an error: one that is made here, a variable
// of a package, or one that was just found not to be nil.
func (f *finder) fails(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.CallExpr:
		pkg, name := f.callee(e)
		return pkg == "fmt" && name == "Errorf" || pkg == "errors" && name == "New"
	case *ast.Ident:
		v, ok := f.info.Uses[e].(*types.Var)
		return ok && v.Type().String() == "error" && (v.Parent() == f.types.Scope() || e.Name == f.failing)
	}
	return false
}
