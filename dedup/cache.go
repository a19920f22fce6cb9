package dedup

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// subject identifies the alerts that are counted together.
type subject struct{ namespace, fingerprint string }

// cacheEntry is the past of a subject as a List showed it, with the changes that this
// process has made since. It is a hint: the only write that follows from it is
// conditional, and fails if the object has changed.
//
// The conditional write proves that the active object is unchanged. It does not prove
// that no second active object exists. We therefore cache an object only if it was
// already older than [settledAge] at the List: any handler that could still create a
// second one from an older List has timed out by then.
type cacheEntry struct {
	objects []object
	// clockSkew is how far the API server's clock is ahead of ours.
	clockSkew time.Duration
	// listedAt is when the List was made, by our clock.
	listedAt time.Time
}

// cache keeps the entries of subjects.
type cache interface {
	lookup(subject) (cacheEntry, bool)
	put(subject, cacheEntry)
	remove(subject)
	clear()
	// observe counts whether a cached object was still current. unreliable tells that too
	// many were not, because other processes change the same objects.
	observe(fresh bool)
	unreliable() bool
}

// lruCache keeps the most recently used entries. It is safe for concurrent use.
type lruCache struct {
	entries *lru.Cache[subject, cacheEntry]
	mu      sync.Mutex
	stale   float64 // the share of outdated entries among the last ones, from 0 to 1
}

func newCache() (*lruCache, error) {
	entries, err := lru.New[subject, cacheEntry](maxCached)
	if err != nil {
		return nil, fmt.Errorf("making the cache of pasts: %w", err)
	}
	return &lruCache{entries: entries}, nil
}

func (c *lruCache) lookup(s subject) (cacheEntry, bool) { return c.entries.Get(s) }
func (c *lruCache) put(s subject, e cacheEntry)         { c.entries.Add(s, e) }
func (c *lruCache) remove(s subject)                    { c.entries.Remove(s) }
func (c *lruCache) clear()                              { c.entries.Purge() }

func (c *lruCache) observe(hit bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale -= c.stale / staleSamples
	if !hit {
		c.stale += 1. / staleSamples
	}
}

func (c *lruCache) unreliable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stale > maxStale
}

// loadCached takes the past from the cache, if it is there. If the entry is likely to be
// outdated, or its patch has just failed, loadCached reads the active object again: as
// long as that object is active, the rest of the past has not changed. It returns false
// if the handler needs a List.
func (h *handler) loadCached(ctx context.Context) bool {
	first, again := !h.triedCache, h.fromCache
	h.triedCache, h.fromCache, h.unverified = true, false, false
	if first {
		e, ok := h.cache.lookup(h.subject)
		if !ok || h.clock().Sub(e.listedAt) > maxCacheAge {
			return false
		}
		h.entry = e
	} else if !again {
		return false
	}
	h.objects, h.now = slices.Clone(h.entry.objects), h.clock().Add(h.entry.clockSkew)
	if first && !h.cache.unreliable() {
		h.fromCache, h.unverified = true, true
		return true
	}
	i := slices.IndexFunc(h.objects, func(o object) bool { return !o.terminal() })
	o, err := h.api.get(ctx, h.signal.Namespace, h.objects[i].name)
	restored := err == nil && olderRevision(o.resourceVersion, h.objects[i].resourceVersion)
	if restored {
		h.cache.clear() // Other entries are of the lost state, too.
	}
	if err != nil || o.uid != h.objects[i].uid || restored {
		h.cache.remove(h.subject)
		h.objects = nil
		return false
	}
	if first {
		h.cache.observe(o.resourceVersion == h.objects[i].resourceVersion)
	}
	h.objects[i], h.fromCache = o, true
	return true
}

// olderRevision tells whether resourceVersion a is older than b. The resourceVersion of
// an object only becomes lower when etcd was restored from a backup.
func olderRevision(a, b string) bool {
	before, err1 := strconv.ParseUint(a, 10, 64)
	after, err2 := strconv.ParseUint(b, 10, 64)
	return err1 == nil && err2 == nil && before < after
}

// discardCached makes the handler list next. It removes the cache entry if its object has
// ended.
func (h *handler) discardCached() {
	if active, _ := split(h.objects); len(active) == 0 {
		h.cache.remove(h.subject)
	}
	h.objects, h.fromCache = nil, false
}

// cachePast caches a past after one of its objects was changed, if the entry is safe and
// small.
func (h *handler) cachePast(past []object, changed object) {
	settled := h.entry.listedAt.Add(h.entry.clockSkew).Sub(changed.createdAt) >= settledAge
	others := slices.ContainsFunc(past, func(o object) bool { return o.uid != changed.uid && !o.terminal() })
	keys := 0
	for _, o := range past {
		keys += len(o.events)
	}
	large := keys > maxCachedKeys || changed.textSize() > maxCachedText ||
		slices.ContainsFunc(past, func(o object) bool { return o.partial })
	if !settled || others || !changed.ours || changed.terminal() || changed.resourceVersion == "" || large {
		return
	}
	e := cacheEntry{objects: slices.Clone(past), clockSkew: h.entry.clockSkew, listedAt: h.entry.listedAt}
	for i := range e.objects {
		if e.objects[i].uid == changed.uid {
			e.objects[i] = changed
		} else {
			o := &e.objects[i] // A terminal object: no cached entry is used to patch it.
			o.folds, o.labels, o.foreign = folds{}, "", nil
		}
	}
	h.cache.put(h.subject, e)
}

// textSize is the length, in bytes, of the texts in an object's alerts and in the
// conditions of other programs.
func (o object) textSize() int {
	n := len(o.labels)
	for _, c := range o.foreign {
		n += len(c)
	}
	for _, a := range o.others {
		n += len(a.name)
		for name, value := range a.labels {
			n += len(name) + len(value)
		}
	}
	return n
}
