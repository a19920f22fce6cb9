package dedup

import (
	"context"
	"sync"
	"time"

	"onefire/mapping"
)

// settler settles keys on the objects of one subject, see [Deduplicator.Settle].
type settler func(ctx context.Context, s mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error)

// settleBatcher batches the settlements of one subject. While a settlement is running,
// later deliveries queue and are then settled together with one List and one patch. A
// queued delivery is always part of a settlement that starts after it arrived, and it
// gets its answer when that settlement ends. At most one settlement of a subject is
// running.
type settleBatcher struct {
	settle settler

	mu sync.Mutex
	// queues has the subjects with a running settlement, and the batches that wait for
	// it.
	queues map[subject][]*settleBatch
}

// settleBatch is the settlement of several deliveries.
type settleBatch struct {
	signal   mapping.Signal
	signals  map[string]mapping.Signal // by key
	keys     []string
	index    map[string]int // of each key in keys
	members  int
	ctx      context.Context // the first delivery's, for its values
	deadline time.Time
	done     chan struct{}
	// The following fields are set when done is closed.
	outcomes []Outcome
	err      error
	cause    any
}

func newSettleBatcher(settle settler) *settleBatcher {
	return &settleBatcher{settle: settle, queues: map[subject][]*settleBatch{}}
}

// Settle settles keys, in a batch if a settlement of the subject is already running.
func (s *settleBatcher) Settle(ctx context.Context, signal mapping.Signal, keys []string, signals map[string]mapping.Signal) ([]Outcome, error) {
	about := subject{signal.Namespace, signal.Fingerprint}
	b, first := s.join(ctx, about, signal, keys, signals)
	if first {
		defer s.follow(about) //nolint:contextcheck // The next batch has a context of its own.
		return s.settle(ctx, signal, keys, signals)
	}
	select {
	case <-b.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	linkTo(ctx, b.ctx, "settlement")
	if b.members > 1 && b.cause != nil {
		// The panic may come from another delivery's alert, so each delivery is now
		// settled alone.
		return s.settle(ctx, signal, keys, signals)
	}
	if b.cause != nil {
		panic(b.cause) // It reaches the goroutine that called, as without a batch.
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

// join finds the batch to wait for. If no settlement of the subject is running, the
// caller is the first and settles its own keys at once.
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

// follow starts the next batch in a goroutine, which ends by the latest deadline of its
// callers.
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
