package dedup

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// window bounds the API calls under way, first come, first served. It halves
// when the API server says that it has too much to do, and opens by one place
// for each windowful of calls that have ended since, as TCP does.
type limiter struct {
	mu       sync.Mutex
	max      float64
	limit    float64
	inUse    int
	waiting  []chan struct{}
	halvedAt time.Time
}

func newLimiter(size int) *limiter { return &limiter{max: float64(size), limit: float64(size)} }

// enter waits for a place. leave gives it back.
func (w *limiter) acquire(ctx context.Context) (release func(), err error) {
	w.mu.Lock()
	if len(w.waiting) == 0 && w.inUse < int(w.limit) {
		w.inUse++
		w.mu.Unlock()
		return w.release, nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return w.release, nil
	case <-ctx.Done():
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, t := range w.waiting {
		if t == turn {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			return nil, fmt.Errorf("waiting for a free API call: %w", ctx.Err())
		}
	}
	// It was this one's turn at the same moment.
	w.releaseLocked()
	return nil, fmt.Errorf("waiting for a free API call: %w", ctx.Err())
}

func (w *limiter) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limit = min(w.max, w.limit+1/w.limit)
	w.releaseLocked()
}

// release gives a place back and the free ones to who waits longest.
func (w *limiter) releaseLocked() {
	w.inUse--
	for len(w.waiting) > 0 && w.inUse < int(w.limit) {
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
		w.inUse++
	}
}

// shrink halves the window, once for all refusals of the same moment.
func (w *limiter) halve() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.halvedAt) > halvePause {
		w.limit, w.halvedAt = max(1, w.limit/2), now
	}
}
