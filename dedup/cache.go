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

// subject is what alerts that count together have in common.
type subject struct{ namespace, fingerprint string }

// memo is all objects of a subject as a List showed them, and as this process
// has changed them since. It is a hint: what is decided on it is a conditional
// write, which fails when the object is not what the memo says.
//
// That write proves the active object, and not that there is no other one beside
// it: a twin would have to be there already when the memo's List was made, and
// would have been healed. So a memo is kept only of an object that was older
// than [settledAge] then: who had seen the past before it, and might still make a
// twin, had ended by that time.
type cacheEntry struct {
	objects []object
	// skew is how far the API server's clock was ahead of ours.
	clockSkew time.Duration
	// listed is when the List was made, by our clock.
	listedAt time.Time
}

// memory keeps memos.
type cache interface {
	lookup(subject) (cacheEntry, bool)
	put(subject, cacheEntry)
	remove(subject)
	// drop forgets everything.
	clear()
	// note takes down whether an object was as a memo said, and doubtful tells
	// that too many were not: other processes change the same objects.
	observe(fresh bool)
	unreliable() bool
}

// recent is a memory of the newest memos. It may be used by any number of
// goroutines.
type lruCache struct {
	entries *lru.Cache[subject, cacheEntry]
	mu      sync.Mutex
	stale   float64 // the share of the last memos, 0 to 1
}

func newCache() (*lruCache, error) {
	entries, err := lru.New[subject, cacheEntry](maxCached)
	if err != nil {
		return nil, fmt.Errorf("making the memory: %w", err)
	}
	return &lruCache{entries: entries}, nil
}

func (r *lruCache) lookup(s subject) (cacheEntry, bool) { return r.entries.Get(s) }
func (r *lruCache) put(s subject, m cacheEntry)         { r.entries.Add(s, m) }
func (r *lruCache) remove(s subject)                    { r.entries.Remove(s) }
func (r *lruCache) clear()                              { r.entries.Purge() }

func (r *lruCache) observe(hit bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale -= r.stale / staleSamples
	if !hit {
		r.stale += 1. / staleSamples
	}
}

func (r *lruCache) unreliable() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stale > maxStale
}

// recall takes what is remembered, if there is anything, for the past. When it
// is likely to be old, or was, the active object is read again: while that is
// active, the others are as they were. After that it takes a List.
func (h *handler) loadCached(ctx context.Context) bool {
	first, again := !h.triedCache, h.fromCache
	h.triedCache, h.fromCache, h.unverified = true, false, false
	if first {
		m, ok := h.cache.lookup(h.subject)
		if !ok || h.clock().Sub(m.listedAt) > maxCacheAge {
			return false
		}
		h.entry = m
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
		h.cache.clear() // Others' pasts are not what they were either.
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

// earlier tells that revision a came before b. The revisions of an object only go
// back where etcd was restored.
func olderRevision(a, b string) bool {
	before, err1 := strconv.ParseUint(a, 10, 64)
	after, err2 := strconv.ParseUint(b, 10, 64)
	return err1 == nil && err2 == nil && before < after
}

// giveUp asks for a List instead of a past that came from memory, and forgets it
// if its object has ended.
func (h *handler) discardCached() {
	if active, _ := split(h.objects); len(active) == 0 {
		h.cache.remove(h.subject)
	}
	h.objects, h.fromCache = nil, false
}

// remember keeps a past in which an object was just changed.
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
	m := cacheEntry{objects: slices.Clone(past), clockSkew: h.entry.clockSkew, listedAt: h.entry.listedAt}
	for i := range m.objects {
		if m.objects[i].uid == changed.uid {
			m.objects[i] = changed
		} else {
			o := &m.objects[i] // Terminal, and never patched on a memo.
			o.folds, o.labels, o.foreign = folds{}, "", nil
		}
	}
	h.cache.put(h.subject, m)
}

// texts is how long what an object says of its alerts is, with the conditions of
// others, in bytes.
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
