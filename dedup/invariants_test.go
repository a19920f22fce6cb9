//go:build !race

package dedup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

// asksForQuiet says when nothing may be made. Neither this nor active asks the
// protocol's own terminal and quiet, which are part of what is checked.
func asksForQuiet(o object, now time.Time) bool {
	return o.phase == completed && !o.deleting && (o.manualReview || o.nextAllowed.After(now))
}

func active(o object) bool { return o.phase != completed && !o.deleting }

// quietAsked tells whether the last of objects asks for quiet: surely, or maybe,
// when it is one of several of the latest second that are not of one mind.
func quietAsked(objects []object, now time.Time) (surely, maybe bool) {
	if len(objects) == 0 {
		return false, false
	}
	last, surely := slices.MaxFunc(objects, byAge).createdAt, true
	for _, o := range objects {
		if o.createdAt.Equal(last) {
			asks := asksForQuiet(o, now)
			surely, maybe = surely && asks, maybe || asks
		}
	}
	return surely, maybe
}

// checkWrite judges a write that took effect by what its handler had seen.
func (r *run) checkWrite(p *progress) error {
	verb, name, _ := strings.Cut(p.call, " ")
	if verb != "create" && verb != "patch" {
		return nil
	}
	if verb == "create" && isEnd(p.event) {
		return errors.New("I6: a resolved alert made an object")
	}
	saw, target, now := sawLast(p.answers, name)
	surely, maybe := quietAsked(saw, now)
	switch {
	case verb == "create" && slices.ContainsFunc(saw, active):
		return fmt.Errorf("I1: %s was made while another is active", name)
	case verb == "create" && now.Truncate(nameSpan).After(r.named[name]):
		return fmt.Errorf("I1: the name %s came again", name)
	case verb == "create" && surely:
		return fmt.Errorf("I1: %s was made while the last one asks for quiet", name)
	case verb == "patch" && !active(target) && !maybe:
		return fmt.Errorf("I1: an alert was counted on %s, which has ended", name)
	}
	return nil
}

// checkOutdated judges an object that was deleted because the past was too long: as
// many others as the limit have ended, and one of them came after it. Others may have
// deleted some of those since.
func (r *run) checkOutdated(o object) error {
	others, newer := map[types.UID]bool{}, false
	see := func(other object, gone bool) {
		if other.fingerprint == o.fingerprint && other.ours && other.uid != o.uid && (gone || !active(other)) {
			others[other.uid] = true
			newer = newer || !other.createdAt.Before(o.createdAt)
		}
	}
	for _, other := range r.all() {
		see(other, false)
	}
	for _, other := range r.deleted {
		see(other.object, true)
	}
	counted := o.createdAt
	for _, m := range o.events {
		counted = later(counted, m.time())
	}
	if active(o) || r.now.Sub(counted) <= redelivered || !o.ours || asksForQuiet(o, r.now) || len(others) < r.History || !newer {
		return fmt.Errorf("I1: %s was deleted as outdated, of a limit of %d with %d others", o.name, r.History, len(others))
	}
	return nil
}

// sawLast is what a handler's last List showed, and an object as it last saw it.
func sawLast(answers []answer, name string) (saw []object, target object, now time.Time) {
	for _, a := range answers {
		switch {
		case a.err != nil:
		case a.call == list || a.call == listActive || a.call == listLabelled || a.call == recall:
			saw, now = a.seen, a.now
		case a.call == listOthers:
			// What both Lists show counts as the first one showed it.
			known := saw
			saw = append(slices.Clip(saw), slices.DeleteFunc(slices.Clone(a.seen), func(o object) bool {
				return o.fingerprint != signal.Fingerprint || slices.ContainsFunc(known, func(k object) bool { return k.uid == o.uid })
			})...)
		}
		for _, o := range a.seen {
			if o.name == name {
				target = o
			}
		}
	}
	return saw, target, now
}

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
// end. Who made a foreign one may not have told us of its alert.
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

// checkNoted judges an end that was noted: it is not forgotten. What others deleted
// knew it until then.
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

// checkYield judges a handler that has ended: what it made, and nobody was told
// of, does not stay beside a foreign object.
func checkYield(answers []answer, p *progress) error {
	if p.call != "" {
		return nil
	}
	made := map[types.UID]bool{}
	for _, a := range answers {
		if strings.HasPrefix(a.call, "create") && a.err == nil {
			made[a.seen[0].uid] = true
		}
	}
	saw, _, _ := sawLast(answers, "")
	own := slices.IndexFunc(saw, func(o object) bool { return made[o.uid] && active(o) })
	if own >= 0 && slices.ContainsFunc(saw, func(o object) bool { return !o.ours && active(o) }) {
		return fmt.Errorf("I1: %s stays beside a foreign object", saw[own].name)
	}
	return nil
}

// withheld tells whether an outcome says that nothing was made, and settling the key again
// tries again.
func withheld(o Outcome) bool {
	return o.Reason == mapping.BrakeOn || o.Reason == mapping.QuotaExceeded
}

// checkHeld judges a handler that has ended and made nothing: an object was due by its
// last List, the key is on none, and the last thing that it was told says why. A quota
// hides what somebody else made, so after that it looks again.
func checkHeld(answers []answer, p *progress) error {
	if p.call != "" || !slices.ContainsFunc(p.outcomes, withheld) {
		return nil
	}
	saw, _, now := sawLast(answers, "")
	surely, _ := quietAsked(saw, now)
	// A handler whose object somebody deleted may have had a past to shorten.
	for strings.HasPrefix(answers[len(answers)-1].call, outdated) {
		answers = answers[:len(answers)-1]
	}
	last, paused := answers[len(answers)-1], new(*pausedError)
	switch {
	case slices.ContainsFunc(saw, active):
		return fmt.Errorf("I13: nothing was made for %s, which could be counted", p.event)
	case surely:
		return fmt.Errorf("I13: nothing was made for %s, after one that asks for quiet", p.event)
	}
	for i, key := range keysOf(p.event) {
		o := p.outcomes[i]
		_, _, on := recorded(saw, key)
		switch {
		case withheld(o) && on:
			return fmt.Errorf("I13: of %s %s is on record, and was told: %v", p.event, key, o.Reason)
		case o.Reason == mapping.BrakeOn && !errors.As(last.err, paused):
			return fmt.Errorf("I13: %s was told of a brake that nobody saw", key)
		case o.Reason == mapping.QuotaExceeded && !strings.HasPrefix(last.call, list):
			return fmt.Errorf("I13: %s was told of a quota, and nobody looked who used it up", key)
		}
	}
	return nil
}

// check returns what is wrong at quiescence; nil when nothing is.
func (r *run) check() error {
	if r.broken != nil {
		return r.broken
	}
	var same, ours []object
	for _, o := range r.all() {
		switch {
		case o.fingerprint != signal.Fingerprint && len(o.events) > 0:
			return fmt.Errorf("I2: an alert was counted on %s, which has another fingerprint", o.name)
		case o.fingerprint != signal.Fingerprint:
			continue
		case o.ours && int(o.count) != len(o.events) && !r.forgetful:
			return fmt.Errorf("I2: %s counts %d but has %d keys", o.name, o.count, len(o.events))
		}
		if err := cmp.Or(checkAlerts(o), checkTimes(o), r.checkMark(o), checkUnmarked(o)); err != nil && !r.forgetful {
			return err
		}
		same = append(same, o)
		if active(o) && o.ours {
			ours = append(ours, o)
		}
	}
	for _, o := range r.deleted {
		if err := checkAlerts(o.object); err != nil && !r.forgetful && o.fingerprint == signal.Fingerprint {
			return err
		}
	}
	if len(ours) > 1 && (!strings.Contains(r.Setup, "reactivated") || !r.nobody()) {
		return fmt.Errorf("I1: duplicates %s and %s", ours[0].name, ours[1].name)
	}
	isForeign := func(o object) bool { return !o.ours && active(o) }
	if len(ours) > 0 && r.Setup == "foreign" && r.undisturbed() && slices.ContainsFunc(same, isForeign) {
		return fmt.Errorf("I1: %s is active beside a foreign object", ours[0].name)
	}
	return r.checkAccepted(same)
}

// checkAlerts judges what an object says of the alerts that were counted on it:
// each but its own is named once, unless there are too many, and nothing else is,
// each with the labels in which it differs.
func checkAlerts(o object) error {
	own := o.ownAlert()
	came, named := map[alert]bool{}, map[alert]bool{own.alert: true}
	for key := range o.events {
		a := alertOf(key)
		came[a] = true
		i := slices.IndexFunc(o.others, func(b folded) bool { return b.alert == a })
		if container := labelsOf(key)["container"]; o.ours && i >= 0 && o.others[i].labels["container"] != container {
			return fmt.Errorf("I9: %s does not say that %v is in %s", o.name, a, container)
		}
	}
	least := -1
	for _, a := range o.others {
		if named[a.alert] || !came[a.alert] {
			return fmt.Errorf("I9: %s names %v twice, or nobody sent it", o.name, a.alert)
		}
		named[a.alert], least = true, max(least, a.severity.Rank())
	}
	for a := range came {
		full := o.omitted && len(o.others) == MaxAlerts
		if !named[a] && (!full || a.severity.Rank() < least) {
			return fmt.Errorf("I9: %v was counted on %s, which does not name it", a, o.name)
		}
	}
	if len(o.others) > MaxAlerts || o.omitted && len(came) <= MaxAlerts {
		return fmt.Errorf("I9: %s names %d alerts, of %d, omitted: %v", o.name, len(o.others), len(came), o.omitted)
	}
	return nil
}

// checkTimes judges when counts were made: in their order, and not before the object.
// Counts that were taken over from a duplicate have that one's times.
func checkTimes(o object) error {
	keys := newestFirst(o.events)
	for i, key := range keys {
		at := o.events[key].at
		if len(o.absorbed) == 0 && (at < o.createdAt.Unix() || i > 0 && at > o.events[keys[i-1]].at) {
			return fmt.Errorf("I2: the times of the counts of %s are not in their order: %v", o.name, o.events)
		}
	}
	return nil
}

// checkAccepted checks what became of the events.
func (r *run) checkAccepted(same []object) error {
	// What is being deleted keeps no record for long; what others deleted had
	// its record until then.
	record := slices.DeleteFunc(slices.Clone(same), func(o object) bool { return o.deleting })
	for _, o := range append(slices.Clip(r.deleted), r.outdated...) {
		record = append(record, o.object)
	}
	first, makers, nothing := map[string]Outcome{}, map[string]string{}, false
	for i, d := range r.deliveries {
		switch {
		case d.err != nil:
			return fmt.Errorf("handler %d: %w", i, d.err)
		case d.lost:
			continue
		case isEnd(d.event):
			if err := r.checkNoted(same, d); err != nil {
				return err
			}
			continue
		}
		for j, key := range keysOf(d.event) {
			if withheld(d.outcomes[j]) {
				nothing = true
				if err := r.checkNothing(same, record, key, d.outcomes[j].Reason); err != nil {
					return err
				}
				continue
			}
			if _, _, ok := recorded(record, key); !ok && !r.forgetful {
				return fmt.Errorf("I3: %s was accepted and is on no object", key)
			}
			if on := where(record, key); len(on) > 1 && r.repeatable() {
				return fmt.Errorf("I2: %s is counted on %v", key, on)
			}
			if o := d.outcomes[j]; o.Reason.Decision() == mapping.New && r.objects[o.Name] != nil && !r.seen[o.Name].ours {
				return fmt.Errorf("I4: %s was told that it made %s, which is foreign", key, o.Name)
			}
			if o, _, ok := recorded(record, key); ok && r.repeatable() && d.outcomes[j].Reason.Decision() == mapping.New {
				if other, two := makers[o.name]; two && other != key {
					return fmt.Errorf("I4: both %s and %s were told that they made %s", other, key, o.name)
				}
				makers[o.name] = key
			}
			before, ok := first[key]
			if ok && r.repeatable() && (before.Count != d.outcomes[j].Count || !before.At.Equal(d.outcomes[j].At) || before.Reason.Decision() != d.outcomes[j].Reason.Decision()) {
				return fmt.Errorf("I4: %s was answered %v and %v", key, before, d.outcomes[j])
			}
			first[key] = d.outcomes[j]
		}
	}
	if quiet, _ := quietAsked(same, r.now); len(first) > 0 && !nothing && !quiet && r.undisturbed() && !slices.ContainsFunc(same, active) {
		return errors.New("I1: alerts were accepted and no object is active")
	}
	return nil
}

// checkNothing judges a key for which nothing was made. It may be on record because its
// event was delivered once more, or because somebody deleted what it had made.
func (r *run) checkNothing(same, record []object, key string, told mapping.Reason) error {
	others := 0
	for _, d := range r.deliveries {
		if slices.Contains(keysOf(d.event), key) {
			others++
		}
	}
	if _, _, ok := recorded(record, key); ok && others == 1 && len(r.deleted)+len(r.outdated) == 0 {
		return fmt.Errorf("I13: nothing was made for %s, and it is on record", key)
	}
	if told == mapping.QuotaExceeded && r.undisturbed() && slices.ContainsFunc(same, active) {
		return fmt.Errorf("I13: a quota kept %s from being counted", key)
	}
	return nil
}

func where(objects []object, key string) (names []string) {
	for _, o := range objects {
		if _, ok := o.events[key]; ok {
			names = append(names, o.name)
		}
	}
	return names
}

// undisturbed tells that nothing but alerts and faults happened.
func (r *run) undisturbed() bool {
	b := r.Budget
	return b.Complete+b.Review+b.Retain+b.UserDelete+b.Foreign+b.Wait == 0
}

// nobody tells that no delivery was answered, so nobody has looked at what was there in
// the beginning.
func (r *run) nobody() bool {
	return !slices.ContainsFunc(r.deliveries, func(d delivery) bool { return !d.lost })
}

// repeatable tells that a redelivery must get the first answer. A deletion can
// make it the first one again, a key that moved to a foreign object was never
// answered as new, without a record nobody knows, and the end of a back-off is
// no write that the other delivery could lose against. An object that ends
// before another handler, which is about to make one, could see it, has counted its
// alerts all the same.
func (r *run) repeatable() bool {
	return len(r.deleted) == 0 && (len(r.outdated) == 0 || r.left.Wait == r.Budget.Wait) && !r.raced && r.objects["foreign"] == nil && !r.forgetful &&
		(r.left.Wait == r.Budget.Wait || !strings.Contains(r.Setup, "back-off"))
}
