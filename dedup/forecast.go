package dedup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"onefire/mapping"
)

// Forecast says what one more alert of the signal's fingerprint would come to
// now, a firing one with a key or a resolved one: the outcome that [Deduplicator.Settle]
// or [Deduplicator.Resolve] would give, but for the end of a new object's name, which
// follows from when it is made. An empty key is on no record. It only reads, and
// promises nothing.
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

// FirstForecast is the forecast where there is no RemediationRequest yet.
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
