//go:build !race

package dedup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"onefire/mapping"
)

// checkEnds judges a handler of ends that has ended: the last List that it made
// showed no active object that an end would be news for which it says it noted on
// none. An object with a full list knows nothing of the alerts that are not on it.
func (r *run) checkEnds(answers []answer, p *progress) error {
	saw, _, _ := sawLast(answers, "")
	last := answers[len(answers)-1].call
	if p.call != "" || !isEnd(p.event) || r.forgetful || p.err != nil {
		return nil //nolint:nilerr // A handler that failed says nothing of ends, and is judged by its answer.
	}
	if !strings.HasPrefix(last, list) && !strings.HasPrefix(last, "patch") {
		return errors.New("I4: an end was not noted, and nobody looked")
	}
	for i, end := range keysOf(p.event) {
		for _, o := range saw {
			fired, counted := firedLast(o)[alertOf(end)]
			counted = counted && p.outcomes[i].Reason == mapping.ResolvedNothing && (!o.omitted || o.named(alertOf(end).id))
			if active(o) && counted && !fired.After(saidAt(end)) && o.states[alertOf(end).id].resolved.Before(saidAt(end)) {
				return fmt.Errorf("I4: the end %s was not noted on %s", end, o.name)
			}
		}
	}
	return nil
}

// firedLast is when each alert that was counted on an object was last said to fire.
func firedLast(o object) map[alert]time.Time {
	fired := map[alert]time.Time{}
	for key := range o.events {
		if at, ok := fired[alertOf(key)]; !ok || saidAt(key).After(at) {
			fired[alertOf(key)] = saidAt(key)
		}
	}
	return fired
}

// checkMark judges that an object is, or is not, marked as resolved: it may be
// marked only if somebody has said of each alert that was counted on it that it
// ended, and nobody has said later that it fires.
func (r *run) checkMark(o object) error {
	if o.lastResolved.IsZero() {
		return nil
	}
	if o.omitted {
		return fmt.Errorf("I10: %s is marked as resolved, and counts more alerts than it names", o.name)
	}
	var last time.Time
	for a, fired := range firedLast(o) {
		var ended time.Time
		for _, d := range r.deliveries {
			for _, end := range keysOf(d.event) {
				if isEnd(end) && alertOf(end) == a && !saidAt(end).Before(fired) && endedAt(end).After(ended) {
					ended = endedAt(end)
				}
			}
		}
		if ended.IsZero() {
			return fmt.Errorf("I10: %s is marked as resolved while %v fires", o.name, a)
		}
		if ended.After(last) {
			last = ended
		}
	}
	if o.lastResolved.After(last) {
		return fmt.Errorf("I10: %s ended at %s, and is marked as resolved at %s", o.name, last, o.lastResolved)
	}
	return nil
}

// checkPatched judges the object that a call has just changed.
func (r *run) checkPatched(call string) error {
	verb, name, _ := strings.Cut(call, " ")
	o, ok := r.seen[name]
	switch {
	case !ok || verb != "patch" || r.forgetful:
		return nil
	case o.displayStale && !r.prunes:
		return fmt.Errorf("I9: people see other alerts on %s than its record has", name)
	case o.old:
		return fmt.Errorf("I2: %s has some of its record in two places", name)
	case o.phase == "Processing" && len(o.foreign) == 0:
		return fmt.Errorf("I8: the condition of another controller went from %s", name)
	}
	return r.checkMark(o.object)
}

// checkUnmarked judges an object that nothing will change any more: when it knows
// of each alert that was counted on it that it ended, it is marked, with the last
// end. The maker of a foreign object may not have told us of its alert.
func checkUnmarked(o object) error {
	var last time.Time
	for a, fired := range firedLast(o) {
		s := o.states[a.id]
		if s.resolved.IsZero() || s.resolved.Before(fired) {
			return nil
		}
		if s.ended.After(last) {
			last = s.ended
		}
	}
	if !o.omitted && !o.lastResolved.Equal(last) {
		return fmt.Errorf("I10: all alerts on %s have ended, the last at %s, and it is marked with %s", o.name, last, o.lastResolved)
	}
	return nil
}

// checkNoted judges an end that was noted: it is not forgotten. An object that
// others deleted had the note until then.
func (r *run) checkNoted(same []object, d delivery) error {
	for _, o := range append(slices.Clip(r.deleted), r.outdated...) {
		same = append(slices.Clip(same), o.object)
	}
	for i, end := range keysOf(d.event) {
		reason := d.outcomes[i].Reason
		if r.forgetful || reason != mapping.ResolvedActive && reason != mapping.ResolvedPartly {
			continue
		}
		if !slices.ContainsFunc(same, func(o object) bool { return o.omitted || !o.states[alertOf(end).id].resolved.Before(saidAt(end)) }) {
			return fmt.Errorf("I3: the end %s was noted, and no object knows it", end)
		}
	}
	return nil
}
