// Package mutants breaks packages systematically, and asks whether their tests notice.
//
// [Find] lists every place of a package's source that an operator can change: a
// comparison, a condition, a statement that could be left out, a result, a number.
// All these mutants are compiled into one test binary ([Build]), in which an
// environment variable chooses one of them, or none. So each costs the run of some
// tests, and not a build. [Binary.Index] runs each test alone and notes which
// mutants' code it reaches; [Binary.Try] runs those tests for one mutant.
//
// The source tree stays as it is: the rewritten files are an overlay of the go
// command.
package mutants

import (
	"cmp"
	"fmt"
	"slices"
)

// Mutant is one change of the source.
type Mutant struct {
	// ID chooses it in the test binary. It is above zero, and unique in a room.
	ID int
	// File is its file's path from the module's root, Line where it stands.
	File string
	Line int
	// Func is the function, with its receiver, or the variable that it belongs to.
	Func string
	// Text is the change, as "before → after". Where a function has the same text more
	// than once, the later ones end with their number: "#2".
	Text string
}

// Key names a mutant in the list of accepted ones. It has no line number, so it
// stays the same while the code around it changes.
func (m Mutant) Key() string { return fmt.Sprintf("%s %s: %s", m.File, m.Func, m.Text) }

// wrap puts text before and after a part of a file, or, with both ends at the same
// place, text there.
type wrap struct {
	start, end  int // offsets
	open, close string
	id          int
}

// swap replaces text of a file.
type swap struct {
	start, end int
	text       string
	id         int
}

// source is a file and what is to be changed in it.
type source struct {
	path  string // absolute
	text  []byte
	wraps []wrap // outer ones before inner ones
	swaps []swap
}

// rewrite is the file with all changes but those of the mutants that are left out.
// It has as many lines as before.
func (s *source) rewrite(without map[int]bool) []byte {
	type insertion struct {
		at, order int
		text      string
	}
	var insertions []insertion
	n := len(s.wraps)
	for i, w := range s.wraps {
		if without[w.id] {
			continue
		}
		// At one offset what ends comes before what begins; the inner ends first, and
		// the outer begins first.
		insertions = append(insertions, insertion{w.start, n + i, w.open})
		if w.end > w.start {
			insertions = append(insertions, insertion{w.end, n - 1 - i, w.close})
		}
	}
	slices.SortFunc(insertions, func(a, b insertion) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	swaps := slices.DeleteFunc(slices.Clone(s.swaps), func(w swap) bool { return without[w.id] })
	slices.SortFunc(swaps, func(a, b swap) int { return cmp.Compare(a.start, b.start) })
	var out []byte
	at := 0
	upTo := func(end int) {
		for len(swaps) > 0 && swaps[0].start < end {
			out = append(append(out, s.text[at:swaps[0].start]...), swaps[0].text...)
			at = swaps[0].end
			swaps = swaps[1:]
		}
		out = append(out, s.text[at:end]...)
		at = end
	}
	for _, i := range insertions {
		upTo(i.at)
		out = append(out, i.text...)
	}
	upTo(len(s.text))
	return out
}
