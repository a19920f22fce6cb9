package dedup

import (
	"context"
	"sync"
	"time"

	"onefire/mapping"
)

// settler settles keys on one subject's objects; see [Deduplicator.Settle].
type settler func(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error)

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
	signal   mapping.Signal
	signals  map[string]mapping.Signal // by key
	keys     []string
	places   map[string]int // of keys
	members  int
	ctx      context.Context // the first one's, for what comes with it
	deadline time.Time
	done     chan struct{}
	// These are set when done is closed.
	outcomes []Outcome
	err      error
	panicked any
}

func newSharing(settle settler) *sharing {
	return &sharing{settle: settle, subjects: map[subject][]*share{}}
}

// Settle settles keys, together with those of others where it must wait anyway.
func (s *sharing) Settle(ctx context.Context, signal mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
	about := subject{signal.Namespace, signal.Fingerprint}
	b, first := s.join(ctx, about, signal, keys, signals)
	if first {
		defer s.follow(about) //nolint:contextcheck // Who comes next has a context of its own.
		return s.settle(ctx, signal, keys, signals)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	joined(ctx, b.ctx, "settlement")
	if b.members > 1 && b.panicked != nil {
		// What one alert brought along must not fail others.
		return s.settle(ctx, signal, keys, signals)
	}
	if b.panicked != nil {
		panic(b.panicked) // In the goroutine that asked, as without sharing.
	}
	if b.err != nil {
		return nil, b.err
	}
	outcomes := make([]Outcome, len(keys))
	for i, key := range keys {
		outcomes[i] = b.outcomes[b.places[key]]
	}
	return outcomes, nil
}

// join finds the settlement to wait for. The first of a subject without one
// under way settles at once, by itself.
func (s *sharing) join(
	ctx context.Context, about subject, signal mapping.Signal, keys []string, signals map[string]mapping.Signal,
) (b *share, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, busy := s.subjects[about]
	if !busy {
		s.subjects[about] = nil
		return nil, true
	}
	if n := len(waiting); n > 0 && len(waiting[n-1].keys)+len(keys) <= maxSharedKeys {
		b = waiting[n-1]
	} else {
		b = &share{
			signal: signal, signals: map[string]mapping.Signal{}, places: map[string]int{},
			ctx: context.WithoutCancel(ctx), done: make(chan struct{}),
		}
		s.subjects[about] = append(waiting, b)
	}
	b.members++
	for _, key := range keys {
		if _, ok := b.places[key]; !ok {
			b.places[key] = len(b.keys)
			b.keys = append(b.keys, key)
			b.signals[key] = signal
			if own, ok := signals[key]; ok {
				b.signals[key] = own
			}
		}
	}
	b.deadline = later(b.deadline, deadline(ctx))
	return b, false
}

// follow starts the settlement that waits, in a goroutine that ends by the
// latest deadline of who waits for it.
func (s *sharing) follow(about subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.subjects[about]
	if len(waiting) == 0 {
		delete(s.subjects, about)
		return
	}
	b := waiting[0]
	s.subjects[about] = waiting[1:]
	go func() {
		defer s.follow(about)
		b.run(s.settle)
	}()
}

func (b *share) run(settle settler) {
	defer close(b.done)
	defer func() { b.panicked = recover() }()
	ctx, cancel := context.WithDeadline(b.ctx, b.deadline)
	defer cancel()
	b.outcomes, b.err = settle(ctx, b.signal, b.keys, b.signals)
}
