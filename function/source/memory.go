package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"onefire/audit"
)

// memory is what one replica remembers of the events that it has sent. With it, an alert
// of a webhook that was not acknowledged keeps its id until it is acknowledged, however
// long that takes, and for one more window. The source also does not send an event again
// that the sink has accepted under that id. Without it (after a restart, on another
// replica, or after [maxRemembered] newer events) the window alone decides.
type memory struct {
	length time.Duration
	mu     sync.Mutex
	known  *simplelru.LRU[uuid.UUID, *occurrence]
}

// occurrence is one event, sent or to be sent. The memory's lock guards it.
type occurrence struct {
	id string
	// first is when the event came, or at most [timeFor] ago, and zero until [memory.at] is
	// asked; seen is when it came last.
	// settled is when a webhook with the event was acknowledged; it is zero while one is
	// not. taken is when a webhook with the event ended after it was done.
	first, seen, settled, taken time.Time
	// done tells that the sink has accepted the event, or rejected it for good; refused
	// then has the rejection.
	done    bool
	refused error
	// sending is the running delivery, if any.
	sending *sending
}

type sending struct {
	ended chan struct{}
	err   error
}

func newMemory(length time.Duration) *memory {
	// A size above zero is never an error.
	known, _ := simplelru.NewLRU[uuid.UUID, *occurrence](maxRemembered, nil)
	return &memory{length: length, known: known}
}

// recall returns the occurrence with this key that is not over, or a new one.
func (m *memory) recall(key uuid.UUID, begun, now time.Time) *occurrence {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o, ok := m.known.Get(key); ok && !o.expired(now, m.length) {
		o.seen = now
		return o
	}
	o := &occurrence{id: eventID(key, window(now, begun, m.length)), seen: now}
	m.known.Add(key, o)
	return o
}

// at is the event's time. It is the same for all retries within half an hour, because the
// function uses it to find what it has stored. In a longer outage it moves on: an alert
// that still fires must not come with an event that is too old.
func (m *memory) at(o *occurrence, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Sub(o.first) > timeFor {
		o.first = now
	}
	return o.first
}

// expired tells whether an event that comes now with the same key is a new occurrence. The
// time counts from the first acknowledgement and not from the last: otherwise a group
// that is sent more often than once in a window would stay one event forever. The same
// holds for an event that the sink has accepted while another event of its webhook is
// never accepted.
func (o *occurrence) expired(now time.Time, length time.Duration) bool {
	switch {
	case !o.settled.IsZero():
		return now.Sub(o.settled) >= length
	case !o.taken.IsZero():
		return now.Sub(o.taken) >= openFor
	}
	return o.sending == nil && now.Sub(o.seen) >= openFor
}

// settle notes whether the sender of a webhook was told the outcome, and so will not send
// the same notification again.
func (m *memory) settle(occurrences []*occurrence, settled bool, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range occurrences {
		if o.done && o.taken.IsZero() {
			o.taken = now
		}
		switch {
		case !settled:
			o.seen, o.settled = now, time.Time{}
		case o.settled.IsZero():
			o.settled = now
		}
	}
}

var errPanic = errors.New("internal error: see the log")

// sendOnce sends an occurrence, unless that was done before. If it is being sent already,
// once waits for the result. again tells that this call has sent nothing.
func (m *memory) sendOnce(ctx context.Context, o *occurrence, send func() error) (again bool, err error) {
	m.mu.Lock()
	if o.done {
		m.mu.Unlock()
		return true, o.refused
	}
	if s := o.sending; s != nil {
		m.mu.Unlock()
		select {
		case <-s.ended:
			return true, s.err
		case <-ctx.Done():
			return true, fmt.Errorf("waiting for another delivery of the same event: %w", context.Cause(ctx))
		}
	}
	s := &sending{ended: make(chan struct{}), err: errPanic}
	o.sending = s
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		var refused *audit.RefusedError
		if errors.As(s.err, &refused) {
			// The whole error would keep the event's content in memory.
			o.refused = &audit.RefusedError{Status: refused.Status, Answer: refused.Answer}
		}
		o.done, o.sending = s.err == nil || refused != nil, nil
		close(s.ended)
	}()
	s.err = send()
	return false, s.err
}
