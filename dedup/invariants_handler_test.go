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
			// An object that both Lists show counts as the first one showed it.
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
