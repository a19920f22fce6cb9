package datastorage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// errLockTimeout is what PostgreSQL says when a lock does not come in time.
var errLockTimeout = errors.New("canceling statement due to lock timeout")

// table is the table as its users see it: it may be locked, or slow.
type table struct {
	mu     sync.Mutex
	locked []*lock
	slow   time.Duration
}

// lock is one lock of the table.
type lock struct {
	free  chan struct{}
	reads bool
}

// LockTable makes everything wait that reads or writes events, as LOCK TABLE
// audit_events does, until unlock is called.
func (s *Server) LockTable() (unlock func()) { return s.table.lock(true) }

// LockWrites makes everything wait that writes events, as LOCK TABLE
// audit_events IN EXCLUSIVE MODE does, until unlock is called.
func (s *Server) LockWrites() (unlock func()) { return s.table.lock(false) }

// SlowDown makes the database take that much longer for each event that it
// stores.
func (s *Server) SlowDown(perEvent time.Duration) {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.table.slow = perEvent
}

func (t *table) lock(reads bool) (unlock func()) {
	l := &lock{free: make(chan struct{}), reads: reads}
	t.mu.Lock()
	t.locked = append(t.locked, l)
	t.mu.Unlock()
	return sync.OnceFunc(func() { close(l.free) })
}

// wait waits until the table can be used, at most as long as a lock may take.
func (t *table) wait(ctx context.Context, write bool, most time.Duration) error {
	timeout := time.NewTimer(most)
	defer timeout.Stop()
	t.mu.Lock()
	locks := append([]*lock(nil), t.locked...)
	t.mu.Unlock()
	for _, l := range locks {
		if !write && !l.reads {
			continue
		}
		select {
		case <-l.free:
		case <-timeout.C:
			return errLockTimeout
		case <-ctx.Done():
			return fmt.Errorf("waiting for the table: %w", ctx.Err())
		}
	}
	return nil
}

// work takes the time that a slow database needs for n events.
func (t *table) work(ctx context.Context, n int) error {
	t.mu.Lock()
	slow := t.slow
	t.mu.Unlock()
	if slow == 0 {
		return nil
	}
	timer := time.NewTimer(time.Duration(n) * slow)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the database: %w", ctx.Err())
	}
}
