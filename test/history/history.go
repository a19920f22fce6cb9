// Package history records what clients saw of one fingerprint, and checks with
// porcupine that it is linearizable: that some order of the operations, in which
// each takes effect at one moment between its call and its return, is one in
// which a create-if-absent register with a counter would have given the same
// answers.
//
// That holds as long as nobody deletes an object. When somebody does, two
// handlers may make twins, which are healed before either is acknowledged but
// can be counted on meanwhile; then only the sums are exact.
package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// Answer is what an alert was answered with: the object that it is counted on,
// and the object's count with it. Count 1 means that it made the object.
type Answer struct {
	Object string
	Count  int32
}

// The operations.
type (
	// deliver counts the alert with a key; its output is an [Answer].
	deliver struct{ key string }
	// end makes an object inactive; it has no output.
	end struct{ object string }
	// read gives the active object and its count; the zero value is none.
	read struct{}
)

// Recorder takes the operations on one fingerprint. Any number of goroutines
// may use it.
type Recorder struct {
	mu  sync.Mutex
	ops []porcupine.Operation
}

// epoch is where times count from, on the clock that only goes forward.
var epoch = time.Now()

// begin notes the call of an operation now, and returns what notes its return.
func (r *Recorder) begin(input any) func(output any) {
	call := time.Since(epoch)
	return func(output any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ops = append(r.ops, porcupine.Operation{Input: input, Call: int64(call), Output: output, Return: int64(time.Since(epoch))})
	}
}

// Deliver notes that an alert with a key is sent for the first time. Its return
// is called once it is accepted, on whichever try: all tries are one operation,
// as they have one effect.
func (r *Recorder) Deliver(key string) (accepted func(Answer)) {
	ended := r.begin(deliver{key})
	return func(a Answer) { ended(a) }
}

// End notes that somebody makes an object inactive. The caller calls done when that
// is done.
func (r *Recorder) End(object string) (done func()) {
	ended := r.begin(end{object})
	return func() { ended(nil) }
}

// Read notes that somebody reads the active object and its count. The caller calls
// seen with what it saw.
func (r *Recorder) Read() (seen func(Answer)) {
	ended := r.begin(read{})
	return func(a Answer) { ended(a) }
}

// register is the state of the specification.
type register struct {
	active Answer
	// answers are the answers to all keys.
	answers map[string]Answer
	// ended are the objects that are no longer active.
	ended map[string]bool
}

func (s register) step(input, output any) (bool, register) {
	switch op := input.(type) {
	case deliver:
		answer := output.(Answer)
		if before, ok := s.answers[op.key]; ok {
			return answer == before, s
		}
		next := register{active: Answer{answer.Object, s.active.Count + 1}, answers: maps.Clone(s.answers), ended: s.ended}
		next.answers[op.key] = answer
		if s.active.Object == "" {
			return answer.Count == 1 && !s.ended[answer.Object], next
		}
		return answer == next.active && answer.Object == s.active.Object, next
	case end:
		if s.active.Object != op.object {
			return false, s
		}
		next := register{answers: s.answers, ended: maps.Clone(s.ended)}
		next.ended[op.object] = true
		return true, next
	case read:
		return output.(Answer) == s.active, s
	}
	panic(fmt.Sprintf("no such operation: %T", input))
}

func (s register) equal(other register) bool {
	return s.active == other.active && maps.Equal(s.answers, other.answers) && maps.Equal(s.ended, other.ended)
}

var model = porcupine.Model{
	Init:              func() any { return register{answers: map[string]Answer{}, ended: map[string]bool{}} },
	Step:              func(state, input, output any) (bool, any) { return state.(register).step(input, output) },
	Equal:             func(a, b any) bool { return a.(register).equal(b.(register)) },
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%T%+v → %+v", input, input, output) },
}

// Check tells whether the history is linearizable, and why not. It gives up
// after a time limit, which is an error too.
func (r *Recorder) Check(limit time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch porcupine.CheckOperationsTimeout(model, r.ops, limit) {
	case porcupine.Ok:
		return nil
	case porcupine.Unknown:
		return fmt.Errorf("no verdict on %d operations within %s", len(r.ops), limit)
	}
	slices.SortFunc(r.ops, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var text strings.Builder
	for _, op := range r.ops {
		since := func(at int64) time.Duration { return time.Duration(at - r.ops[0].Call).Round(time.Microsecond) }
		fmt.Fprintf(&text, "\n  %s – %s %s", since(op.Call), since(op.Return), model.DescribeOperation(op.Input, op.Output))
	}
	return fmt.Errorf("no order of these operations explains their answers:%s", &text)
}

// Len is how many operations were recorded.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ops)
}
