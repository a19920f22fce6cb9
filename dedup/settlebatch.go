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
type settleBatcher struct {
	settle settler

	mu sync.Mutex
	// subjects are those that a settlement is under way for, with who waits.
	queues map[subject][]*settleBatch
}

// share is a settlement of several deliveries.
type settleBatch struct {
	signal   mapping.Signal
	signals  map[string]mapping.Signal // by key
	keys     []string
	index    map[string]int // of keys
	members  int
	ctx      context.Context // the first one's, for what comes with it
	deadline time.Time
	done     chan struct{}
	// These are set when done is closed.
	outcomes []Outcome
	err      error
	cause    any
}

func newSettleBatcher(settle settler) *settleBatcher {
	return &settleBatcher{settle: settle, queues: map[subject][]*settleBatch{}}
}

// Settle settles keys, together with those of others where it must wait anyway.
func (s *settleBatcher) Settle(ctx context.Context, signal mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
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
	linkTo(ctx, b.ctx, "settlement")
	if b.members > 1 && b.cause != nil {
		// What one alert brought along must not fail others.
		return s.settle(ctx, signal, keys, signals)
	}
	if b.cause != nil {
		panic(b.cause) // In the goroutine that asked, as without sharing.
	}
	if b.err != nil {
		return nil, b.err
	}
	outcomes := make([]Outcome, len(keys))
	for i, key := range keys {
		outcomes[i] = b.outcomes[b.index[key]]
	}
	return outcomes, nil
}

// join finds the settlement to wait for. The first of a subject without one
// under way settles at once, by itself.
func (s *settleBatcher) join(
	ctx context.Context, about subject, signal mapping.Signal, keys []string, signals map[string]mapping.Signal,
) (b *settleBatch, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, busy := s.queues[about]
	if !busy {
		s.queues[about] = nil
		return nil, true
	}
	if n := len(waiting); n > 0 && len(waiting[n-1].keys)+len(keys) <= maxBatchKeys {
		b = waiting[n-1]
	} else {
		b = &settleBatch{
			signal: signal, signals: map[string]mapping.Signal{}, index: map[string]int{},
			ctx: context.WithoutCancel(ctx), done: make(chan struct{}),
		}
		s.queues[about] = append(waiting, b)
	}
	b.members++
	for _, key := range keys {
		if _, ok := b.index[key]; !ok {
			b.index[key] = len(b.keys)
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
func (s *settleBatcher) follow(about subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.queues[about]
	if len(waiting) == 0 {
		delete(s.queues, about)
		return
	}
	b := waiting[0]
	s.queues[about] = waiting[1:]
	go func() {
		defer s.follow(about)
		b.run(s.settle)
	}()
}

func (b *settleBatch) run(settle settler) {
	defer close(b.done)
	defer func() { b.cause = recover() }()
	ctx, cancel := context.WithDeadline(b.ctx, b.deadline)
	defer cancel()
	b.outcomes, b.err = settle(ctx, b.signal, b.keys, b.signals)
}
