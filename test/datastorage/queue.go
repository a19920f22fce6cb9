package datastorage

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// queueBatch is how many events the worker stores at once.
	queueBatch = 10
	// drainTimeout bounds how long a server that stops stores what is queued.
	drainTimeout = 10 * time.Second
)

// backoff is how many intervals an event waits before each attempt, the first
// included: 1m, 5m, 15m, 1h, 4h and 24h of the real server's 30s. An event
// whose last attempt failed is given up.
var backoff = []time.Duration{2, 10, 30, 120, 480, 2880}

// errQueueStopped says that the queue cannot take an event.
var errQueueStopped = errors.New("the queue is stopped")

// queued is an event in the queue.
type queued struct {
	event    *row
	since    time.Time // The time from which its next attempt counts.
	attempts int
}

// queue keeps events whose write failed, and writes them again.
type queue struct {
	interval time.Duration
	length   int
	write    func(context.Context, []*row) error

	mu      sync.Mutex
	events  []*queued
	dead    int
	stopped bool

	cancel context.CancelFunc
	ended  chan struct{}
}

func startQueue(interval time.Duration, length int, write func(context.Context, []*row) error) *queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &queue{interval: interval, length: length, write: write, cancel: cancel, ended: make(chan struct{})}
	go q.run(ctx)
	return q
}

// run stores what is due at each tick.
func (q *queue) run(ctx context.Context) {
	defer close(q.ended)
	ticker := time.NewTicker(q.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			q.store(ctx, time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// close ends the worker and tries once to store all that is queued.
func (q *queue) close() {
	q.cancel()
	<-q.ended
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return
	}
	q.stopped = true
	for _, e := range q.events {
		if ctx.Err() != nil {
			return
		}
		_ = q.write(ctx, []*row{e.event})
	}
	q.events = nil
}

// add queues an event. If the queue is full, it forgets its oldest event and
// tells nobody.
func (q *queue) add(e *row) error {
	if err := e.queueable(); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return errQueueStopped
	}
	q.events = append(q.events, &queued{event: e, since: time.Now()})
	if surplus := len(q.events) - q.length; surplus > 0 {
		q.events = q.events[surplus:]
	}
	return nil
}

// store tries to store the first events that are due.
func (q *queue) store(ctx context.Context, now time.Time) {
	for _, e := range q.due(now) {
		err := q.write(ctx, []*row{e.event})
		if ctx.Err() != nil {
			return // The server stops, and stores what is queued a last time.
		}
		q.settle(e, err)
	}
}

// due are the first events that have waited long enough.
func (q *queue) due(now time.Time) []*queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return nil
	}
	var due []*queued
	for _, e := range q.events {
		if len(due) < queueBatch && now.After(e.since.Add(backoff[e.attempts]*q.interval)) {
			due = append(due, e)
		}
	}
	return due
}

// settle takes an event out of the queue that was stored or is given up, and
// puts another one at its end.
func (q *queue) settle(e *queued, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, other := range q.events {
		if other == e {
			q.events = append(q.events[:i:i], q.events[i+1:]...)
			break
		}
	}
	if err == nil {
		return
	}
	e.attempts++
	e.since = time.Now()
	if e.attempts == len(backoff) {
		q.dead++
		return
	}
	q.events = append(q.events, e)
}

// StopQueue makes the queue take and store nothing until [Server.StartQueue].
func (s *Server) StopQueue() { s.queue.stop(true) }

// StartQueue lets the queue take and store events again.
func (s *Server) StartQueue() { s.queue.stop(false) }

func (q *queue) stop(yes bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = yes
}

// Queued is how many events were accepted with 202 and are not stored yet.
func (s *Server) Queued() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return len(s.queue.events)
}

// Dead is how many events were accepted with 202 and given up.
func (s *Server) Dead() int {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.dead
}
