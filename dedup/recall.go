package dedup

import (
	"context"
	"fmt"

	"onefire/mapping"
)

// Recall returns the outcomes of occurrences that are too old to make a new object, one
// per key, in their order. A key on record has the outcome of a replay of
// [Deduplicator.Settle]; any other has the reason [mapping.TooOld]. Recall only reads. It
// does need the List: the object of an event can exist although its audit event was not
// accepted, for as long as the audit sink was away. The redelivery of that event must
// still send the audit event.
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

// replayReason is the reason for a key that was already on record with that count. Count
// 1 means that the object was created for it.
func replayReason(count int32) mapping.Reason {
	if count == 1 {
		return mapping.ReplayedNew
	}
	return mapping.ReplayedDuplicate
}
