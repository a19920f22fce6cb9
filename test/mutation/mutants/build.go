package mutants

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

const (
	// chosenVariable names the mutant that a test binary is to be, seenVariable the file
	// in which it sets a byte for each mutant whose code it reaches.
	chosenVariable = "MUTANT"
	seenVariable   = "MUTANTS_SEEN"
)

// Binary is the test binary of a package, with all mutants of a room in it.
type Binary struct {
	path, dir string
	mutants   []Mutant
}

// Build finds the mutants of a module's packages and makes the test binaries of
// some packages with them. The module is in root, and dir is for files of its own.
// Mutants that do not compile are returned apart from the others.
func Build(ctx context.Context, root, dir string, packages, tests []string) (binaries []*Binary, mutants, broken []Mutant, err error) {
	loaded, err := load(ctx, root, packages)
	if err != nil {
		return nil, nil, nil, err
	}
	id := 0
	for _, p := range loaded {
		found, err := p.find(root, func() int { id++; return id })
		if err != nil {
			return nil, nil, nil, err
		}
		mutants = append(mutants, found...)
	}
	without := map[int]bool{}
	for {
		overlay, originals, err := overlay(root, dir, loaded, without)
		if err != nil {
			return nil, nil, nil, err
		}
		binaries, err = link(ctx, root, dir, overlay, tests)
		if err == nil {
			break
		}
		failed, err := compile(ctx, root, overlay, originals, packages, err)
		if err != nil {
			return nil, nil, nil, err
		}
		n := len(without)
		for _, m := range mutants {
			if failed[fmt.Sprintf("%s:%d", m.File, m.Line)] {
				without[m.ID] = true
			}
		}
		if len(without) == n {
			return nil, nil, nil, fmt.Errorf("no mutant stands at %v, which do not compile", failed)
		}
	}
	var kept []Mutant
	for _, m := range mutants {
		if without[m.ID] {
			broken = append(broken, m)
		} else {
			kept = append(kept, m)
		}
	}
	for _, b := range binaries {
		b.mutants = kept
	}
	return binaries, kept, broken, nil
}

// link makes the test binaries of some packages.
func link(ctx context.Context, root, dir, overlay string, packages []string) (binaries []*Binary, err error) {
	for i, p := range packages {
		b := &Binary{path: filepath.Join(dir, fmt.Sprintf("%d.test", i)), dir: filepath.Join(root, p)}
		build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", b.path, p)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building the tests of %s: %w\n%s", p, err, out)
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}

// overlay writes the rewritten files, and what they call, as an overlay. originals
// maps each of its files to the path from root of the one that it stands for.
func overlay(root, dir string, packages []*loaded, without map[int]bool) (path string, originals map[string]string, err error) {
	replace, originals := map[string]string{}, map[string]string{}
	put := func(original string, text []byte) error {
		path := filepath.Join(dir, fmt.Sprintf("overlay-%d.go", len(replace)))
		replace[original] = path
		originals[path], err = filepath.Rel(root, original)
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o600)
	}
	for _, p := range packages {
		for _, s := range p.sources {
			if err := put(s.path, s.rewrite(without)); err != nil {
				return "", nil, err
			}
		}
		if err := put(filepath.Join(p.dir, "mutant__support.go"), []byte("package "+p.types.Name()+"\n"+support)); err != nil {
			return "", nil, err
		}
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, originals, os.WriteFile(path, b, 0o600)
}

var position = regexp.MustCompile(`(?m)^(?:\./)?([^\s:]+\.go):(\d+):\d+: `)

// compile returns the lines that do not compile, as file:line with the file's path
// from root. The compiler calls some files by their own names, and some by those of
// the overlay. If all compile, why is what else is wrong.
func compile(ctx context.Context, root, overlay string, originals map[string]string, packages []string, why error) (map[string]bool, error) {
	build := exec.CommandContext(ctx, "go", append([]string{"build", "-gcflags=-e", "-overlay", overlay}, packages...)...)
	build.Dir = root
	out, err := build.CombinedOutput()
	if err == nil {
		return nil, why
	}
	failed := map[string]bool{}
	for _, m := range position.FindAllStringSubmatch(string(out), -1) {
		// The compiler names a file from where it runs if that is shorter.
		file := m[1]
		if !filepath.IsAbs(file) {
			file = filepath.Join(root, file)
		}
		failed[cmp.Or(originals[file], m[1])+":"+m[2]] = true
	}
	if len(failed) == 0 {
		return nil, fmt.Errorf("building %q: %w\n%s", packages, err, out)
	}
	return failed, nil
}

// support is what the rewritten files call. A byte of the file of seenVariable is set
// in memory that the process shares with it, so it is there however the process ends.
const support = `
import (
	mutant__cmp "cmp"
	mutant__os "os"
	mutant__strconv "strconv"
	mutant__syscall "syscall"
)

var mutant__chosen, _ = mutant__strconv.Atoi(mutant__os.Getenv("` + chosenVariable + `"))

var mutant__seen = func() []byte {
	f, err := mutant__os.OpenFile(mutant__os.Getenv("` + seenVariable + `"), mutant__os.O_RDWR, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		panic(err)
	}
	seen, err := mutant__syscall.Mmap(int(f.Fd()), 0, int(stat.Size()), mutant__syscall.PROT_READ|mutant__syscall.PROT_WRITE, mutant__syscall.MAP_SHARED)
	if err != nil {
		panic(err)
	}
	return seen
}()

func mutant__(id int) bool {
	if mutant__seen != nil {
		mutant__seen[id] = 1
	}
	return id == mutant__chosen
}

type mutant__number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

type mutant__integer interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

func mutant__if[T any](id int, original, mutant T) T {
	if mutant__(id) {
		return mutant
	}
	return original
}

func mutant__zero[T any](id int, v T) T { var zero T; return mutant__if(id, v, zero) }
func mutant__text[T ~string](id int, v T) T { return mutant__if(id, v, "mutant") }
func mutant__more[T mutant__number](id int, v T) T { return mutant__if(id, v, v+1) }
func mutant__twice[T mutant__number](id int, v T) T { return mutant__if(id, v, 2*v) }
func mutant__never[T mutant__integer](id int, v T) T { return mutant__if(id, v, v+100) }
func mutant__min[T mutant__cmp.Ordered](id int, a, b T) T { return mutant__if(id, min(a, b), max(a, b)) }
func mutant__max[T mutant__cmp.Ordered](id int, a, b T) T { return mutant__if(id, max(a, b), min(a, b)) }
func mutant__less[T mutant__cmp.Ordered](id int, a, b T) bool { return mutant__if(id, a < b, a <= b) }
func mutant__atMost[T mutant__cmp.Ordered](id int, a, b T) bool { return mutant__if(id, a <= b, a < b) }
func mutant__greater[T mutant__cmp.Ordered](id int, a, b T) bool { return mutant__if(id, a > b, a >= b) }
func mutant__atLeast[T mutant__cmp.Ordered](id int, a, b T) bool { return mutant__if(id, a >= b, a > b) }
func mutant__plus[T mutant__number](id int, a, b T) T { return mutant__if(id, a+b, a-b) }
func mutant__minus[T mutant__number](id int, a, b T) T { return mutant__if(id, a-b, a+b) }

func mutant__times[T mutant__number](id int, a, b T) T {
	if mutant__(id) {
		return a / b
	}
	return a * b
}

func mutant__over[T mutant__number](id int, a, b T) T {
	if mutant__(id) {
		return a * b
	}
	return a / b
}

func mutant__rest[T mutant__integer](id int, a, b T) T {
	if mutant__(id) {
		return a * b
	}
	return a % b
}
`
