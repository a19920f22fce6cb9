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
	// list returns the objects of a fingerprint as they were at some moment after the
	// call. keys are those that the caller wants to settle, see [selector]. now is the
	// API server's clock.
	list(ctx context.Context, namespace, fingerprint string, keys []string) (objects []object, now time.Time, err error)
}

// listBatcher is a lister that batches Lists. An API server reads a whole namespace for
// each List. So while one is running in a namespace, for at most [maxListDelay], later
// Lists queue and are then made as one. A queued caller joined before that List began, so
// it sees everything that was written before its call.
type listBatcher struct {
	api api

	mu sync.Mutex
	// spaces are the namespaces in which a List is running.
	spaces map[string]*namespaceLists
	// tooMany are the namespaces with too many objects without our label, and
	// noneUnlabelled those without any. Both hold until the given time.
	tooMany, noneUnlabelled map[string]time.Time
	// longPasts are the fingerprints that are too large for a batch, by namespace and
	// fingerprint.
	longPasts map[string]time.Time
	// longLists limits the concurrent Lists of such fingerprints.
	longLists *semaphore.Weighted
}

type namespaceLists struct{ next *listBatch }

// listBatch is a List of several fingerprints that is shared by its callers.
type listBatch struct {
	listRequest
	ctx      context.Context // the first caller's, for its values
	deadline time.Time
	done     chan struct{}
	listResult
}

// listRequest is what a batch asks for: fingerprints, and the keys to settle on them.
type listRequest struct {
	fingerprints map[string]bool
	keys         []string
}

// listResult is the result of a batch.
type listResult struct {
	objects map[string][]object
	now     time.Time
	// errs are the errors of single fingerprints, err is that of the whole batch.
	errs map[string]error
	err  error
}

func newListBatcher(a api) *listBatcher {
	return &listBatcher{api: a, spaces: map[string]*namespaceLists{}, tooMany: map[string]time.Time{}, noneUnlabelled: map[string]time.Time{}, longPasts: map[string]time.Time{}, longLists: semaphore.NewWeighted(maxLongLists)}
}

func (l *listBatcher) list(ctx context.Context, namespace, fingerprint string, keys []string) ([]object, time.Time, error) {
	if l.holds(l.longPasts, namespace+"/"+fingerprint) {
		return l.listAlone(ctx, namespace, fingerprint, keys)
	}
	b, first := l.join(ctx, namespace, fingerprint, keys)
	if first {
		l.run(ctx, namespace, b)
	}
	select {
	case <-b.done:
		linkTo(ctx, b.ctx, "list")
		if errors.Is(b.errs[fingerprint], errTooLarge) {
			return l.listAlone(ctx, namespace, fingerprint, keys)
		}
		l.noteLong(namespace, fingerprint, b.objects[fingerprint])
		return slices.Clone(b.objects[fingerprint]), b.now, cmp.Or(b.err, b.errs[fingerprint])
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	}
}

// listAlone makes a List of one fingerprint. A fingerprint with a long past stays out of
// batches for a while, because the other callers would wait for it.
func (l *listBatcher) listAlone(ctx context.Context, namespace, fingerprint string, keys []string) ([]object, time.Time, error) {
	if err := l.longLists.Acquire(ctx, 1); err != nil {
		return nil, time.Time{}, fmt.Errorf("waiting for a slot among the Lists of long pasts: %w", err)
	}
	defer l.longLists.Release(1)
	objects, now, err := listOne(ctx, l.api, namespace, selector{fingerprint: fingerprint, keys: keys})
	l.noteLong(namespace, fingerprint, objects)
	return objects, now, err
}

// activeOnly tells whether a List without the ended objects, which cannot be batched, is
// cheaper than a batched List with them.
func (l *listBatcher) activeOnly(namespace string, ended int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ended >= manyEnded || ended > 0 && l.spaces[namespace] == nil
}

// noteLong remembers that a past was reduced.
func (l *listBatcher) noteLong(namespace, fingerprint string, past []object) {
	if slices.ContainsFunc(past, func(o object) bool { return o.partial }) {
		l.setUntil(l.longPasts, namespace+"/"+fingerprint, time.Now().Add(tooManyFor))
	}
}

// join adds a fingerprint to the next batch. If no List is running in the namespace, the
// caller is the first and must run its batch at once.
func (l *listBatcher) join(ctx context.Context, namespace, fingerprint string, keys []string) (b *listBatch, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spaces[namespace]
	if first = s == nil; first {
		s = &namespaceLists{}
		l.spaces[namespace] = s
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

// run makes a batch's List. The next batch follows, at once if this one takes longer than
// [maxListDelay].
func (l *listBatcher) run(ctx context.Context, namespace string, b *listBatch) {
	//nolint:contextcheck // The next batch has a context of its own.
	follow := sync.OnceFunc(func() { l.follow(namespace) })
	late := time.AfterFunc(maxListDelay, follow)
	defer func() {
		if cause := recover(); cause != nil {
			b.listResult = listResult{err: panicError(cause)}
		}
		close(b.done)
		late.Stop()
		follow()
	}()
	b.listResult = l.lists(ctx, namespace, b.listRequest)
}

// follow starts the next batch in a goroutine, which ends by the latest deadline of the
// callers.
func (l *listBatcher) follow(namespace string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.spaces[namespace].next
	if b == nil {
		delete(l.spaces, namespace)
		return
	}
	l.spaces[namespace].next = nil
	go func() {
		ctx, cancel := context.WithDeadline(b.ctx, b.deadline)
		defer cancel()
		l.run(ctx, namespace, b)
	}()
}

// lists lists all fingerprints, with one List if that is cheaper.
func (l *listBatcher) lists(ctx context.Context, namespace string, w listRequest) listResult {
	if len(w.fingerprints) <= maxUnbatched || l.holds(l.tooMany, namespace) {
		return listEach(ctx, l.api, namespace, w)
	}
	begun, noneUnlabelled := time.Now(), l.holds(l.noneUnlabelled, namespace)
	all, none := listTogether(ctx, l.api, namespace, w, !noneUnlabelled)
	switch {
	case errors.Is(all.err, errTooLarge):
		l.setUntil(l.tooMany, namespace, time.Now().Add(tooManyFor))
		return listEach(ctx, l.api, namespace, w)
	case none:
		l.setUntil(l.noneUnlabelled, namespace, begun.Add(noneUnlabelledFor))
	}
	return all
}

// holds tells whether something that setUntil stored still holds for a namespace.
func (l *listBatcher) holds(what map[string]time.Time, namespace string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(what[namespace])
}

func (l *listBatcher) setUntil(what map[string]time.Time, namespace string, when time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
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

// panicError turns a panic into an error. It must neither end the process nor pass for an
// answer.
func panicError(cause any) error { return fmt.Errorf("panic: %v\n%s", cause, debug.Stack()) }

// listEach makes one List for each fingerprint. The failure of one does not affect the
// others.
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
	_ = lists.Wait() // Each List has its own error.
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

// listTogether lists the objects of all fingerprints by label. If others is set, it then
// lists the objects without that label, which another program made or whose label it
// removed, and tells whether there are none. In this order it does not miss an object that
// loses its label between the two Lists. If the objects with some of the labels are too
// large, the fingerprints with these labels get [errTooLarge], and must be listed alone.
func listTogether(ctx context.Context, a api, namespace string, w listRequest, others bool) (all listResult, none bool) {
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
			return listResult{err: err}, false
		}
		add(objects)
		if all.now.IsZero() {
			all.now = now
		}
	}
	if !others {
		return all, false
	}
	objects, _, err := a.list(ctx, namespace, selector{keys: w.keys})
	if err != nil {
		return listResult{err: err}, false
	}
	add(objects)
	return all, len(objects) == 0
}
