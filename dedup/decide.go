package dedup

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

type action int

const (
	// settled: every key is on record, or there is nothing to note.
	settled action = iota
	// count: add the missing keys to the object.
	count
	// create: create an object with that name.
	create
	// merge: add the duplicate's record to the object, and delete the duplicate.
	merge
	// wait: list again when no object older than this one can appear any more.
	wait
)

// verdict is what to do next, and why.
type verdict struct {
	action action
	reason mapping.Reason
	// object is the object to change; for a create it is the predecessor.
	object    object
	duplicate object
	name      string
	missing   []string
}

// past is everything that a handler knows when it decides.
type past struct {
	// objects are all objects of the fingerprint, in any order.
	objects []object
	// keys are the occurrences to settle.
	keys []string
	// created is the UID of the object that this handler created and has not acknowledged
	// yet; empty if there is none.
	created types.UID
	// takenNames are names that belong to another fingerprint.
	takenNames map[string]bool
	// waitedFor are the objects that this handler has already waited for, see
	// [object.tooYoung].
	waitedFor map[types.UID]bool
	now       time.Time
}

// decide is the deduplication decision. It is a pure function: the same past always gives
// the same verdict.
func decide(fingerprint string, p past) verdict {
	active, terminal := split(p.objects)
	if survivor, duplicate, ok := duplicates(active, p.created, p.now); ok {
		return verdict{action: merge, object: survivor, duplicate: duplicate}
	}
	if i := slices.IndexFunc(active, func(o object) bool { return !p.waitedFor[o.uid] && o.tooYoung(p.now) }); i >= 0 {
		return verdict{action: wait, object: active[i]}
	}
	missing := slices.DeleteFunc(slices.Clone(p.keys), func(key string) bool {
		_, _, ok := recorded(p.objects, key)
		return ok
	})
	if len(missing) == 0 {
		return verdict{action: settled}
	}
	if len(active) > 0 {
		oldest := slices.MinFunc(active, byAge)
		reason := mapping.Active
		if !oldest.ours {
			reason = mapping.ActiveForeign
		}
		return verdict{action: count, reason: reason, object: oldest, missing: missing}
	}
	before := last(terminal)
	if reason, ok := before.quiet(p.now); ok {
		return verdict{action: count, reason: reason, object: before, missing: missing}
	}
	reason := mapping.FirstSeen
	if len(terminal) > 0 {
		reason = mapping.Recurred
	}
	return verdict{action: create, reason: reason, object: before, name: nameAfter(before, fingerprint, p.now, p.takenNames), missing: missing}
}

func split(objects []object) (active, terminal []object) {
	for _, o := range objects {
		if o.terminal() {
			terminal = append(terminal, o)
		} else {
			active = append(active, o)
		}
	}
	return active, terminal
}

// duplicates finds an active object that must be deleted, the duplicate, and the
// survivor, which takes over its record. Objects of other programs are never deleted. An
// object of ours yields to one of them only as long as it is the one that this handler
// created and has not acknowledged.
//
// Of our own objects the oldest survives, with one exception: if no controller works on
// the oldest, but one works on an object that is older than [settledAge], that object
// survives. Such a pair does not come from a race. It comes from a restored etcd, or from
// somebody who made an ended object active again, and a repair that is running must not
// be deleted.
func duplicates(active []object, created types.UID, now time.Time) (survivor, duplicate object, ok bool) {
	var ours, foreign []object
	for _, o := range active {
		switch {
		case !o.ours:
			foreign = append(foreign, o)
		case o.uid == created:
			duplicate = o
			ours = append(ours, o)
		default:
			ours = append(ours, o)
		}
	}
	if len(foreign) > 0 && duplicate.uid != "" {
		return slices.MinFunc(foreign, byAge), duplicate, true
	}
	if len(ours) < 2 {
		return object{}, object{}, false
	}
	slices.SortFunc(ours, byAge)
	worked := slices.IndexFunc(ours, func(o object) bool { return o.phase != "" && now.Sub(o.createdAt) >= settledAge })
	if worked > 0 {
		return ours[worked], ours[0], true
	}
	return ours[0], ours[1], true
}

// recorded finds the object that has a key on record, and the entry for it. If two
// objects have the key, one may be a duplicate whose record was already merged. recorded
// then prefers the object that stays.
func recorded(objects []object, key string) (found object, did recordEntry, ok bool) {
	for _, o := range objects {
		if m, has := o.events[key]; has && (!ok || !o.terminal() || found.deleting) {
			found, did, ok = o, m, true
		}
	}
	return found, did, ok
}
