package dedup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// A run executes the real protocol against the simulated store under a
// scheduler: every handler stops before each of its API calls, and the
// scheduler decides whose call happens next, whether it fails before or after
// it took effect, and what others do in between. One handler runs at a time, so
// a list of choices determines the run.

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
	events []string // one handler each
	setup  func(*store)
	budget budget
}

type step struct {
	label string
	do    func()
}

type delivery struct {
	key      string
	proceed  chan error // the scheduler's leave for one call; an error fails it
	after    error      // fails the call after its effect
	waiting  string     // the call it waits for; empty when done
	outcomes []Outcome
	err      error
}

type run struct {
	*store
	fingerprint string
	deliveries  []*delivery
	stopped     chan struct{} // a handler reached its next call or its end
	budget      budget
	trace       []string
}

var errInjected = errors.New("injected fault")

// gate is the API as one delivery sees it.
type gate struct {
	*run
	d *delivery
}

func (g gate) call(name string, do func() error) error {
	g.d.waiting = name
	g.stopped <- struct{}{}
	if err := <-g.d.proceed; err != nil {
		return err
	}
	err := do()
	if g.d.after != nil {
		err, g.d.after = g.d.after, nil
	}
	return err
}

func (g gate) List(ctx context.Context, ns, fp string) (out []unstructured.Unstructured, err error) {
	err = g.call("list", func() error { out, err = g.store.List(ctx, ns, fp); return err })
	return out, err
}

func (g gate) Get(ctx context.Context, ns, name string) (out *unstructured.Unstructured, err error) {
	err = g.call("get", func() error { out, err = g.store.Get(ctx, ns, name); return err })
	return out, err
}

func (g gate) Create(ctx context.Context, ns string, o *unstructured.Unstructured) (out *unstructured.Unstructured, err error) {
	err = g.call("create "+o.GetName(), func() error { out, err = g.store.Create(ctx, ns, o); return err })
	return out, err
}

func (g gate) PatchStatus(ctx context.Context, ns, name string, patch map[string]any) error {
	return g.call("patch "+name, func() error { return g.store.PatchStatus(ctx, ns, name, patch) })
}

func (g gate) Delete(ctx context.Context, ns, name string, uid types.UID, rv string) error {
	return g.call("delete "+name, func() error { return g.store.Delete(ctx, ns, name, uid, rv) })
}

// play runs a scenario to its end. choose picks one of n options.
func play(sc scenario, choose func(n int) int) *run {
	r := &run{store: newStore(), fingerprint: digest("fingerprint"), stopped: make(chan struct{}), budget: sc.budget}
	if sc.setup != nil {
		sc.setup(r.store)
	}
	for i, key := range sc.events {
		d := &delivery{key: key, proceed: make(chan error)}
		r.deliveries = append(r.deliveries, d)
		r.deliver(i, d)
	}
	for {
		steps := r.steps()
		if len(steps) == 0 {
			return r
		}
		next := steps[choose(len(steps))]
		r.trace = append(r.trace, next.label)
		if len(r.trace) > 1000 {
			panic(fmt.Sprintf("no end in sight: %q", r.trace[900:]))
		}
		next.do()
	}
}

// deliver starts a handler and waits until it stops at its first call.
func (r *run) deliver(_ int, d *delivery) {
	go func() {
		dd := New(gate{r, d}, "alert", func() time.Time { return epoch })
		dd.pause = func(context.Context, int) error { return nil }
		s := mapping.Signal{Fingerprint: r.fingerprint, Namespace: "ns", Name: "A", FiringAt: epoch}
		d.outcomes, d.err = dd.Settle(context.Background(), s, []string{d.key})
		d.waiting = ""
		r.stopped <- struct{}{}
	}()
	<-r.stopped
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
		steps = append(steps, step{label, func() { r.resume(i, d, nil, nil) }})
		if r.budget.failBefore > 0 {
			steps = append(steps, step{label + " fails before", func() { r.budget.failBefore--; r.resume(i, d, errInjected, nil) }})
		}
		if r.budget.failAfter > 0 {
			steps = append(steps, step{label + " fails after", func() { r.budget.failAfter--; r.resume(i, d, nil, errInjected) }})
		}
	}
	if !busy {
		return nil
	}
	for _, o := range r.all() {
		switch {
		case o.terminal() && r.budget.retain > 0:
			steps = append(steps, step{"retention deletes " + o.name, func() { r.budget.retain--; r.remove(o.name) }})
		case !o.terminal() && o.ours && r.budget.complete > 0:
			steps = append(steps, step{"completes " + o.name, func() { r.budget.complete--; r.setPhase(o.name, "Completed") }})
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

// resume lets a handler make its call; a handler that failed gets its event
// delivered again.
func (r *run) resume(i int, d *delivery, before, after error) {
	d.after = after
	d.proceed <- before
	<-r.stopped
	if d.waiting == "" && errors.Is(d.err, errInjected) {
		r.deliver(i, d)
	}
}

// check returns what is wrong at quiescence; nil when nothing is.
func (r *run) check() error {
	var ours []object
	for _, o := range r.all() {
		if !o.terminal() && o.ours {
			ours = append(ours, o)
		}
		if o.ours && int(o.count) != len(o.events) {
			return fmt.Errorf("I2: %s counts %d but has %d keys", o.name, o.count, len(o.events))
		}
	}
	if len(ours) > 1 {
		return fmt.Errorf("I1: twins %s and %s", ours[0].name, ours[1].name)
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
		if _, _, ok := recorded(slices.Concat(r.all(), gone), d.key); !ok {
			return fmt.Errorf("I3: %s was accepted and is on no object", d.key)
		}
		// A deletion can make a redelivery the first one again, and a key
		// that moved to a foreign object was never answered as new.
		if before, ok := first[d.key]; ok && len(gone) == 0 && r.objects["foreign"] == nil {
			if before.Count != d.outcomes[0].Count || before.Reason.Decision() != d.outcomes[0].Reason.Decision() {
				return fmt.Errorf("I4: %s was answered %v and %v", d.key, before, d.outcomes[0])
			}
		}
		first[d.key] = d.outcomes[0]
	}
	return nil
}

// explore runs a scenario under every schedule there is and returns how many
// there were, or stops at the first that breaks an invariant.
func explore(sc scenario, limit int) (runs int, complete bool, broken *run, err error) {
	var prefix []int
	for runs < limit {
		var widths []int
		at := 0
		r := play(sc, func(n int) int {
			if at == len(prefix) {
				prefix = append(prefix, 0)
			}
			widths = append(widths, n)
			at++
			return prefix[at-1]
		})
		runs++
		if err := r.check(); err != nil {
			return runs, false, r, err
		}
		prefix = prefix[:len(widths)]
		for len(prefix) > 0 && prefix[len(prefix)-1]+1 >= widths[len(prefix)-1] {
			prefix = prefix[:len(prefix)-1]
		}
		if len(prefix) == 0 {
			return runs, true, nil, nil
		}
		prefix[len(prefix)-1]++
	}
	return runs, false, nil, nil
}
