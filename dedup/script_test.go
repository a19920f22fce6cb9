//go:build !race

package dedup

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// noCache is a cache that keeps nothing.
type noCache struct{}

func (noCache) lookup(subject) (cacheEntry, bool) { return cacheEntry{}, false }
func (noCache) put(subject, cacheEntry)           {}
func (noCache) remove(subject)                    {}
func (noCache) clear()                            {}
func (noCache) observe(bool)                      {}
func (noCache) unreliable() bool                  { return false }

// script is the API and the memory of a rerun. The first call without an answer
// is the one that the handler waits for; what it does after that does not count.
type script struct {
	answers   []answer
	call      string
	make      func(*store) answer
	remembers *cacheEntry
	doubts    bool
	history   int
}

func (s *script) answer(call string, make func(*store) answer) answer {
	if len(s.answers) > 0 {
		a := s.answers[0]
		s.answers = s.answers[1:]
		return a
	}
	if s.call == "" {
		s.call, s.make = call, make
	}
	return answer{err: errWaiting}
}

// The calls that have no object's name.
const (
	list         = "list"
	listLabelled = "list labelled"
	listOthers   = "list others"
	listActive   = "list active"
	recall       = "recall"
	waiting      = "wait"
)

// outdated comes before the name of an object that is deleted for the history's sake.
const outdated = "outdated "

func (s *script) list(ctx context.Context, ns string, by selector) ([]object, time.Time, error) {
	call := list
	switch {
	case by.active:
		call = listActive
	case by.labels != nil:
		call = listLabelled
	case by.fingerprint == "":
		call = listOthers
	}
	a := s.answer(call, func(st *store) answer {
		objects, now, err := st.list(ctx, ns, by)
		return answered(st, err, objects...).at(now)
	})
	return a.seen, a.now, a.err
}

// sleep waits until no object is too young to be trusted. The clock of
// Lists is behind that of creates, so it goes on by more than a real one does.
func (s *script) sleep(context.Context, time.Duration) error {
	return s.answer(waiting, func(st *store) answer {
		for _, o := range st.seen {
			st.now = later(st.now, o.createdAt.Add(lateAge))
		}
		return answered(st, nil)
	}).err
}

// shorten deletes at once what the history does behind the handler's back. A fault is
// its own affair.
func (s *script) shorten(ctx context.Context, ns string, past []object, now time.Time) {
	for _, o := range surplus(past, s.history, now) {
		s.answer(outdated+o.name, func(st *store) answer { return answered(st, st.delete(ctx, ns, o.name, o.uid, o.resourceVersion)) })
	}
}

func (s *script) get(ctx context.Context, ns, name string) (object, error) {
	a := s.answer("get "+name, func(st *store) answer {
		o, err := st.get(ctx, ns, name)
		return found(st, o, err)
	})
	if a.err != nil {
		return object{}, a.err
	}
	return a.seen[0], nil
}

func (s *script) create(ctx context.Context, ns string, body map[string]any) (types.UID, error) {
	name := body["metadata"].(map[string]any)["name"].(string)
	a := s.answer("create "+name, func(st *store) answer {
		if st.braked {
			return answered(st, &pausedError{Pause{Name: "brake"}})
		}
		_, err := st.create(ctx, ns, body)
		return found(st, st.seen[name].object, err)
	})
	if a.err != nil {
		return "", a.err
	}
	return a.seen[0].uid, nil
}

func (s *script) patchStatus(ctx context.Context, ns, name string, patch map[string]any) (string, error) {
	a := s.answer("patch "+name, func(st *store) answer {
		_, err := st.patchStatus(ctx, ns, name, patch)
		return found(st, st.seen[name].object, err)
	})
	if a.err != nil {
		return "", a.err
	}
	return a.seen[0].resourceVersion, nil
}

func (s *script) delete(ctx context.Context, ns, name string, uid types.UID, rv string) error {
	return s.answer("delete "+name, func(st *store) answer { return answered(st, st.delete(ctx, ns, name, uid, rv)) }).err
}

func (s *script) lookup(subject) (cacheEntry, bool) {
	a := s.answer(recall, func(st *store) answer {
		m := st.entries[st.at]
		return answer{entry: m, seen: m.objects, text: fmt.Sprint(m)}.at(epoch.Add(m.clockSkew))
	})
	return a.entry, a.err == nil && a.entry.objects != nil
}

func (s *script) put(_ subject, m cacheEntry) {
	if s.call == "" && len(s.answers) == 0 {
		s.remembers = &m
	}
}

func (s *script) remove(about subject) { s.put(about, cacheEntry{}) }
func (s *script) clear()               {}

func (s *script) observe(bool) {}

func (s *script) unreliable() bool { return s.doubts }
