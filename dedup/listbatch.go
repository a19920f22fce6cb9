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
type listBatcher struct {
	api api

	mu sync.Mutex
	// spaces are the namespaces in which a List is under way.
	spaces map[string]*namespaceLists
	// crowded are the namespaces with too much in them that has no label, and
	// empty those with nothing such, each until when that is believed.
	tooMany, noneUnlabelled map[string]time.Time
	// long are the fingerprints that are too large for a List of several, by namespace
	// and fingerprint.
	longPasts map[string]time.Time
	// slow bounds their Lists under way.
	longLists *semaphore.Weighted
}

type namespaceLists struct{ next *listBatch }

// wave is a List of some fingerprints that are asked for together.
type listBatch struct {
	listRequest
	ctx      context.Context // the first one's, for what comes with it
	deadline time.Time
	done     chan struct{}
	listResult
}

// wanted is what Lists are asked for: fingerprints, and the keys to settle on them.
type listRequest struct {
	fingerprints map[string]bool
	keys         []string
}

// listed is what Lists of several fingerprints came to.
type listResult struct {
	objects map[string][]object
	now     time.Time
	// errs are those of single fingerprints, err is that of all.
	errs map[string]error
	err  error
}

func newListBatcher(a api) *listBatcher {
	return &listBatcher{api: a, spaces: map[string]*namespaceLists{}, tooMany: map[string]time.Time{}, noneUnlabelled: map[string]time.Time{}, longPasts: map[string]time.Time{}, longLists: semaphore.NewWeighted(maxLongLists)}
}

func (g *listBatcher) list(ctx context.Context, namespace, fingerprint string, keys []string) ([]object, time.Time, error) {
	if g.holds(g.longPasts, namespace+"/"+fingerprint) {
		return g.listAlone(ctx, namespace, fingerprint, keys)
	}
	b, first := g.join(ctx, namespace, fingerprint, keys)
	if first {
		g.run(ctx, namespace, b)
	}
	select {
	case <-b.done:
		linkTo(ctx, b.ctx, "list")
		if errors.Is(b.errs[fingerprint], errTooLarge) {
			return g.listAlone(ctx, namespace, fingerprint, keys)
		}
		g.noteLong(namespace, fingerprint, b.objects[fingerprint])
		return slices.Clone(b.objects[fingerprint]), b.now, cmp.Or(b.err, b.errs[fingerprint])
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

// alone makes a List of one fingerprint. One with a long past keeps to itself for a
// while: others would wait for it.
func (g *listBatcher) listAlone(ctx context.Context, namespace, fingerprint string, keys []string) ([]object, time.Time, error) {
	if err := g.longLists.Acquire(ctx, 1); err != nil {
		return nil, time.Time{}, fmt.Errorf("waiting for Lists of other long pasts: %w", err)
	}
	defer g.longLists.Release(1)
	objects, now, err := listOne(ctx, g.api, namespace, selector{fingerprint: fingerprint, keys: keys})
	g.noteLong(namespace, fingerprint, objects)
	return objects, now, err
}

// apart tells whether a List that leaves ended objects out, and can be shared with
// nobody, is better than one that has them and is shared.
func (g *listBatcher) activeOnly(namespace string, ended int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return ended >= manyEnded || ended > 0 && g.spaces[namespace] == nil
}

// note remembers that a past was long.
func (g *listBatcher) noteLong(namespace, fingerprint string, past []object) {
	if slices.ContainsFunc(past, func(o object) bool { return o.partial }) {
		g.setUntil(g.longPasts, namespace+"/"+fingerprint, time.Now().Add(tooManyFor))
	}
}

// join adds a fingerprint to the next wave. The first in a namespace without a
// List under way runs its wave at once.
func (g *listBatcher) join(ctx context.Context, namespace, fingerprint string, keys []string) (b *listBatch, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.spaces[namespace]
	if first = s == nil; first {
		s = &namespaceLists{}
		g.spaces[namespace] = s
	}
	if b = s.next; b == nil {
		b = &listBatch{listRequest: listRequest{fingerprints: map[string]bool{}}, ctx: context.WithoutCancel(ctx), done: make(chan struct{})}
	}
	if !first {
		s.next = b
	}
	b.fingerprints[fingerprint] = true
	b.keys = append(b.keys, keys...)
	b.deadline = later(b.deadline, deadline(ctx))
	return b, first
}

// run makes a wave's List and has the next one follow, at once if it takes long.
func (g *listBatcher) run(ctx context.Context, namespace string, b *listBatch) {
	//nolint:contextcheck // Who comes next has a context of its own.
	follow := sync.OnceFunc(func() { g.follow(namespace) })
	late := time.AfterFunc(maxListDelay, follow)
	defer func() {
		if cause := recover(); cause != nil {
			b.listResult = listResult{err: panicError(cause)}
		}
		close(b.done)
		late.Stop()
		follow()
	}()
	b.listResult = g.lists(ctx, namespace, b.listRequest)
}

// follow starts the wave that waits, in a goroutine that ends by the latest
// deadline of who waits for it.
func (g *listBatcher) follow(namespace string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	b := g.spaces[namespace].next
	if b == nil {
		delete(g.spaces, namespace)
		return
	}
	g.spaces[namespace].next = nil
	go func() {
		ctx, cancel := context.WithDeadline(b.ctx, b.deadline)
		defer cancel()
		g.run(ctx, namespace, b)
	}()
}

// lists makes Lists of all fingerprints, together where that is cheaper.
func (g *listBatcher) lists(ctx context.Context, namespace string, w listRequest) listResult {
	if len(w.fingerprints) <= maxUnbatched || g.holds(g.tooMany, namespace) {
		return listEach(ctx, g.api, namespace, w)
	}
	begun, noneUnlabelled := time.Now(), g.holds(g.noneUnlabelled, namespace)
	all, others := listTogether(ctx, g.api, namespace, w, !noneUnlabelled)
	switch {
	case errors.Is(all.err, errTooLarge):
		g.setUntil(g.tooMany, namespace, time.Now().Add(tooManyFor))
		return listEach(ctx, g.api, namespace, w)
	case all.err == nil && !noneUnlabelled && others == 0:
		g.setUntil(g.noneUnlabelled, namespace, begun.Add(noneUnlabelledFor))
	}
	return all
}

// believe tells whether something is still held true of a namespace, which
// until says.
func (g *listBatcher) holds(what map[string]time.Time, namespace string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Now().Before(what[namespace])
}

func (g *listBatcher) setUntil(what map[string]time.Time, namespace string, when time.Time) {
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
func panicError(cause any) error { return fmt.Errorf("panic: %v\n%s", cause, debug.Stack()) }

// each makes a List for each fingerprint; one that fails touches no other.
func listEach(ctx context.Context, a api, namespace string, w listRequest) listResult {
	var mu sync.Mutex
	all := listResult{objects: map[string][]object{}, errs: map[string]error{}}
	var lists errgroup.Group
	lists.SetLimit(maxParallelLists)
	for fingerprint := range w.fingerprints {
		lists.Go(func() error {
			objects, now, err := listOne(ctx, a, namespace, selector{fingerprint: fingerprint, keys: w.keys})
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

func listOne(ctx context.Context, a api, namespace string, s selector) (objects []object, now time.Time, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicError(cause)
		}
	}()
	return a.list(ctx, namespace, s)
}

// together asks for the objects of all fingerprints by label, and then for those
// that have no label because somebody else made them or took it off, if asked
// to; it tells how many there are. In this order nothing is missed that loses its
// label in between. Where there is too much with some labels, each of their
// fingerprints is to be asked for alone.
func listTogether(ctx context.Context, a api, namespace string, w listRequest, others bool) (all listResult, unlabelled int) {
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
			return listResult{err: err}, 0
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
		return listResult{err: err}, 0
	}
	add(objects)
	return all, len(objects)
}
