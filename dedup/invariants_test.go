//go:build !race

package dedup

import (
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
func checkWrite(p *progress) error {
	verb, name, _ := strings.Cut(p.call, " ")
	if verb != "create" && verb != "patch" {
		return nil
	}
	if verb == "create" && p.event == resolvedAlert {
		return errors.New("I6: a resolved alert made an object")
	}
	saw, target, now := sawLast(p.answers, name)
	surely, maybe := quietAsked(saw, now)
	switch {
	case verb == "create" && slices.ContainsFunc(saw, active):
		return fmt.Errorf("I1: %s was made while another is active", name)
	case verb == "create" && surely:
		return fmt.Errorf("I1: %s was made while the last one asks for quiet", name)
	case verb == "patch" && !active(target) && !maybe:
		return fmt.Errorf("I1: an alert was counted on %s, which has ended", name)
	}
	return nil
}

// sawLast is what a handler's last List showed, and an object as it last saw it.
func sawLast(answers []answer, name string) (saw []object, target object, now time.Time) {
	for _, a := range answers {
		switch {
		case a.err != nil:
		case a.call == list || a.call == listLabelled || a.call == recall:
			saw, now = a.seen, a.now
		case a.call == listOthers:
			saw = append(slices.Clip(saw), slices.DeleteFunc(slices.Clone(a.seen), func(o object) bool { return o.fingerprint != signal.Fingerprint })...)
		}
		for _, o := range a.seen {
			if o.name == name {
				target = o
			}
		}
	}
	return saw, target, now
}

// checkResolved judges a resolved alert that marked nothing: the last List that
// its handler made showed nothing active.
func checkResolved(answers []answer, p *progress) error {
	saw, _, _ := sawLast(answers, "")
	last := answers[len(answers)-1].call
	switch {
	case p.call != "" || p.event != resolvedAlert || strings.HasPrefix(last, "patch"):
		return nil
	case !strings.HasPrefix(last, list):
		return errors.New("I4: a resolved alert marked nothing, and nobody looked")
	}
	saw = slices.DeleteFunc(slices.Clone(saw), func(o object) bool { return !active(o) })
	if len(saw) > 0 && slices.MinFunc(saw, byAge).lastResolved.IsZero() {
		return errors.New("I4: a resolved alert did not mark the active object")
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
		case o.ours && int(o.count) != len(o.events) && !r.prunes:
			return fmt.Errorf("I2: %s counts %d but has %d keys", o.name, o.count, len(o.events))
		}
		if err := checkAlerts(o); err != nil && !r.prunes {
			return err
		}
		same = append(same, o)
		if active(o) && o.ours {
			ours = append(ours, o)
		}
	}
	for _, o := range r.deleted {
		if err := checkAlerts(o.object); err != nil && !r.prunes && o.fingerprint == signal.Fingerprint {
			return err
		}
	}
	if len(ours) > 1 {
		return fmt.Errorf("I1: twins %s and %s", ours[0].name, ours[1].name)
	}
	isForeign := func(o object) bool { return !o.ours && active(o) }
	if len(ours) > 0 && r.Setup == "foreign" && r.undisturbed() && slices.ContainsFunc(same, isForeign) {
		return fmt.Errorf("I1: %s is active beside a foreign object", ours[0].name)
	}
	return r.checkAccepted(same)
}

// checkAlerts judges what an object says of the alerts that were counted on it:
// each but its own is named once, unless there are too many, and nothing else is.
func checkAlerts(o object) error {
	came, named := map[alert]bool{}, map[alert]bool{o.alert: true}
	for key := range o.events {
		came[alertOf(key)] = true
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

// checkAccepted checks what became of the events.
func (r *run) checkAccepted(same []object) error {
	// What is being deleted keeps no record for long; what others deleted had
	// its record until then.
	record := slices.DeleteFunc(slices.Clone(same), func(o object) bool { return o.deleting })
	for _, o := range r.deleted {
		record = append(record, o.object)
	}
	first := map[string]Outcome{}
	for i, d := range r.deliveries {
		switch {
		case d.err != nil:
			return fmt.Errorf("handler %d: %w", i, d.err)
		case d.lost || d.event == resolvedAlert:
			continue
		}
		for j, key := range strings.Split(d.event, ",") {
			if _, _, ok := recorded(record, key); !ok && !r.prunes {
				return fmt.Errorf("I3: %s was accepted and is on no object", key)
			}
			if on := where(record, key); len(on) > 1 && r.repeatable() {
				return fmt.Errorf("I2: %s is counted on %v", key, on)
			}
			if o := d.outcomes[j]; o.Reason.Decision() == mapping.New && r.objects[o.Name] != nil && !r.seen[o.Name].ours {
				return fmt.Errorf("I4: %s was told that it made %s, which is foreign", key, o.Name)
			}
			before, ok := first[key]
			if ok && r.repeatable() && (before.Count != d.outcomes[j].Count || before.Reason.Decision() != d.outcomes[j].Reason.Decision()) {
				return fmt.Errorf("I4: %s was answered %v and %v", key, before, d.outcomes[j])
			}
			first[key] = d.outcomes[j]
		}
	}
	if quiet, _ := quietAsked(same, r.now); len(first) > 0 && !quiet && r.undisturbed() && !slices.ContainsFunc(same, active) {
		return errors.New("I1: alerts were accepted and no object is active")
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

// repeatable tells that a redelivery must get the first answer. A deletion can
// make it the first one again, a key that moved to a foreign object was never
// answered as new, without a record nobody knows, and the end of a back-off is
// no write that the other delivery could lose against.
func (r *run) repeatable() bool {
	return len(r.deleted) == 0 && r.objects["foreign"] == nil && !r.prunes &&
		(r.left.Wait == r.Budget.Wait || !strings.Contains(r.Setup, "back-off"))
}
