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
type memo struct {
	objects []object
	// skew is how far the API server's clock was ahead of ours.
	skew time.Duration
	// listed is when the List was made, by our clock.
	listed time.Time
}

// memory keeps memos.
type memory interface {
	recall(subject) (memo, bool)
	keep(subject, memo)
	forget(subject)
	// drop forgets everything.
	drop()
	// note takes down whether an object was as a memo said, and doubtful tells
	// that too many were not: other processes change the same objects.
	note(fresh bool)
	doubtful() bool
}

// recent is a memory of the newest memos. It may be used by any number of
// goroutines.
type recent struct {
	memos *lru.Cache[subject, memo]
	mu    sync.Mutex
	stale float64 // the share of the last memos, 0 to 1
}

func newRecent() (*recent, error) {
	memos, err := lru.New[subject, memo](maxMemos)
	if err != nil {
		return nil, fmt.Errorf("making the memory: %w", err)
	}
	return &recent{memos: memos}, nil
}

func (r *recent) recall(s subject) (memo, bool) { return r.memos.Get(s) }
func (r *recent) keep(s subject, m memo)        { r.memos.Add(s, m) }
func (r *recent) forget(s subject)              { r.memos.Remove(s) }
func (r *recent) drop()                         { r.memos.Purge() }

func (r *recent) note(fresh bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stale -= r.stale / memosNoted
	if !fresh {
		r.stale += 1. / memosNoted
	}
}

func (r *recent) doubtful() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stale > maxStale
}

// recall takes what is remembered, if there is anything, for the past. When it
// is likely to be old, or was, the active object is read again: while that is
// active, the others are as they were. After that it takes a List.
func (h *handler) recall(ctx context.Context) bool {
	first, again := !h.looked, h.hinted
	h.looked, h.hinted, h.unread = true, false, false
	if first {
		m, ok := h.memory.recall(h.subject)
		if !ok || h.clock().Sub(m.listed) > maxMemoAge {
			return false
		}
		h.memo = m
	} else if !again {
		return false
	}
	h.objects, h.now = slices.Clone(h.memo.objects), h.clock().Add(h.memo.skew)
	if first && !h.memory.doubtful() {
		h.hinted, h.unread = true, true
		return true
	}
	i := slices.IndexFunc(h.objects, func(o object) bool { return !o.terminal() })
	o, err := h.api.get(ctx, h.signal.Namespace, h.objects[i].name)
	restored := err == nil && earlier(o.resourceVersion, h.objects[i].resourceVersion)
	if restored {
		h.memory.drop() // Others' pasts are not what they were either.
	}
	if err != nil || o.uid != h.objects[i].uid || restored {
		h.memory.forget(h.subject)
		h.objects = nil
		return false
	}
	if first {
		h.memory.note(o.resourceVersion == h.objects[i].resourceVersion)
	}
	h.objects[i], h.hinted = o, true
	return true
}

// earlier tells that revision a came before b. The revisions of an object only go
// back where etcd was restored.
func earlier(a, b string) bool {
	before, err1 := strconv.ParseUint(a, 10, 64)
	after, err2 := strconv.ParseUint(b, 10, 64)
	return err1 == nil && err2 == nil && before < after
}

// giveUp asks for a List instead of a past that came from memory, and forgets it
// if its object has ended.
func (h *handler) giveUp() {
	if active, _ := split(h.objects); len(active) == 0 {
		h.memory.forget(h.subject)
	}
	h.objects, h.hinted = nil, false
}

// remember keeps a past in which an object was just changed.
func (h *handler) remember(past []object, changed object) {
	settled := h.memo.listed.Add(h.memo.skew).Sub(changed.createdAt) >= settledAge
	others := slices.ContainsFunc(past, func(o object) bool { return o.uid != changed.uid && !o.terminal() })
	keys := 0
	for _, o := range past {
		keys += len(o.events)
	}
	large := keys > maxMemoKeys || changed.texts() > maxMemoText ||
		slices.ContainsFunc(past, func(o object) bool { return o.partial })
	if !settled || others || !changed.ours || changed.terminal() || changed.resourceVersion == "" || large {
		return
	}
	m := memo{objects: slices.Clone(past), skew: h.memo.skew, listed: h.memo.listed}
	for i := range m.objects {
		if m.objects[i].uid == changed.uid {
			m.objects[i] = changed
		} else {
			o := &m.objects[i] // Terminal, and never patched on a memo.
			o.folds, o.labels, o.foreign = folds{}, "", nil
		}
	}
	h.memory.keep(h.subject, m)
}

// texts is how long what an object says of its alerts is, with the conditions of
// others, in bytes.
func (o object) texts() int {
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
