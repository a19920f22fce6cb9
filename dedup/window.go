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
type window struct {
	mu      sync.Mutex
	most    float64
	size    float64
	used    int
	waiting []chan struct{}
	shrunk  time.Time
}

func newWindow(size int) *window { return &window{most: float64(size), size: float64(size)} }

// enter waits for a place. leave gives it back.
func (w *window) enter(ctx context.Context) (leave func(), err error) {
	w.mu.Lock()
	if len(w.waiting) == 0 && w.used < int(w.size) {
		w.used++
		w.mu.Unlock()
		return w.leave, nil
	}
	turn := make(chan struct{})
	w.waiting = append(w.waiting, turn)
	w.mu.Unlock()
	select {
	case <-turn:
		return w.leave, nil
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
	w.release()
	return nil, fmt.Errorf("waiting for a free API call: %w", ctx.Err())
}

func (w *window) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.size = min(w.most, w.size+1/w.size)
	w.release()
}

// release gives a place back and the free ones to who waits longest.
func (w *window) release() {
	w.used--
	for len(w.waiting) > 0 && w.used < int(w.size) {
		close(w.waiting[0])
		w.waiting = w.waiting[1:]
		w.used++
	}
}

// shrink halves the window, once for all refusals of the same moment.
func (w *window) shrink() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.shrunk) > shrinkPause {
		w.size, w.shrunk = max(1, w.size/2), now
	}
}
