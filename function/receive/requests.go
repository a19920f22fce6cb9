package receive

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// requests counts the running requests of admitted senders. Requests that are arriving
// and requests that are handled have separate bounds.
type requests struct {
	mu     sync.Mutex
	begun  map[*time.Time]struct{}
	closed bool
	idle   chan struct{} // closed when the last request leaves after close
}

// begin admits one more request, unless close was called.
func (r *requests) begin() (leave func(), ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	if r.begun == nil {
		r.begun = map[*time.Time]struct{}{}
	}
	now := time.Now()
	r.begun[&now] = struct{}{}
	return func() { r.end(&now) }, true
}

func (r *requests) end(begun *time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.begun, begun)
	if r.idle != nil && len(r.begun) == 0 {
		close(r.idle) // No request enters any more, so no other request is the last one.
	}
}

// oldest is how long the oldest request has been running.
func (r *requests) oldest() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	var oldest time.Duration
	for begun := range r.begun {
		oldest = max(oldest, time.Since(*begun))
	}
	return oldest
}

// close rejects new requests and waits for the running ones.
func (r *requests) close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	if len(r.begun) == 0 {
		r.mu.Unlock()
		return nil
	}
	if r.idle == nil {
		r.idle = make(chan struct{})
	}
	idle := r.idle
	r.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping while requests are running: %w", ctx.Err())
	}
}
