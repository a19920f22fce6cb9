package datastorage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// queueBatch is how many events the worker looks at, of each kind.
	queueBatch = 10
	// drainTimeout bounds how long a server that stops stores what is queued.
	drainTimeout = 10 * time.Second
)

// backoff is how many intervals an event waits before each attempt, the first
// included: 1m, 5m, 15m, 1h, 4h and 24h with the real server's 30s. An event
// whose last attempt failed is given up.
var backoff = []time.Duration{2, 10, 30, 120, 480, 2880}

// errQueueStopped says that the queue cannot take an event.
var errQueueStopped = errors.New("the queue is stopped")

// queued is an event in the queue.
type queued struct {
	event    *row
	since    time.Time // The time from which its next attempt counts.
	attempts int
	looked   time.Time // When the worker last looked at it; zero if it never did.
}

// queue keeps events whose write failed, and writes them again. Like the real
// one it looks at no more than ten new events and ten others in an interval, the
// oldest first, and looks again at an event after two intervals. Events that wait
// for their next attempt are looked at as well. Twenty such events at its head
// therefore hold up all that are behind them.
type queue struct {
	interval time.Duration
	length   int
	write    func(context.Context, []*row) error

	mu      sync.Mutex
	now     func() time.Time
	events  []*queued
	dead    int
	stopped bool

	cancel context.CancelFunc
	ended  chan struct{}
}

func startQueue(interval time.Duration, length int, write func(context.Context, []*row) error) *queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &queue{interval: interval, length: length, write: write, now: time.Now, cancel: cancel, ended: make(chan struct{})}
	go q.run(ctx)
	return q
}

// run looks at events at each tick, and tries once to store all of them when it is
// stopped.
func (q *queue) run(ctx context.Context) {
	defer close(q.ended)
	ticker := time.NewTicker(q.interval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			q.tick(ctx, now)
		case <-ctx.Done():
			q.drain(context.WithoutCancel(ctx))
			return
		}
	}
}

// close stops the worker.
func (q *queue) close() {
	q.cancel()
	<-q.ended
}

// drain tries once to store all that is queued, and lets no more in.
func (q *queue) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
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
	q.append(&queued{event: e, since: q.now()})
	return nil
}

func (q *queue) append(e *queued) {
	q.events = append(q.events, e)
	if surplus := len(q.events) - q.length; surplus > 0 {
		q.events = q.events[surplus:]
	}
}

// tick looks at some new events and at some others, and tries to store those that
// have waited long enough.
func (q *queue) tick(ctx context.Context, now time.Time) {
	for _, fresh := range []bool{true, false} {
		for _, e := range q.look(fresh, now) {
			given := e.attempts == len(backoff)
			if !given && now.Before(e.since.Add(backoff[e.attempts]*q.interval)) {
				continue
			}
			var err error
			if !given {
				err = q.write(ctx, []*row{e.event})
			}
			if ctx.Err() != nil {
				return // The server stops, and stores what is queued a last time.
			}
			q.settle(e, given, err, now)
		}
	}
}

// look takes the first events to look at now: new ones, or those at which the
// worker has not looked for two intervals.
func (q *queue) look(fresh bool, now time.Time) []*queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return nil
	}
	var some []*queued
	for _, e := range q.events {
		again := !e.looked.IsZero() && !now.Before(e.looked.Add(2*q.interval))
		if len(some) < queueBatch && (fresh && e.looked.IsZero() || !fresh && again) {
			e.looked = now
			some = append(some, e)
		}
	}
	return some
}

// settle takes an event out of the queue that was stored or is given up, and
// puts another one at its end as if it were new.
func (q *queue) settle(e *queued, given bool, err error, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events = slices.DeleteFunc(q.events, func(other *queued) bool { return other == e })
	switch {
	case given:
		q.dead++
	case err != nil:
		q.append(&queued{event: e.event, since: now, attempts: e.attempts + 1})
	}
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
