package mutants

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// loaded is a package with its types.
type loaded struct {
	path, dir string
	files     []*ast.File
	fset      *token.FileSet
	info      *types.Info
	types     *types.Package
	sources   []*source // one of each file
}

// load reads packages of the module in root, named as the go command names them.
func load(ctx context.Context, root string, patterns []string) ([]*loaded, error) {
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export,DepOnly"}, patterns...)...)
	list.Dir, list.Stderr = root, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("listing %q: %w", patterns, err)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
		DepOnly                 bool
	}
	exports := map[string]string{}
	var wanted []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("listing %q: %w", patterns, err)
		}
		exports[p.ImportPath] = p.Export
		if !p.DepOnly {
			wanted = append(wanted, p)
		}
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	var all []*loaded
	for _, w := range wanted {
		p := &loaded{path: w.ImportPath, dir: w.Dir, fset: fset, info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{},
		}}
		for _, name := range w.GoFiles {
			path := filepath.Join(w.Dir, name)
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			file, err := parser.ParseFile(fset, path, text, parser.ParseComments)
			if err != nil {
				return nil, err
			}
			p.files = append(p.files, file)
			p.sources = append(p.sources, &source{path: path, text: text})
		}
		checker := types.Config{Importer: imports}
		if p.types, err = checker.Check(w.ImportPath, fset, p.files, p.info); err != nil {
			return nil, fmt.Errorf("checking %s: %w", w.ImportPath, err)
		}
		all = append(all, p)
	}
	return all, nil
}
