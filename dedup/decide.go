package dedup

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"onefire/mapping"
)

type action int

const (
	// settled: every key is on record, or there is nothing to mark.
	settled action = iota
	// count: add the missing keys to the object.
	count
	// create: make an object under the name.
	create
	// heal: move the twin's record to the object and delete the twin.
	merge
	// wait: look again when no older object can appear beside the object.
	wait
)

// verdict is what to do next, and why.
type verdict struct {
	action action
	reason mapping.Reason
	// object is the one to change, or to follow.
	object    object
	duplicate object
	name      string
	missing   []string
}

// past is everything that a handler knows when it decides.
type past struct {
	// objects are all of the fingerprint, in any order.
	objects []object
	// keys are the occurrences to settle.
	keys []string
	// fresh is the UID of the object that this very handler made and has not
	// yet acknowledged; empty if it made none.
	created types.UID
	// held are the names that other fingerprints hold.
	takenNames map[string]bool
	// sure are the objects that this handler has waited for: see [object.unsure].
	waitedFor map[types.UID]bool
	now       time.Time
}

// decide is the deduplication decision. It is pure: the same past gives the
// same verdict everywhere.
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

// twins finds an active object that must go, and the one that takes its record.
// A foreign object is respected: it never goes, and ours yields to it only while
// it is fresh, because nobody was told of it yet.
//
// Of ours the oldest stays. Only if no controller works on that, and one works on
// another that is older than [settledAge], the other stays: these are no twins of a
// race, but come of a restored etcd, or of somebody who makes an ended object active
// again. Repairs that are under way must not be deleted.
func duplicates(active []object, created types.UID, now time.Time) (survivor, duplicate object, ok bool) {
	var ours, foreign []object
	for _, o := range active {
		switch {
		case !o.ours:
			foreign = append(foreign, o)
		case o.uid == created && created != "":
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
	if worked > 0 && ours[0].phase == "" {
		return ours[worked], ours[0], true
	}
	return ours[0], ours[1], true
}

// recorded finds the object that has a key on record, and what the key did there. Where there are two, one may be a twin whose record was merged: it
// is not the active one, and it is on its way out.
func recorded(objects []object, key string) (found object, did recordEntry, ok bool) {
	for _, o := range objects {
		if m, has := o.events[key]; has && (!ok || !o.terminal() || found.deleting) {
			found, did, ok = o, m, true
		}
	}
	return found, did, ok
}
