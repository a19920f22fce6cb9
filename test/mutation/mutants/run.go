package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Reach is one test, how long it took, and which mutants' code it reached.
type Reach struct {
	binary          *Binary
	test            string
	flags, thorough []string
	took            time.Duration
	seen            map[int]bool
}

// Index runs each test of a binary alone, without any mutant, those that the room
// reduces with their flags. It returns apart what tests failed so: they can notice
// nothing.
func (b *Binary) Index(ctx context.Context, r Room) (index []Reach, failed []string, err error) {
	list := exec.CommandContext(ctx, b.path, "-test.list", ".")
	list.Dir = b.dir
	out, err := list.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("listing the tests of %s: %w", b.path, err)
	}
	for _, test := range strings.Fields(string(out)) {
		if !strings.HasPrefix(test, "Test") && !strings.HasPrefix(test, "Fuzz") && !strings.HasPrefix(test, "Example") {
			continue
		}
		reach, err := b.reach(ctx, test, r.Reduced[test])
		if err != nil {
			failed = append(failed, err.Error())
			continue
		}
		reach.thorough = r.Thorough[test]
		index = append(index, reach)
	}
	return index, failed, nil
}

func (b *Binary) reach(ctx context.Context, test string, flags []string) (Reach, error) {
	last := 0
	for _, m := range b.mutants {
		last = max(last, m.ID)
	}
	seen := b.path + ".seen"
	if err := os.WriteFile(seen, make([]byte, last+1), 0o600); err != nil {
		return Reach{}, err
	}
	begun := time.Now()
	if out, err := b.run(ctx, 0, append([]string{"-test.run", "^" + test + "$"}, flags...), indexTime, seenVariable+"="+seen); err != nil {
		return Reach{}, fmt.Errorf("%s fails without any mutant: %w\n%s", test, err, out)
	}
	r := Reach{binary: b, test: test, flags: flags, took: time.Since(begun), seen: map[int]bool{}}
	bytes, err := os.ReadFile(seen)
	if err != nil {
		return Reach{}, err
	}
	for id, b := range bytes {
		if b != 0 {
			r.seen[id] = true
		}
	}
	return r, nil
}

// Result is what came of a mutant.
type Result string

// Noticed is a mutant that some test failed with, Survived one that none failed with,
// and NotReached one whose code no test reaches.
const (
	Noticed    Result = "noticed"
	Survived   Result = "survived"
	NotReached Result = "not reached"
)

// Try runs the tests that reach a mutant's code with it, the quickest first, and
// says by which tests it was noticed.
func Try(ctx context.Context, m Mutant, index []Reach) (Result, string) {
	var reach []Reach
	for _, r := range index {
		if r.seen[m.ID] {
			reach = append(reach, r)
		}
	}
	if len(reach) == 0 {
		return NotReached, ""
	}
	slices.SortStableFunc(reach, func(a, b Reach) int { return int(a.took - b.took) })
	thorough := slices.DeleteFunc(slices.Clone(reach), func(r Reach) bool { return r.thorough == nil })
	for len(reach) > 0 {
		// Tests of one binary together: the quick ones, then the others.
		var now, later []Reach
		var took time.Duration
		for _, r := range reach {
			if len(now) == 0 || r.binary == now[0].binary && r.flags == nil && now[0].flags == nil && (now[0].took > quick || took+r.took < quick) {
				now, took = append(now, r), took+r.took
			} else {
				later = append(later, r)
			}
		}
		var names []string
		for _, r := range now {
			names = append(names, r.test)
		}
		args := append([]string{"-test.run", "^(" + strings.Join(names, "|") + ")$"}, now[0].flags...)
		if by := now[0].binary.notice(ctx, m.ID, args, max(leastTime, patience*took)); by != "" {
			return Noticed, by
		}
		reach = later
	}
	for _, r := range thorough {
		args := append([]string{"-test.run", "^" + r.test + "$"}, r.thorough...)
		if by := r.binary.notice(ctx, m.ID, args, indexTime); by != "" {
			return Noticed, by
		}
	}
	return Survived, ""
}

// notice runs some tests with a mutant, and says which of them failed; empty if none
// did. They must fail twice, because a test can fail by itself on a slow machine; and
// where they do not end, they must do so without the mutant.
func (b *Binary) notice(ctx context.Context, mutant int, args []string, limit time.Duration) string {
	for ; ; limit *= 2 {
		_, err := b.run(ctx, mutant, args, limit)
		if err == nil {
			return ""
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if _, err := b.run(ctx, 0, args, limit); !errors.Is(err, context.DeadlineExceeded) {
			return "it does not end"
		}
	}
	out, err := b.run(ctx, mutant, args, 4*limit)
	if err == nil {
		return ""
	}
	return failure(out)
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failure is the last of the tests that failed, which is the innermost one.
func failure(out []byte) string {
	if all := failed.FindAllSubmatch(out, -1); len(all) > 0 {
		return string(all[len(all)-1][1])
	}
	if i := bytes.Index(out, []byte("panic: ")); i >= 0 {
		line, _, _ := strings.Cut(string(out[i:]), "\n")
		return line
	}
	return "no test by name"
}

// run ends after a time at the latest, with all processes that the tests started.
func (b *Binary) run(ctx context.Context, mutant int, args []string, limit time.Duration, env ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	dir, err := os.MkdirTemp(filepath.Dir(b.path), "run")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args = append(args, "-test.failfast", "-test.paniconexit0", "-test.parallel", fmt.Sprint(parallel), "-test.timeout", "0")
	run := exec.CommandContext(ctx, b.path, args...)
	run.Dir = b.dir
	run.Env = append(os.Environ(), append(env, fmt.Sprintf("%s=%d", chosenVariable, mutant), "TMPDIR="+dir)...)
	run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	run.Cancel = func() error { return syscall.Kill(-run.Process.Pid, syscall.SIGKILL) }
	run.WaitDelay = time.Second
	out, err := run.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return out, err
}
