package receive

import (
	"sync"
	"time"
)

// LogLimit bounds how many lines of one kind get into the log, so that strangers do
// not fill it. Its zero value has seen none. Any number of goroutines may use it.
type LogLimit struct {
	mu    sync.Mutex
	last  time.Time
	count int
}

// Next tells whether the next line is logged: the first one, and then one in each
// pause. unlogged is how many were left out since the last one that was logged.
func (l *LogLimit) Next(now time.Time, pause time.Duration) (unlogged int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && now.Sub(l.last) < pause {
		l.count++
		return 0, false
	}
	unlogged, l.count, l.last = l.count, 0, now
	return unlogged, true
}
