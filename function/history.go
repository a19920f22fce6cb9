package function

import (
	"context"
	"sync"
	"time"

	"onefire/dedup"
)

// history tells of fingerprints whose past is long. Each of their Lists is counted;
// the log has one line an hour for each.
type history struct {
	mu   sync.Mutex
	told map[dedup.LongPast]time.Time
}

// outdated is told of each object that was deleted because of HISTORY_LIMIT.
func (p *parts) outdated(namespace, name string) {
	p.log.Info("deleted an ended object: HISTORY_LIMIT newer ones are there", "object", namespace+"/"+name)
	p.metrics.outdated.Add(context.Background(), 1)
}

func (p *parts) longPast(past dedup.LongPast) {
	p.metrics.longPasts.Add(context.Background(), 1)
	if p.history.due(past, p.now()) {
		p.log.Warn("a fingerprint has so many RemediationRequests that each of its alerts is slow: delete ended ones",
			"namespace", past.Namespace, "fingerprint", past.Fingerprint, "remediationRequests", past.Objects, "pages", past.Paged)
	}
}

// altered is told of each object that admission changed. The log says it once.
func (p *parts) altered(namespace, name string, changed []string) {
	p.warned.Do(func() {
		p.log.Warn("an admission policy or webhook changes the RemediationRequests that are created: exempt them, or some guarantees do not hold",
			"object", namespace+"/"+name, "changed", changed)
	})
}

// due tells whether the log shall have a line, and takes it for written then.
func (h *history) due(past dedup.LongPast, now time.Time) bool {
	who := dedup.LongPast{Namespace: past.Namespace, Fingerprint: past.Fingerprint}
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, ok := h.told[who]; ok && now.Sub(last) < historyPause {
		return false
	}
	if h.told == nil || len(h.told) >= maxHistories {
		h.told = map[dedup.LongPast]time.Time{} // The log then has some lines twice.
	}
	h.told[who] = now
	return true
}
