//go:build !race

package dedup

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	// An object that is being deleted does not keep its record for long; one that
	// others deleted had it until then.
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
