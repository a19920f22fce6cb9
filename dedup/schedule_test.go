//go:build !race

// One goroutine runs a schedule, so the race detector has nothing to find here.

package dedup

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A run executes the real protocol against the simulated store under a
// scheduler, which decides whose call happens next, whether it fails before or
// after it took effect, and what others do in between. A scenario and a list of
// choices determine the run.

// scenario is where a run begins and what may happen in it.
type scenario struct {
	// Events get one handler each. They are keys, with commas between those of
	// one event, or the ends of alerts: see isEnd.
	Events string `json:"events"`
	// Setup names what is there before, in order: see setups.
	Setup string `json:"setup,omitempty"`
	// PerSecond is how many creates fall into one second; 3 if it is not said.
	PerSecond int `json:"perSecond,omitempty"`
	means
	Budget budget `json:"budget"`
}

// budget is how often the scheduler may do what is not a handler's own step.
type budget struct {
	// FailBefore and FailAfter fail a call without and with its effect. If that
	// ends the handler, its event is delivered again.
	FailBefore int `json:"failBefore,omitempty"`
	FailAfter  int `json:"failAfter,omitempty"`
	// Repeat makes a write twice, and its second answer counts: client-go does so after a
	// 429 or 503 with Retry-After.
	Repeat int `json:"repeat,omitempty"`
	// FailLast fails a List, and if that ends the handler nobody delivers the
	// event again: it was delivered twice, and the other delivery was settled.
	// It comes before all other faults. After a Create without an answer it
	// would be a crash for good.
	FailLast int `json:"failLast,omitempty"`
	// Crash ends a handler, and nobody delivers its event again. Once all is
	// quiet the fingerprint's next event comes.
	Crash      int `json:"crash,omitempty"`
	Complete   int `json:"complete,omitempty"`   // an active object becomes terminal
	Review     int `json:"review,omitempty"`     // the same, and it asks for quiet
	Retain     int `json:"retain,omitempty"`     // a terminal object is deleted
	UserDelete int `json:"userDelete,omitempty"` // an active object is deleted
	Foreign    int `json:"foreign,omitempty"`    // somebody else makes an active object
	Unlabel    int `json:"unlabel,omitempty"`    // an object's label is taken off
	Rewrite    int `json:"rewrite,omitempty"`    // a controller writes an active object's whole status
	Edge       int `json:"edge,omitempty"`       // the next span of names begins
	Stamp      int `json:"stamp,omitempty"`      // an object gets its time, and is stored later
	Wait       int `json:"wait,omitempty"`       // an hour passes
	Brake      int `json:"brake,omitempty"`      // the brake is put on
	Release    int `json:"release,omitempty"`    // it is let go
}

// delivery is one event on its way.
type delivery struct {
	*progress
	// replica is the process that it is delivered to.
	replica int
	// lost is set when nobody waits for its outcome any more.
	lost bool
	// stamped is the creation time of what it is about to make, where the API server has
	// stamped that already.
	stamped time.Time
}

type run struct {
	*store
	scenario
	// left is what is left of the budget.
	left       budget
	handlers   handlers
	deliveries []delivery
	// raced tells that an object ended before all who were about to make another one,
	// or had made one, could see it.
	raced bool
	// outdated are the objects that were deleted because the past was too long.
	outdated []seen
	// broken is an invariant that did not hold on the way.
	broken error
}

type step struct {
	label string
	do    func(*run)
}

func newRun(sc scenario, hs handlers) *run {
	r := &run{store: newStore(), scenario: sc, left: sc.Budget, handlers: hs}
	r.perSecond = cmp.Or(sc.PerSecond, r.perSecond)
	for _, name := range strings.Fields(sc.Setup) {
		setups[name](r.store)
	}
	for _, event := range strings.Fields(sc.Events) {
		r.come(event)
	}
	return r
}

// come delivers an event to the next replica.
func (r *run) come(event string) {
	r.deliveries = append(r.deliveries, delivery{
		progress: r.handlers.start(event, r.means), replica: len(r.deliveries) % max(1, r.Replicas),
	})
}

// after is the run with one more step.
func (r *run) after(s step) *run {
	next := *r
	next.store = r.clone()
	next.deliveries = slices.Clone(r.deliveries)
	s.do(&next)
	return &next
}

// state tells runs apart by everything that the rest of them depends on.
// Deliveries of the same event can change places.
func (r *run) state() [sha256.Size]byte {
	var b strings.Builder
	for _, o := range r.all() {
		b.WriteString(r.seen[o.name].text)
	}
	for _, o := range append(slices.Clip(r.deleted), r.outdated...) {
		b.WriteString(o.text)
	}
	for _, name := range slices.Sorted(maps.Keys(r.made)) {
		b.WriteString(name)
		b.WriteString(strconv.Itoa(r.made[name]))
	}
	fmt.Fprint(&b, r.created, r.raced, r.now.Unix(), r.left, r.entries, r.braked, r.quota)
	deliveries := slices.Clone(r.deliveries)
	slices.SortFunc(deliveries, func(a, b delivery) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.replica, b.replica)) })
	for _, d := range deliveries {
		b.WriteString(strconv.Itoa(d.id) + " " + strconv.Itoa(d.replica) + strconv.FormatBool(d.lost) + d.stamped.String())
	}
	return sha256.Sum256([]byte(b.String()))
}

// steps are all that can happen next; none when all is quiet.
func (r *run) steps() []step {
	var steps []step
	may := func(left *int, label string, do func(*run)) {
		if *left > 0 {
			steps = append(steps, step{label, do})
		}
	}
	for i, d := range r.deliveries {
		if d.call == "" {
			continue
		}
		if d.call == waiting && slices.ContainsFunc(r.deliveries, func(d delivery) bool { return !d.stamped.IsZero() }) {
			continue // A stamped object is stored sooner: see lateSettles.
		}
		label := fmt.Sprintf("h%d(%s) %s", i, d.event, d.call)
		steps = append(steps, step{label, func(r *run) { r.proceed(i, r.make(d)) }})
		if d.call == recall || d.call == waiting {
			continue // It cannot fail, and a crash here is one before the next call.
		}
		may(&r.left.FailBefore, label+" fails before", func(r *run) { r.left.FailBefore--; r.proceed(i, fault) })
		may(&r.left.FailAfter, label+" fails after", func(r *run) { r.left.FailAfter--; r.make(d); r.proceed(i, fault) })
		if !strings.HasPrefix(d.call, list) && !strings.HasPrefix(d.call, "get") {
			may(&r.left.Repeat, label+" is made twice", func(r *run) { r.left.Repeat--; r.make(d); r.proceed(i, r.make(r.deliveries[i])) })
		}
		if strings.HasPrefix(d.call, "create") && d.stamped.IsZero() {
			may(&r.left.Stamp, label+" is stamped", func(r *run) { r.left.Stamp--; r.deliveries[i].stamped = r.stampNow() })
		}
		if strings.HasPrefix(d.call, list) && r.faultless() {
			may(&r.left.FailLast, label+" fails for good", func(r *run) { r.left.FailLast--; r.failLast(i) })
		}
		may(&r.left.Crash, label+" crashes", func(r *run) { r.left.Crash--; r.end(i) })
	}
	if len(steps) == 0 {
		extra := r.deliveries[len(strings.Fields(r.Events)):]
		if r.left.Crash < r.Budget.Crash && !slices.ContainsFunc(extra, func(d delivery) bool { return !d.lost }) {
			return []step{comes(nextEvent), comes("-a")}
		}
		return nil
	}
	if r.left == (budget{}) && !r.finalizers {
		return steps
	}
	for _, o := range r.all() {
		if r.seen[o.name].label != "" {
			may(&r.left.Unlabel, "label off "+o.name, func(r *run) { r.left.Unlabel--; r.relabel(o.name, "") })
		}
		switch {
		case o.deleting:
			steps = append(steps, step{o.name + " goes away", func(r *run) { r.drop(o.name) }})
		case o.terminal():
			may(&r.left.Retain, "retention deletes "+o.name, func(r *run) { r.left.Retain--; r.remove(o.name) })
		default:
			may(&r.left.Complete, "completes "+o.name, func(r *run) { r.left.Complete--; r.ends(o.name); r.complete(o.name) })
			may(&r.left.Review, "completes for review "+o.name, func(r *run) { r.left.Review--; r.ends(o.name); r.review(o.name) })
			may(&r.left.Rewrite, "rewrites "+o.name, func(r *run) { r.left.Rewrite--; r.rewrite(o.name) })
			may(&r.left.UserDelete, "user deletes "+o.name, func(r *run) { r.left.UserDelete--; r.remove(o.name) })
		}
	}
	if _, ok := r.objects["foreign"]; !ok && !r.full() {
		may(&r.left.Foreign, "foreign object", func(r *run) { r.left.Foreign--; r.addForeign(signal.Fingerprint, "foreign") })
	}
	may(&r.left.Edge, "the next span of names begins", func(r *run) { r.left.Edge--; r.now = r.now.Truncate(nameSpan).Add(nameSpan) })
	if r.braked {
		may(&r.left.Release, "the brake is let go", func(r *run) { r.left.Release--; r.braked = false })
	} else {
		may(&r.left.Brake, "the brake is put on", func(r *run) { r.left.Brake--; r.braked = true })
	}
	if r.Replicas == 0 || !slices.ContainsFunc(r.deliveries, func(d delivery) bool { return strings.HasPrefix(d.call, "create") }) {
		// Nobody is that late with a create: see settledAge.
		may(&r.left.Wait, "an hour passes", func(r *run) { r.left.Wait--; r.now = r.now.Add(time.Hour) })
	}
	return steps
}

// ends notes that an object is about to end. Only where time went by can another
// handler be about to make one of another name.
func (r *run) ends(name string) {
	timed := r.left.Edge+r.left.Wait < r.Budget.Edge+r.Budget.Wait
	for _, o := range r.seen {
		r.raced = r.raced || o.name != name && o.ours && o.fingerprint == signal.Fingerprint && active(o.object)
	}
	for _, d := range r.deliveries {
		creates := strings.HasPrefix(d.call, "create ") && d.call != "create "+name || d.call == listOthers
		r.raced = r.raced || timed && creates
	}
}

func (r *run) faultless() bool {
	return r.left.FailBefore == r.Budget.FailBefore && r.left.FailAfter == r.Budget.FailAfter && r.left.Crash == r.Budget.Crash
}

func comes(event string) step {
	return step{event + " comes", func(r *run) {
		r.come(event)
	}}
}

// make makes the call that a delivery waits for.
func (r *run) make(d delivery) answer {
	r.at, r.stamp = d.replica, d.stamped
	name, old := strings.CutPrefix(d.call, outdated)
	o, was := r.seen[name]
	a := d.make(r.store)
	r.stamp = time.Time{}
	if old && was && a.err == nil {
		r.broken = r.checkOutdated(o.object)
		r.outdated = append(slices.Clip(r.outdated), o)
	}
	return a
}

// proceed answers a handler's call. One that ends with a fault gets its event
// delivered again.
func (r *run) proceed(i int, a answer) {
	d := &r.deliveries[i]
	a.call = d.call
	before := d.progress
	d.progress, d.stamped = r.advance(*d, a), time.Time{}
	switch {
	case errors.Is(d.err, errInjected):
		d.progress = r.handlers.start(d.event, r.means)
		d.replica = (d.replica + 1) % max(1, r.Replicas)
	case a.err == nil:
		answers := append(slices.Clip(before.answers), a)
		r.broken = cmp.Or(r.broken, r.checkWrite(before), checkYield(answers, d.progress), checkHeld(answers, d.progress), r.checkEnds(answers, d.progress), r.checkPatched(before.call))
	}
}

// advance gives a delivery an answer, and its replica what to remember.
func (r *run) advance(d delivery, a answer) *progress {
	next := r.handlers.proceed(d.progress, r.means, a)
	if next.remembers != nil && r.Replicas > 0 {
		r.entries[d.replica] = *next.remembers
	}
	return next.progress
}

func (r *run) failLast(i int) {
	d := &r.deliveries[i]
	d.progress = r.advance(*d, fault)
	if d.call == "" {
		r.end(i)
	}
}

// end lets nobody wait for a delivery.
func (r *run) end(i int) {
	event := r.deliveries[i].event
	r.deliveries[i] = delivery{progress: &progress{id: -1, event: event}, lost: true}
}

// schedule is a run in a form that can be kept: what it begins with, and which
// of its steps was taken each time.
type schedule struct {
	scenario
	Choices []int `json:"choices"`
}

// command replays a schedule.
func (s schedule) command() string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("go test ./dedup -run TestReplay -v -schedule '%s'", text)
}

// play runs a scenario to its end. choose picks one of the steps.
func play(sc scenario, hs handlers, choose func([]step) int) (r *run, s schedule, labels []string) {
	r, s = newRun(sc, hs), schedule{scenario: sc}
	for r.broken == nil {
		steps := r.steps()
		if len(steps) == 0 {
			break
		}
		i := choose(steps)
		s.Choices = append(s.Choices, i)
		labels = append(labels, steps[i].label)
		r = r.after(steps[i])
	}
	return r, s, labels
}
