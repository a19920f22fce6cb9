package mutants

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strconv"
)

// condition makes the mutants of a condition that always or never holds. That of a
// loop is never true for ever.
func (f *finder) condition(word string, e ast.Expr) {
	if f.constant(e) {
		return
	}
	f.handled[ast.Unparen(e)] = true
	if word == "if" {
		f.wrap(e, word+" "+f.textOf(e)+" → true", "(mutant__(%d) || (", "))")
	}
	f.wrap(e, word+" "+f.textOf(e)+" → false", "(!mutant__(%d) && (", "))")
}

// zero makes the mutant of an expression that is nothing instead, as a value of type
// want. Constants and conditions have mutants of their own.
func (f *finder) zero(e ast.Expr, want types.Type, text string) {
	v := f.info.Types[e]
	switch e := ast.Unparen(e).(type) {
	case *ast.CompositeLit:
		if len(e.Elts) == 0 {
			return
		}
	case *ast.FuncLit:
		return
	}
	if v.IsNil() || v.Value != nil && (!is(v.Type, types.IsString) || constant.StringVal(v.Value) == "") {
		return
	}
	if is(v.Type, types.IsBoolean) {
		switch ast.Unparen(e).(type) {
		case *ast.BinaryExpr, *ast.UnaryExpr:
		default:
			if v.Type == types.Typ[types.Bool] {
				f.wrap(e, text+" → the opposite", "((", ") != mutant__(%d))")
			}
		}
		return
	}
	if t, ok := f.typeText(want); ok {
		f.wrap(e, text+" → nothing", "mutant__zero["+t+"](%d, ", ")")
	} else if v.Value == nil && types.Identical(v.Type, want) {
		f.wrap(e, text+" → nothing", "mutant__zero(%d, ", ")")
	}
}

// expression goes through one that stands for a value.
func (f *finder) expression(e ast.Expr) {
	if e == nil {
		return
	}
	if f.constant(e) {
		f.number(e)
		return
	}
	switch e := e.(type) {
	case *ast.ParenExpr:
		f.expression(e.X)
	case *ast.BinaryExpr:
		f.binary(e)
	case *ast.UnaryExpr:
		if e.Op == token.NOT && !f.handled[e] {
			f.wrap(e, f.textOf(e)+" → "+f.textOf(e.X), "((", ") != mutant__(%d))")
		}
		f.expression(e.X)
	case *ast.StarExpr:
		f.expression(e.X)
	case *ast.SelectorExpr:
		f.expression(e.X)
	case *ast.IndexExpr:
		if !f.info.Types[e.Index].IsType() {
			f.expression(e.X)
			f.expression(e.Index)
		}
	case *ast.SliceExpr:
		f.expression(e.X)
		f.expression(e.Low)
		f.expression(e.High)
	case *ast.TypeAssertExpr:
		f.expression(e.X)
	case *ast.CallExpr:
		f.call(e)
	case *ast.CompositeLit:
		f.literal(e)
	case *ast.FuncLit:
		f.function(f.typeOf(e).(*types.Signature), e.Body)
	}
}

// number makes the mutant of a constant: one more, or twice the time, or the other
// truth.
func (f *finder) number(e ast.Expr) {
	t := f.typeOf(e)
	text, ok := f.typeText(t)
	switch {
	case is(t, types.IsBoolean):
		f.wrap(e, f.textOf(e)+" → the opposite", "(", " != mutant__(%d))")
	case !ok || !is(t, types.IsNumeric):
	case isDuration(t) && constant.Sign(f.info.Types[e].Value) != 0:
		f.wrap(e, f.textOf(e)+" → twice", "mutant__twice["+text+"](%d, ", ")")
	default:
		f.wrap(e, f.textOf(e)+" → one more", "mutant__more["+text+"](%d, ", ")")
	}
}

// other is what a comparison becomes at its bound, and an operator of arithmetic.
var other = map[token.Token]struct{ name, text string }{
	token.LSS: {"less", "<="}, token.LEQ: {"atMost", "<"}, token.GTR: {"greater", ">="}, token.GEQ: {"atLeast", ">"},
	token.ADD: {"plus", "-"}, token.SUB: {"minus", "+"}, token.MUL: {"times", "/"}, token.QUO: {"over", "*"}, token.REM: {"rest", "*"},
}

func (f *finder) binary(e *ast.BinaryExpr) {
	logical := e.Op == token.LAND || e.Op == token.LOR
	compares := false
	switch e.Op {
	case token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ:
		compares = true
	}
	if !f.handled[e] && compares {
		f.wrap(e, f.textOf(e)+" → not so", "((", ") != mutant__(%d))")
	}
	if logical {
		f.logical(e)
	} else if o, ok := other[e.Op]; ok && is(f.typeOf(e.X), types.IsNumeric|types.IsString) && (compares || is(f.typeOf(e), types.IsNumeric)) {
		id := f.mutant(e, f.textOf(e)+" → "+o.text)
		f.around(e, id, "mutant__"+o.name+"(%d, ", ")")
		f.swap(e.OpPos, e.OpPos+token.Pos(len(e.Op.String())), ",", id)
	}
	if e.Op == token.SHL || e.Op == token.SHR {
		f.expression(e.X)
		return
	}
	f.expression(e.X)
	f.expression(e.Y)
}

// logical makes the mutants of && and ||: the other one, and each operand left out.
func (f *finder) logical(e *ast.BinaryExpr) {
	if f.typeOf(e) != types.Typ[types.Bool] && f.typeOf(e) != types.Typ[types.UntypedBool] {
		return
	}
	operands := []ast.Expr{e.X, e.Y}
	swapped, open := "||", "(mutant__(%d) || ("
	if e.Op == token.LOR {
		swapped, open = "&&", "(!mutant__(%d) && ("
	}
	// a && b is !(!a || !b): with all three negated it is a || b, and as lazy.
	id := f.mutant(e, f.textOf(e)+" → "+swapped)
	f.around(e, id, "((", ") != mutant__(%d))")
	for _, o := range operands {
		f.around(o, id, "((", ") != mutant__(%d))")
		f.handled[ast.Unparen(o)] = true
	}
	for _, o := range operands {
		if b, ok := o.(*ast.BinaryExpr); ok && b.Op == e.Op {
			continue // Its own operands are left out one by one.
		}
		f.wrap(o, f.textOf(e)+" → without "+f.textOf(o), open, "))")
	}
}

func (f *finder) call(e *ast.CallExpr) {
	if f.logs(e) {
		return
	}
	_, name := f.callee(e)
	builtin := f.info.Types[e.Fun].IsBuiltin()
	switch {
	case f.info.Types[e.Fun].IsType():
	case builtin && (name == "new" || name == "len" || name == "cap"):
	case builtin && name == "make":
		if len(e.Args) == 2 {
			if _, slice := f.typeOf(e).Underlying().(*types.Slice); slice {
				f.expression(e.Args[1])
			}
		}
		return // Room that is made in advance changes nothing.
	case builtin && (name == "min" || name == "max") && len(e.Args) == 2:
		swapped := map[string]string{"min": "max", "max": "min"}[name]
		id := f.mutant(e, f.textOf(e)+" → "+swapped)
		if t, ok := f.typeText(f.typeOf(e)); ok {
			f.swap(e.Fun.Pos(), e.Lparen+1, "mutant__"+name+"["+t+"]("+strconv.Itoa(id)+", ", id)
		}
	default:
		f.expression(e.Fun)
	}
	for _, a := range e.Args {
		if !f.info.Types[a].IsType() {
			f.expression(a)
		}
	}
}

// literal makes the mutants of a literal without one of its fields, or with another
// text in a list.
func (f *finder) literal(e *ast.CompositeLit) {
	t := f.typeOf(e).Underlying()
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem().Underlying()
	}
	s, structure := t.(*types.Struct)
	for i, element := range e.Elts {
		value := element
		pair, keyed := element.(*ast.KeyValueExpr)
		if keyed {
			value = pair.Value
		}
		switch {
		case structure && keyed:
			name := pair.Key.(*ast.Ident)
			f.zero(value, f.info.Uses[name].Type(), name.Name+": "+f.textOf(value))
		case structure:
			f.zero(value, s.Field(i).Type(), s.Field(i).Name()+": "+f.textOf(value))
		case keyed && is(f.typeOf(pair.Key), types.IsString):
			f.another(pair.Key)
		case is(f.typeOf(value), types.IsString):
			f.another(value)
		}
		f.expression(value)
	}
}

func (f *finder) another(e ast.Expr) {
	if f.constant(e) {
		f.wrap(e, f.textOf(e)+" → another", "mutant__text(%d, ", ")")
	}
}
