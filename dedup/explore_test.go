//go:build !race

package dedup

import (
	"crypto/sha256"
	"errors"
)

// finding is a schedule that breaks an invariant.
type finding struct {
	err      error
	schedule schedule
}

// exploration runs a scenario under every schedule that leads to a new state,
// depth first, and checks every end.
type exploration struct {
	limit    int
	path     []int
	reached  map[[sha256.Size]byte]bool // true while the path leads through it
	states   int
	ends     int
	complete bool
}

// explore stops at the first finding, and gives up beyond limit states.
func explore(sc scenario, limit int) (*exploration, *finding) {
	e := &exploration{limit: limit, reached: map[[sha256.Size]byte]bool{}, complete: true}
	if err := e.visit(newRun(sc, handlers{})); err != nil {
		return e, &finding{err, schedule{sc, e.path}}
	}
	return e, nil
}

func (e *exploration) visit(r *run) error {
	if r.broken != nil {
		return r.broken
	}
	state := r.state()
	if onPath, ok := e.reached[state]; ok {
		if onPath {
			return errors.New("livelock: this state was there before")
		}
		return nil
	}
	if e.states >= e.limit {
		e.complete = false
		return nil
	}
	e.states++
	e.reached[state] = true
	steps := r.steps()
	if len(steps) == 0 {
		e.ends++
		if err := r.check(); err != nil {
			return err
		}
	}
	for i, s := range steps {
		e.path = append(e.path, i)
		if err := e.visit(r.after(s)); err != nil {
			return err
		}
		e.path = e.path[:len(e.path)-1]
	}
	e.reached[state] = false
	return nil
}
