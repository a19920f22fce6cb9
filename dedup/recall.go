package dedup

import (
	"context"
	"fmt"

	"onefire/mapping"
)

// Recall says what became of occurrences that are too old to make anything new. It
// returns one outcome per key, in their order: where the key is on record, what a
// replay of [Deduplicator.Settle] says; otherwise the reason [mapping.TooOld]. It only
// reads. The List is needed: an event whose object was made, and whose audit event was
// not taken for as long as the sink was away, is redelivered after that, and its audit
// event must still follow.
func (d *Deduplicator) Recall(ctx context.Context, s mapping.Signal, keys []string) ([]Outcome, error) {
	objects, _, err := d.lists.list(ctx, s.Namespace, s.Fingerprint, keys)
	if err != nil {
		return nil, fmt.Errorf("listing the RemediationRequests of %s: %w", s.Fingerprint, err)
	}
	outcomes := make([]Outcome, len(keys))
	for i, key := range keys {
		outcomes[i] = Outcome{Reason: mapping.TooOld}
		if o, m, ok := recorded(objects, key); ok {
			outcomes[i] = outcome(replayReason(m.count), o, m)
		}
	}
	return outcomes, nil
}

// again is the reason for a key that was on record before, with that count: 1 means
// that it made the object.
func replayReason(count int32) mapping.Reason {
	if count == 1 {
		return mapping.ReplayedNew
	}
	return mapping.ReplayedDuplicate
}
