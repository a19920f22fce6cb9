package receive

import (
	"sync"
	"time"
)

// LogLimit bounds how many lines of one kind are logged, so that strangers cannot fill
// the log. It is safe for concurrent use. Its zero value is ready to use.
type LogLimit struct {
	mu    sync.Mutex
	last  time.Time
	count int
}

// Next tells whether the next line is logged: the first one is, and then one in each
// pause. unlogged is how many lines were left out since the last one.
func (l *LogLimit) Next(now time.Time, pause time.Duration) (unlogged int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last) < pause {
		l.count++
		return 0, false
	}
	unlogged, l.count, l.last = l.count, 0, now
	return unlogged, true
}
