package dedup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"onefire/mapping"
)

// Forecast returns the outcome that [Deduplicator.Settle] (with a key) or
// [Deduplicator.Resolve] (if resolved) would have now for one more alert of the signal's
// fingerprint. The name of a new object lacks its last part, which depends on when it is
// created. An empty key is never on record. Forecast only reads, and another delivery can
// change the outcome at any time.
func (d *Deduplicator) Forecast(ctx context.Context, s mapping.Signal, key string, resolved bool) (Outcome, error) {
	objects, now, err := d.api.list(ctx, s.Namespace, selector{fingerprint: s.Fingerprint, keys: []string{key}})
	if err != nil {
		return Outcome{}, fmt.Errorf("listing the RemediationRequests of %s: %w", s.Fingerprint, err)
	}
	if o, m, ok := recorded(objects, key); ok && !resolved {
		return outcome(replayReason(m.count), o, m), nil
	}
	o := forecast(s, objects, now, resolved)
	if o.Reason.Decision() == mapping.New {
		if p := d.brake.pause(ctx); p != nil {
			o = Outcome{Reason: mapping.BrakeOn, Paused: p}
		}
	}
	return o, nil
}

// FirstForecast is the forecast for a fingerprint without RemediationRequests.
func FirstForecast(s mapping.Signal, resolved bool) Outcome {
	return forecast(s, nil, time.Time{}, resolved)
}

func forecast(s mapping.Signal, objects []object, now time.Time, resolved bool) Outcome {
	if resolved {
		active, _ := split(objects)
		slices.SortFunc(active, byAge)
		e := newEnds([]mapping.Signal{s})
		if patch, noted, changed := e.patch(active); patch != nil {
			e.record(noted, changed)
		}
		return e.finish(active)[0]
	}
	// No event has an empty key.
	switch v := decide(s.Fingerprint, past{objects: objects, keys: []string{""}, now: now}); v.action {
	case create:
		return Outcome{Reason: v.reason, Name: "rr-" + label(s.Fingerprint) + "-…", Count: 1}
	case merge, wait:
		return Outcome{Reason: mapping.Active, Name: v.object.name, Count: plus(v.object.count, 1)}
	default:
		return Outcome{Reason: v.reason, Name: v.object.name, Count: plus(v.object.count, 1)}
	}
}
