package dedup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"onefire/mapping"
)

// Forecast says what one more alert of the signal's fingerprint would come to
// now, a firing or a resolved one: the outcome that [Deduplicator.Settle] or
// [Deduplicator.Resolve] would give. It only reads, and promises nothing.
func (d *Deduplicator) Forecast(ctx context.Context, s mapping.Signal, resolved bool) (Outcome, error) {
	objects, now, err := d.api.list(ctx, s.Namespace, selector{fingerprint: s.Fingerprint})
	if err != nil {
		return Outcome{}, fmt.Errorf("listing the RemediationRequests of %s: %w", s.Fingerprint, err)
	}
	return forecast(s.Fingerprint, objects, now, resolved), nil
}

// FirstForecast is the forecast where there is no RemediationRequest yet.
func FirstForecast(s mapping.Signal, resolved bool) Outcome {
	return forecast(s.Fingerprint, nil, time.Time{}, resolved)
}

func forecast(fingerprint string, objects []object, now time.Time, resolved bool) Outcome {
	active, _ := split(objects)
	switch {
	case resolved && len(active) == 0:
		return Outcome{Reason: mapping.ResolvedNothing}
	case resolved:
		o := slices.MinFunc(active, byAge)
		return Outcome{Reason: mapping.ResolvedActive, Name: o.name, Count: o.count}
	}
	// No event has an empty key.
	switch v := decide(fingerprint, past{objects: objects, keys: []string{""}, now: now}); v.action {
	case create:
		return Outcome{Reason: v.reason, Name: v.name, Count: 1}
	case heal:
		return Outcome{Reason: mapping.Active, Name: v.object.name, Count: plus(v.object.count, 1)}
	default:
		return Outcome{Reason: v.reason, Name: v.object.name, Count: plus(v.object.count, 1)}
	}
}
