//go:build !race

// One coroutine runs at a time, so the race detector has nothing to find here,
// and it keeps memory for every coroutine that ever ran.

package dedup

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// A run executes the real protocol against the simulated store under a
// scheduler: every handler is a coroutine that stops before each of its API
// calls, and the scheduler decides whose call happens next, whether it fails
// before or after it took effect, and what others do in between. A list of
// choices determines the run.

// budget is how often the scheduler may do what is not a handler's own step.
type budget struct {
	// failBefore and failAfter fail a call without and with its effect; the
	// event is then delivered again, as after a crash or a timeout.
	failBefore, failAfter int
	complete              int // an active object of ours becomes terminal
	retain                int // a terminal object is deleted
	userDelete            int // an active object is deleted
	foreign               int // somebody else makes an active object
}

type scenario struct {
	// events get one handler each: keys with commas between them, or
	// resolvedAlert.
	events []string
	setup  func(*store)
	budget budget
}

// completed is the terminal phase of all runs.
const completed = "Completed"

// resolvedAlert is the event of an alert that ended.
const resolvedAlert = "resolved"

type step struct {
	label string
	do    func()
}

type delivery struct {
	key     string
	resume  func() (string, bool) // runs the handler up to its next call
	abandon func()
	waiting string // the call it waits for; empty when done
	before  error  // fails the call without its effect
	after   error  // fails the call after its effect
	// history is what this try has learned from the API and still knows. The
	// protocol is deterministic, so it stands for the handler's whole state.
	history  []string
	outcomes []Outcome
	err      error
}

type run struct {
	*store
	// undisturbed is set when nothing but alerts and faults can happen.
	undisturbed bool
	fingerprint string
	deliveries  []*delivery
	budget      budget
	trace       []string
}

var errInjected = errors.New("injected fault")

// gate is the API as one delivery sees it.
type gate struct {
	*run
	d    *delivery
	stop func(call string) bool
}

func (g gate) call(name string, do func() (string, error)) error {
	if !g.stop(name) || g.d.before != nil {
		return errInjected
	}
	learned, err := do()
	if g.d.after != nil {
		return g.d.after
	}
	if name == "list" && !strings.Contains(g.d.key, ",") {
		// A handler of one key keeps nothing of what it saw before a List, but
		// that it made an object and that a name was taken.
		g.d.history = slices.DeleteFunc(g.d.history, func(h string) bool {
			return !strings.HasPrefix(h, "create") && !strings.HasPrefix(h, "get")
		})
	}
	g.d.history = append(g.d.history, fmt.Sprint(name, " ", learned, " ", apierrors.ReasonForError(err)))
	return err
}

func (g gate) List(ctx context.Context, ns, fp string) (out []unstructured.Unstructured, now time.Time, err error) {
	err = g.call("list", func() (string, error) { out, now, err = g.store.List(ctx, ns, fp); return textOf(out...), err })
	return out, now, err
}

func (g gate) Get(ctx context.Context, ns, name string) (out *unstructured.Unstructured, err error) {
	err = g.call("get", func() (string, error) { out, err = g.store.Get(ctx, ns, name); return textOf(all(out)...), err })
	return out, err
}

func (g gate) Create(ctx context.Context, ns string, o *unstructured.Unstructured) (out *unstructured.Unstructured, err error) {
	err = g.call("create "+o.GetName(), func() (string, error) { out, err = g.store.Create(ctx, ns, o); return textOf(all(out)...), err })
	return out, err
}

func (g gate) PatchStatus(ctx context.Context, ns, name string, patch map[string]any) error {
	return g.call("patch "+name, func() (string, error) { return "", g.store.PatchStatus(ctx, ns, name, patch) })
}

func (g gate) Delete(ctx context.Context, ns, name string, uid types.UID, rv string) error {
	return g.call("delete "+name, func() (string, error) { return "", g.store.Delete(ctx, ns, name, uid, rv) })
}

func all(o *unstructured.Unstructured) []unstructured.Unstructured {
	if o == nil {
		return nil
	}
	return []unstructured.Unstructured{*o}
}

func newRun(sc scenario) *run {
	b := sc.budget
	r := &run{
		store: newStore(), fingerprint: digest("fingerprint"), budget: b,
		undisturbed: b.complete+b.retain+b.userDelete+b.foreign == 0,
	}
	if sc.setup != nil {
		sc.setup(r.store)
	}
	for _, key := range sc.events {
		d := &delivery{key: key}
		r.deliveries = append(r.deliveries, d)
		r.deliver(d)
	}
	return r
}

// play runs a scenario to its end. choose picks one of n options.
func play(sc scenario, choose func(n int) int) *run {
	r := newRun(sc)
	for {
		steps := r.steps()
		if len(steps) == 0 {
			return r
		}
		r.take(steps[choose(len(steps))])
	}
}

func (r *run) take(s step) {
	r.trace = append(r.trace, s.label)
	if len(r.trace) > 1000 {
		panic(fmt.Sprintf("no end in sight: %q", r.trace[900:]))
	}
	s.do()
}

// abandon ends the handlers of a run that need not go on.
func (r *run) abandon() {
	for _, d := range r.deliveries {
		d.abandon()
	}
}

// deliver starts a handler and lets it come to its first call.
func (r *run) deliver(d *delivery) {
	d.history, d.before, d.after = nil, nil, nil
	d.resume, d.abandon = iter.Pull(func(stop func(string) bool) {
		dd := New(gate{r, d, stop}, "alert")
		dd.pause = func(context.Context, int) error { return nil }
		s := mapping.Signal{Fingerprint: r.fingerprint, Namespace: "ns", Name: "A", FiringAt: epoch}
		if d.key == resolvedAlert {
			_, d.err = dd.Resolve(context.Background(), s, epoch)
			return
		}
		d.outcomes, d.err = dd.Settle(context.Background(), s, strings.Split(d.key, ","))
	})
	d.waiting, _ = d.resume()
}

// proceed lets a handler make its call; one that fails gets its event delivered
// again.
func (r *run) proceed(d *delivery, before, after error) {
	d.before, d.after = before, after
	d.waiting, _ = d.resume()
	if d.waiting == "" && errors.Is(d.err, errInjected) {
		r.deliver(d)
	}
}

// state is everything that the rest of a run depends on. Resource versions are
// only ever compared for equality, so they are renamed in the order in which
// they appear.
func (r *run) state() [32]byte {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.objects)) {
		b.WriteString(textOf(*r.objects[name]))
	}
	for _, o := range r.deleted {
		b.WriteString(" deleted " + textOf(*o))
	}
	fmt.Fprint(&b, r.created, r.budget)
	for _, d := range r.deliveries {
		if d.waiting == "" {
			d.history = nil // What it knew does not matter any more.
		}
		fmt.Fprintf(&b, "\n%s %q %q %v %v", d.key, d.waiting, d.history, d.outcomes, d.err)
	}
	seen := map[string]string{}
	return sha256.Sum256([]byte(version.ReplaceAllStringFunc(b.String(), func(v string) string {
		if seen[v] == "" {
			seen[v] = fmt.Sprintf("v%d", len(seen))
		}
		return seen[v]
	})))
}

var version = regexp.MustCompile(`rv:\d+`)

// textOf is all that the protocol can see of objects.
func textOf(objects ...unstructured.Unstructured) string {
	var b strings.Builder
	for i := range objects {
		o := observe(&objects[i])
		rv := o.resourceVersion
		o.resourceVersion = ""
		fmt.Fprintf(&b, "{%v rv:%s}", o, rv)
	}
	return b.String()
}

func (r *run) steps() []step {
	var steps []step
	busy := false
	for i, d := range r.deliveries {
		if d.waiting == "" {
			continue
		}
		busy = true
		label := fmt.Sprintf("h%d(%s) %s", i, d.key, d.waiting)
		steps = append(steps, step{label, func() { r.proceed(d, nil, nil) }})
		if r.budget.failBefore > 0 {
			steps = append(steps, step{label + " fails before", func() { r.budget.failBefore--; r.proceed(d, errInjected, nil) }})
		}
		if r.budget.failAfter > 0 {
			steps = append(steps, step{label + " fails after", func() { r.budget.failAfter--; r.proceed(d, nil, errInjected) }})
		}
	}
	if !busy {
		return nil
	}
	if r.budget == (budget{}) {
		return steps
	}
	for _, o := range r.all() {
		switch {
		case o.terminal() && r.budget.retain > 0:
			steps = append(steps, step{"retention deletes " + o.name, func() { r.budget.retain--; r.remove(o.name) }})
		case !o.terminal() && o.ours && r.budget.complete > 0:
			steps = append(steps, step{"completes " + o.name, func() { r.budget.complete--; r.setPhase(o.name, completed) }})
		}
		if !o.terminal() && r.budget.userDelete > 0 {
			steps = append(steps, step{"user deletes " + o.name, func() { r.budget.userDelete--; r.remove(o.name) }})
		}
	}
	if r.budget.foreign > 0 {
		steps = append(steps, step{"foreign object", func() { r.budget.foreign--; r.addForeign(r.fingerprint, "foreign") }})
	}
	return steps
}

func (r *run) onlyResolved() bool {
	return !slices.ContainsFunc(r.deliveries, func(d *delivery) bool { return d.key != resolvedAlert })
}

// check returns what is wrong at quiescence; nil when nothing is.
func (r *run) check() error {
	var ours, same []object
	for _, o := range r.all() {
		if o.fingerprint != r.fingerprint {
			if len(o.events) > 0 {
				return fmt.Errorf("I2: an alert was counted on %s, which has another fingerprint", o.name)
			}
			continue
		}
		same = append(same, o)
		// Not terminal(), which is part of what is checked.
		if o.phase != completed && o.ours {
			ours = append(ours, o)
		}
		if o.ours && int(o.count) != len(o.events) && !r.prunes {
			return fmt.Errorf("I2: %s counts %d but has %d keys", o.name, o.count, len(o.events))
		}
	}
	if len(ours) > 1 {
		return fmt.Errorf("I1: twins %s and %s", ours[0].name, ours[1].name)
	}
	if len(ours) == 0 && r.undisturbed && !r.onlyResolved() {
		return errors.New("I1: alerts were accepted and no object is active")
	}
	gone := make([]object, 0, len(r.deleted))
	for _, u := range r.deleted {
		gone = append(gone, observe(u))
	}
	first := map[string]Outcome{}
	for i, d := range r.deliveries {
		if d.err != nil {
			return fmt.Errorf("handler %d: %w", i, d.err)
		}
		if d.key == resolvedAlert {
			continue
		}
		for j, key := range strings.Split(d.key, ",") {
			if _, _, ok := recorded(slices.Concat(same, gone), key); !ok && !r.prunes {
				return fmt.Errorf("I3: %s was accepted and is on no object", key)
			}
			// A deletion can make a redelivery the first one again, and a key
			// that moved to a foreign object was never answered as new.
			if before, ok := first[key]; ok && len(gone) == 0 && r.objects["foreign"] == nil && !r.prunes {
				if before.Count != d.outcomes[j].Count || before.Reason.Decision() != d.outcomes[j].Reason.Decision() {
					return fmt.Errorf("I4: %s was answered %v and %v", key, before, d.outcomes[j])
				}
			}
			first[key] = d.outcomes[j]
		}
	}
	if len(first) == 0 && len(r.all()) > 0 {
		return fmt.Errorf("I6: a resolved alert made %s", r.all()[0].name)
	}
	return nil
}

// explored is what an exploration covered.
type explored struct {
	states, ends int
	complete     bool
}

// found ends every exploration once one has found something: one broken schedule
// is enough to look at.
var found atomic.Bool

// explore runs a scenario under every schedule that leads to a new state, depth
// first, and checks every end. It stops at the first end that breaks an
// invariant, and gives up beyond limit states.
func explore(sc scenario, limit int) (e explored, broken *run, err error) {
	seen := map[[32]byte]bool{}
	open := [][]int{{}}
	for len(open) > 0 && !found.Load() {
		choices := open[len(open)-1]
		open = open[:len(open)-1]
		r := newRun(sc)
		for _, c := range choices {
			r.take(r.steps()[c])
		}
		for state := r.state(); !seen[state]; state = r.state() {
			seen[state] = true
			steps := r.steps()
			if len(steps) == 0 {
				e.ends++
				if err := r.check(); err != nil {
					found.Store(true)
					return e, r, err
				}
				break
			}
			for other := len(steps) - 1; other > 0; other-- {
				open = append(open, append(slices.Clone(choices), other))
			}
			choices = append(slices.Clone(choices), 0)
			r.take(steps[0])
		}
		r.abandon()
		if e.states = len(seen); e.states >= limit {
			return e, nil, nil
		}
	}
	e.complete = len(open) == 0
	return e, nil, nil
}
