package dedup

import (
	"context"
	"errors"
	"sync"
	"time"

	"onefire/mapping"
)

// settler settles keys on one subject's objects; see [Deduplicator.Settle].
type settler func(ctx context.Context, s mapping.Signal, keys []string) ([]Outcome, error)

// sharing lets deliveries of one subject that wait for each other be settled
// together: while one is under way the next to come gather, and then share one
// List and one patch. Who gathers joined before that began, and is answered when
// it has ended.
type sharing struct {
	settle settler

	mu sync.Mutex
	// subjects are those that a settlement is under way for, with who waits.
	subjects map[subject][]*share
}

// share is a settlement of several deliveries.
type share struct {
	members  []member
	keys     map[string]int // by place in the settlement
	deadline time.Time
	done     chan struct{}
	// These are set when done is closed.
	outcomes []Outcome
	err      error
	panicked any
}

type member struct {
	signal mapping.Signal
	keys   []string
}

func newSharing(settle settler) *sharing {
	return &sharing{settle: settle, subjects: map[subject][]*share{}}
}

// Settle settles keys, together with those of others where it must wait anyway.
func (s *sharing) Settle(ctx context.Context, signal mapping.Signal, keys []string) ([]Outcome, error) {
	about := subject{signal.Namespace, signal.Fingerprint}
	b, first := s.join(ctx, about, member{signal, keys})
	if first {
		defer s.follow(ctx, about)
		return s.settle(ctx, signal, keys)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if b.panicked != nil {
		panic(b.panicked) // In the goroutine that asked, as without sharing.
	}
	var rejected *RejectedError
	if errors.As(b.err, &rejected) && len(b.members) > 1 {
		// What one alert brought along was refused, and must not fail others.
		return s.settle(ctx, signal, keys)
	}
	if b.err != nil {
		return nil, b.err
	}
	outcomes := make([]Outcome, len(keys))
	for i, key := range keys {
		outcomes[i] = b.outcomes[b.keys[key]]
	}
	return outcomes, nil
}

// join finds the settlement to wait for. The first of a subject without one
// under way settles at once, by itself.
func (s *sharing) join(ctx context.Context, about subject, m member) (b *share, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, busy := s.subjects[about]
	if !busy {
		s.subjects[about] = nil
		return nil, true
	}
	if n := len(waiting); n > 0 && len(waiting[n-1].keys)+len(m.keys) <= maxSharedKeys {
		b = waiting[n-1]
	} else {
		b = &share{keys: map[string]int{}, done: make(chan struct{})}
		s.subjects[about] = append(waiting, b)
	}
	b.members = append(b.members, m)
	for _, key := range m.keys {
		if _, ok := b.keys[key]; !ok {
			b.keys[key] = len(b.keys)
		}
	}
	b.deadline = later(b.deadline, deadline(ctx))
	return b, false
}

// follow starts the settlement that waits, in a goroutine that ends by the
// latest deadline of who waits for it.
func (s *sharing) follow(ctx context.Context, about subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.subjects[about]
	if len(waiting) == 0 {
		delete(s.subjects, about)
		return
	}
	b := waiting[0]
	s.subjects[about] = waiting[1:]
	ctx, cancel := lasting(ctx, b.deadline)
	go func() {
		defer cancel()
		defer s.follow(ctx, about)
		b.run(ctx, s.settle)
	}()
}

func (b *share) run(ctx context.Context, settle settler) {
	defer close(b.done)
	defer func() { b.panicked = recover() }()
	keys := make([]string, len(b.keys))
	for key, place := range b.keys {
		keys[place] = key
	}
	b.outcomes, b.err = settle(ctx, b.members[0].signal, keys)
}
