package dedup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// lister makes the Lists of handlers.
type lister interface {
	// list returns the objects of a fingerprint as they were at a moment after the
	// call; keys are those that the caller wants to settle: see [api]. now is the API
	// server's clock.
	list(ctx context.Context, namespace, fingerprint string, keys []string) (objects []object, now time.Time, err error)
}

// gatherer is a lister that makes one List of many. An API server reads all of
// a namespace for each List, so while one is under way, and for at most maxLead,
// the next to come wait, and are then made together. Who waits joined before that
// List began.
type gatherer struct {
	api api

	mu sync.Mutex
	// spaces are the namespaces in which a List is under way.
	spaces map[string]*space
	// crowded are the namespaces with too much in them that has no label, and
	// empty those with nothing such, each until when that is believed.
	crowded, empty map[string]time.Time
	// long are the fingerprints that are too large for a List of several, by namespace
	// and fingerprint.
	long map[string]time.Time
	// slow bounds their Lists under way.
	slow *semaphore.Weighted
}

type space struct{ next *wave }

// wave is a List of some fingerprints that are asked for together.
type wave struct {
	wanted
	ctx      context.Context // the first one's, for what comes with it
	deadline time.Time
	done     chan struct{}
	listed
}

// wanted is what Lists are asked for: fingerprints, and the keys to settle on them.
type wanted struct {
	fingerprints map[string]bool
	keys         []string
}

// listed is what Lists of several fingerprints came to.
type listed struct {
	objects map[string][]object
	now     time.Time
	// errs are those of single fingerprints, err is that of all.
	errs map[string]error
	err  error
}

func newGatherer(a api) *gatherer {
	return &gatherer{api: a, spaces: map[string]*space{}, crowded: map[string]time.Time{}, empty: map[string]time.Time{}, long: map[string]time.Time{}, slow: semaphore.NewWeighted(maxLong)}
}

func (g *gatherer) list(ctx context.Context, namespace, fingerprint string, keys []string) ([]object, time.Time, error) {
	if g.believe(g.long, namespace+"/"+fingerprint) {
		return g.alone(ctx, namespace, fingerprint, keys)
	}
	w, first := g.join(ctx, namespace, fingerprint, keys)
	if first {
		g.run(ctx, namespace, w)
	}
	select {
	case <-w.done:
		joined(ctx, w.ctx, "list")
		if errors.Is(w.errs[fingerprint], errTooLarge) {
			return g.alone(ctx, namespace, fingerprint, keys)
		}
		g.note(namespace, fingerprint, w.objects[fingerprint])
		return slices.Clone(w.objects[fingerprint]), w.now, cmp.Or(w.err, w.errs[fingerprint])
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

// alone makes a List of one fingerprint. One with a long past keeps to itself for a
// while: others would wait for it.
func (g *gatherer) alone(ctx context.Context, namespace, fingerprint string, keys []string) ([]object, time.Time, error) {
	if err := g.slow.Acquire(ctx, 1); err != nil {
		return nil, time.Time{}, fmt.Errorf("waiting for Lists of other long pasts: %w", err)
	}
	defer g.slow.Release(1)
	objects, now, err := one(ctx, g.api, namespace, selector{fingerprint: fingerprint, keys: keys})
	g.note(namespace, fingerprint, objects)
	return objects, now, err
}

// apart tells whether a List that leaves ended objects out, and can be shared with
// nobody, is better than one that has them and is shared.
func (g *gatherer) apart(namespace string, ended int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return ended >= manyEnded || ended > 0 && g.spaces[namespace] == nil
}

// note remembers that a past was long.
func (g *gatherer) note(namespace, fingerprint string, past []object) {
	if slices.ContainsFunc(past, func(o object) bool { return o.partial }) {
		g.until(g.long, namespace+"/"+fingerprint, time.Now().Add(crowdedFor))
	}
}

// join adds a fingerprint to the next wave. The first in a namespace without a
// List under way runs its wave at once.
func (g *gatherer) join(ctx context.Context, namespace, fingerprint string, keys []string) (w *wave, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.spaces[namespace]
	if first = s == nil; first {
		s = &space{}
		g.spaces[namespace] = s
	}
	if w = s.next; w == nil {
		w = &wave{wanted: wanted{fingerprints: map[string]bool{}}, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	}
	if !first {
		s.next = w
	}
	w.fingerprints[fingerprint] = true
	w.keys = append(w.keys, keys...)
	w.deadline = later(w.deadline, deadline(ctx))
	return w, first
}

// run makes a wave's List and has the next one follow, at once if it takes long.
func (g *gatherer) run(ctx context.Context, namespace string, w *wave) {
	//nolint:contextcheck // Who comes next has a context of its own.
	follow := sync.OnceFunc(func() { g.follow(namespace) })
	late := time.AfterFunc(maxLead, follow)
	defer func() {
		if cause := recover(); cause != nil {
			w.listed = listed{err: panicked(cause)}
		}
		close(w.done)
		late.Stop()
		follow()
	}()
	w.listed = g.lists(ctx, namespace, w.wanted)
}

// follow starts the wave that waits, in a goroutine that ends by the latest
// deadline of who waits for it.
func (g *gatherer) follow(namespace string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.spaces[namespace].next
	if w == nil {
		delete(g.spaces, namespace)
		return
	}
	g.spaces[namespace].next = nil
	go func() {
		ctx, cancel := context.WithDeadline(w.ctx, w.deadline)
		defer cancel()
		g.run(ctx, namespace, w)
	}()
}

// lists makes Lists of all fingerprints, together where that is cheaper.
func (g *gatherer) lists(ctx context.Context, namespace string, w wanted) listed {
	if len(w.fingerprints) <= maxAlone || g.believe(g.crowded, namespace) {
		return each(ctx, g.api, namespace, w)
	}
	begun, nobody := time.Now(), g.believe(g.empty, namespace)
	all, others := together(ctx, g.api, namespace, w, !nobody)
	switch {
	case errors.Is(all.err, errTooLarge):
		g.until(g.crowded, namespace, time.Now().Add(crowdedFor))
		return each(ctx, g.api, namespace, w)
	case all.err == nil && !nobody && others == 0:
		g.until(g.empty, namespace, begun.Add(emptyFor))
	}
	return all
}

// believe tells whether something is still held true of a namespace, which
// until says.
func (g *gatherer) believe(what map[string]time.Time, namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(what[namespace])
}

func (g *gatherer) until(what map[string]time.Time, namespace string, when time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(what) >= maxNamespaces {
		clear(what) // It is learned again.
	}
	what[namespace] = when
}

// deadline is when a caller gives up.
func deadline(ctx context.Context) time.Time {
	if t, ok := ctx.Deadline(); ok {
		return t
	}
	return time.Now().Add(maxWait)
}

// panicked is a panic as an error. It must not end the process, or be taken for
// an answer.
func panicked(cause any) error { return fmt.Errorf("panic: %v\n%s", cause, debug.Stack()) }

// each makes a List for each fingerprint; one that fails touches no other.
func each(ctx context.Context, a api, namespace string, w wanted) listed {
	var mu sync.Mutex
	all := listed{objects: map[string][]object{}, errs: map[string]error{}}
	var lists errgroup.Group
	lists.SetLimit(maxLists)
	for fingerprint := range w.fingerprints {
		lists.Go(func() error {
			objects, now, err := one(ctx, a, namespace, selector{fingerprint: fingerprint, keys: w.keys})
			mu.Lock()
			defer mu.Unlock()
			all.objects[fingerprint], all.errs[fingerprint] = objects, err
			if err == nil && (all.now.IsZero() || now.Before(all.now)) {
				all.now = now
			}
			return nil
		})
	}
	_ = lists.Wait() // Each has its own error.
	return all
}

func one(ctx context.Context, a api, namespace string, s selector) (objects []object, now time.Time, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked(cause)
		}
	}()
	return a.list(ctx, namespace, s)
}

// together asks for the objects of all fingerprints by label, and then for those
// that have no label because somebody else made them or took it off, if asked
// to; it tells how many there are. In this order nothing is missed that loses its
// label in between. Where there is too much with some labels, each of their
// fingerprints is to be asked for alone.
func together(ctx context.Context, a api, namespace string, w wanted, others bool) (all listed, unlabelled int) {
	all.objects, all.errs = map[string][]object{}, map[string]error{}
	add := func(objects []object) {
		for _, o := range objects {
			same := func(other object) bool { return other.uid == o.uid }
			if known := all.objects[o.fingerprint]; w.fingerprints[o.fingerprint] && !slices.ContainsFunc(known, same) {
				all.objects[o.fingerprint] = append(known, o)
			}
		}
	}
	var labels []string
	for fingerprint := range w.fingerprints {
		labels = append(labels, label(fingerprint))
	}
	slices.Sort(labels)
	for some := range slices.Chunk(slices.Compact(labels), maxLabels) {
		objects, now, err := a.list(ctx, namespace, selector{labels: some, keys: w.keys})
		if errors.Is(err, errTooLarge) {
			for fingerprint := range w.fingerprints {
				if slices.Contains(some, label(fingerprint)) {
					all.errs[fingerprint] = err
				}
			}
			continue
		}
		if err != nil {
			return listed{err: err}, 0
		}
		add(objects)
		if all.now.IsZero() {
			all.now = now
		}
	}
	if !others {
		return all, 0
	}
	objects, _, err := a.list(ctx, namespace, selector{keys: w.keys})
	if err != nil {
		return listed{err: err}, 0
	}
	add(objects)
	return all, len(objects)
}
