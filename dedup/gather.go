package dedup

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// lister makes the Lists of handlers.
type lister interface {
	// list returns all objects of a fingerprint as they were at a moment after
	// the call. now is the API server's clock.
	list(ctx context.Context, namespace, fingerprint string) (objects []object, now time.Time, err error)
}

// gatherer is a lister that makes one List of many. An API server reads all of
// a namespace for each List, so while one is under way the next to come wait,
// and are then made together. Who waits joined before that List began.
type gatherer struct {
	api api

	mu sync.Mutex
	// spaces are the namespaces in which a List is under way.
	spaces map[string]*space
	// crowded are the namespaces with too much in them that has no label, and
	// empty those with nothing such, each until when that is believed.
	crowded, empty map[string]time.Time
}

type space struct{ next *wave }

// wave is a List of some fingerprints that are asked for together.
type wave struct {
	fingerprints map[string]bool
	deadline     time.Time
	done         chan struct{}
	// These are set when done is closed.
	objects map[string][]object
	now     time.Time
	err     error
}

func newGatherer(a api) *gatherer {
	return &gatherer{api: a, spaces: map[string]*space{}, crowded: map[string]time.Time{}, empty: map[string]time.Time{}}
}

func (g *gatherer) list(ctx context.Context, namespace, fingerprint string) ([]object, time.Time, error) {
	w, first := g.join(ctx, namespace, fingerprint)
	if first {
		g.run(ctx, namespace, w)
	}
	select {
	case <-w.done:
		return slices.Clone(w.objects[fingerprint]), w.now, w.err
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

// join adds a fingerprint to the next wave. The first in a namespace without a
// List under way runs its wave at once.
func (g *gatherer) join(ctx context.Context, namespace, fingerprint string) (w *wave, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.spaces[namespace]
	if first = s == nil; first {
		s = &space{}
		g.spaces[namespace] = s
	}
	if w = s.next; w == nil {
		w = &wave{fingerprints: map[string]bool{}, done: make(chan struct{})}
	}
	if !first {
		s.next = w
	}
	w.fingerprints[fingerprint] = true
	w.deadline = later(w.deadline, deadline(ctx))
	return w, first
}

// run makes a wave's List and has the next one follow.
func (g *gatherer) run(ctx context.Context, namespace string, w *wave) {
	defer func() {
		close(w.done)
		g.follow(ctx, namespace)
	}()
	if len(w.fingerprints) > maxAlone && !g.believe(g.crowded, namespace) {
		begun, nobody := time.Now(), g.believe(g.empty, namespace)
		var others int
		w.objects, others, w.now, w.err = together(ctx, g.api, namespace, w.fingerprints, !nobody)
		if w.err == nil && !nobody && others == 0 {
			g.until(g.empty, namespace, begun.Add(emptyFor))
		}
		if !errors.Is(w.err, errTooLarge) {
			return
		}
		g.until(g.crowded, namespace, time.Now().Add(crowdedFor))
	}
	w.objects, w.now, w.err = each(ctx, g.api, namespace, w.fingerprints)
}

// follow starts the wave that waits, in a goroutine that ends by the latest
// deadline of who waits for it.
func (g *gatherer) follow(ctx context.Context, namespace string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.spaces[namespace].next
	if w == nil {
		delete(g.spaces, namespace)
		return
	}
	g.spaces[namespace].next = nil
	ctx, cancel := lasting(ctx, w.deadline)
	go func() {
		defer cancel()
		g.run(ctx, namespace, w)
	}()
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
	what[namespace] = when
}

// deadline is when a caller gives up.
func deadline(ctx context.Context) time.Time {
	if t, ok := ctx.Deadline(); ok {
		return t
	}
	return time.Now().Add(maxWait)
}

// lasting is a context that lives to a deadline, whatever becomes of its parent.
func lasting(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadline(context.WithoutCancel(ctx), deadline)
}

// each makes a List for each fingerprint.
func each(ctx context.Context, a api, namespace string, fingerprints map[string]bool) (map[string][]object, time.Time, error) {
	var mu sync.Mutex
	all := map[string][]object{}
	var earliest time.Time
	var lists errgroup.Group
	lists.SetLimit(maxLists)
	for fingerprint := range fingerprints {
		lists.Go(func() error {
			objects, now, err := a.list(ctx, namespace, selector{fingerprint: fingerprint})
			mu.Lock()
			defer mu.Unlock()
			all[fingerprint] = objects
			if earliest.IsZero() || now.Before(earliest) {
				earliest = now
			}
			return err
		})
	}
	err := lists.Wait()
	return all, earliest, err
}

// together asks for the objects of all fingerprints by label, and then for those
// that have no label because somebody else made them or took it off, if others
// is set; it tells how many there are. In this order nothing is missed that
// loses its label in between.
func together(ctx context.Context, a api, namespace string, fingerprints map[string]bool, others bool) (all map[string][]object, unlabelled int, now time.Time, err error) {
	all = map[string][]object{}
	add := func(objects []object) {
		for _, o := range objects {
			same := func(other object) bool { return other.uid == o.uid }
			if fingerprints[o.fingerprint] && !slices.ContainsFunc(all[o.fingerprint], same) {
				all[o.fingerprint] = append(all[o.fingerprint], o)
			}
		}
	}
	var labels []string
	for fingerprint := range fingerprints {
		labels = append(labels, label(fingerprint))
	}
	slices.Sort(labels)
	for some := range slices.Chunk(slices.Compact(labels), maxLabels) {
		objects, at, err := a.list(ctx, namespace, selector{labels: some})
		if err != nil {
			return nil, 0, at, err
		}
		add(objects)
		if now.IsZero() {
			now = at
		}
	}
	if !others {
		return all, 0, now, nil
	}
	objects, at, err := a.list(ctx, namespace, selector{})
	if err != nil {
		return nil, 0, at, err
	}
	add(objects)
	return all, len(objects), now, nil
}
