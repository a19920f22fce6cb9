package dedup

import (
	"context"
	"fmt"
	"slices"
	"time"

	"onefire/mapping"
)

// Resolve notes on the active RemediationRequest of the signals' fingerprint which of the
// alerts that it counts have ended. The request is marked as resolved when none of them
// fires any more. The next count of an alert that fires again removes the mark. The
// signals have one fingerprint and namespace, and there is at least one. Resolve returns
// one outcome per signal, in their order. It never creates an object. Concurrent calls
// for the same fingerprint share their API calls.
func (d *Deduplicator) Resolve(ctx context.Context, signals []mapping.Signal) ([]Outcome, error) {
	keys, ends := make([]string, len(signals)), make(map[string]mapping.Signal, len(signals))
	for i, s := range signals {
		keys[i] = s.AlertID + " " + s.SaidAt.Format(time.RFC3339Nano) + " " + s.EndedAt.Format(time.RFC3339Nano)
		ends[keys[i]] = s
	}
	return d.ends.Settle(ctx, signals[0], keys, ends)
}

// resolveAll is the settler of [Deduplicator.Resolve]. A key stands for what one event
// says of one alert.
func (c core) resolveAll(ctx context.Context, _ mapping.Signal, keys []string, ends map[string]mapping.Signal) ([]Outcome, error) {
	signals := make([]mapping.Signal, len(keys))
	for i, key := range keys {
		signals[i] = ends[key]
	}
	return c.resolve(ctx, signals)
}

// resolve notes ends without sharing its calls.
func (c core) resolve(ctx context.Context, signals []mapping.Signal) ([]Outcome, error) {
	h := c.handler(signals[0])
	e := newEnds(signals)
	for range maxRounds {
		if err := h.readPast(ctx); err != nil {
			return nil, err
		}
		v := decide(h.signal.Fingerprint, past{objects: h.objects, now: h.now})
		if v.action == merge {
			if err := h.merge(ctx, v); err != nil {
				return nil, err
			}
			continue
		}
		active, _ := split(h.objects)
		slices.SortFunc(active, byAge)
		patch, noted, changed := e.patch(active)
		if patch == nil {
			if h.fromCache {
				h.discardCached() // A cached past does not prove that there is nothing to note.
				continue
			}
			return e.finish(active), nil
		}
		past, hinted := h.objects, h.fromCache
		revision, ok, err := h.patch(ctx, changed, patch)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		changed.resourceVersion = revision
		h.cachePast(past, changed)
		if e.record(noted, changed); e.settled() || len(active) == 1 && !hinted {
			return e.finish(active), nil
		}
	}
	return nil, fmt.Errorf("resolving %s: %w (%d rounds)", h.signal.Fingerprint, ErrContended, maxRounds)
}

// ends are what events say of alerts that have ended, and the outcomes.
type ends struct {
	said     []statement
	outcomes []Outcome // without a reason while an end is open
}

func newEnds(signals []mapping.Signal) *ends {
	e := &ends{make([]statement, len(signals)), make([]Outcome, len(signals))}
	for i, s := range signals {
		e.said[i] = statementOf(s)
	}
	return e
}

// patch returns the patch for the first active object to which an open end is new. It
// returns nil if there is no such object.
func (e *ends) patch(active []object) (patch map[string]any, noted []int, changed object) {
	var open []int
	var said []statement
	for i, o := range e.outcomes {
		if o.Reason == 0 {
			open, said = append(open, i), append(said, e.said[i])
		}
	}
	for _, o := range active {
		changed, news := o.withEnds(said)
		if !slices.Contains(news, true) {
			continue
		}
		for i, isNew := range news {
			if isNew {
				noted = append(noted, open[i])
			}
		}
		return patchTo(o, changed), noted, changed
	}
	return nil, nil, object{}
}

// record stores the outcome of ends that an object has noted now.
func (e *ends) record(noted []int, o object) {
	reason := mapping.ResolvedActive
	if o.lastResolved.IsZero() {
		reason = mapping.ResolvedPartly
	}
	for _, i := range noted {
		e.outcomes[i] = Outcome{Reason: reason, Name: o.name, Count: o.count}
	}
}

func (e *ends) settled() bool {
	return !slices.ContainsFunc(e.outcomes, func(o Outcome) bool { return o.Reason == 0 })
}

// finish gives the open ends the outcome that there was nothing to note, and returns all
// outcomes.
func (e *ends) finish(active []object) []Outcome {
	for i := range e.outcomes {
		if e.outcomes[i].Reason != 0 {
			continue
		}
		e.outcomes[i].Reason = mapping.ResolvedNothing
		if len(active) > 0 {
			e.outcomes[i].Name, e.outcomes[i].Count = active[0].name, active[0].count
		}
	}
	return e.outcomes
}
