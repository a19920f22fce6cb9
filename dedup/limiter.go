package dedup

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// limiter limits the concurrent API calls, first come, first served. It halves its limit
// when the API server answers 429. It raises the limit by one for each limit's worth of
// calls that have ended, as TCP does.
type limiter struct {
	mu       sync.Mutex
	max      float64
	limit    float64
	inUse    int
	waiting  []chan struct{}
	halvedAt time.Time
}

func newLimiter(size int) *limiter { return &limiter{max: float64(size), limit: float64(size)} }

// acquire waits for a slot. The caller must release it.
func (l *limiter) acquire(ctx context.Context) (release func(), err error) {
	l.mu.Lock()
	if l.inUse < int(l.limit) { // Then nobody waits.
		l.inUse++
		l.mu.Unlock()
		return l.release, nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return l.release, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, t := range l.waiting {
		if t == turn {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			return nil, fmt.Errorf("waiting for a slot among the concurrent API calls: %w", ctx.Err())
		}
	}
	// The slot came at the same moment.
	l.releaseLocked()
	return nil, fmt.Errorf("waiting for a slot among the concurrent API calls: %w", ctx.Err())
}

func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limit = min(l.max, l.limit+1/l.limit)
	l.releaseLocked()
}

// releaseLocked frees a slot and gives the free slots to the callers that have waited
// longest.
func (l *limiter) releaseLocked() {
	l.inUse--
	for len(l.waiting) > 0 && l.inUse < int(l.limit) {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.inUse++
	}
}

// halve halves the limit, once for all 429 answers within [halvePause].
func (l *limiter) halve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.halvedAt) > halvePause {
		l.limit, l.halvedAt = max(1, l.limit/2), now
	}
}
