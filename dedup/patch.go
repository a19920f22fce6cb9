package dedup

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// A change of an object is a JSON merge patch of its status with the resourceVersion of
// the object that was read. If anything about the object has changed since, the API
// server refuses the patch with a conflict. This also protects the conditions of other
// programs, because a merge patch replaces the whole list of conditions.

// patchTo returns the patch that turns o into changed, or nil if they are equal.
func patchTo(o, changed object) map[string]any {
	d, status := map[string]any{}, map[string]any{}
	if changed.count != o.count {
		d["occurrenceCount"] = changed.count
	}
	if !changed.lastSeen.Equal(o.lastSeen) {
		d["lastSeenAt"] = formatTime(changed.lastSeen)
	}
	if !changed.firstSeen.Equal(o.firstSeen) {
		d["firstSeenAt"] = formatTime(changed.firstSeen)
	}
	if o.old || !slices.Equal(changed.record(), o.record()) || !changed.lastResolved.Equal(o.lastResolved) {
		status["conditions"] = changed.conditions()
	} else if len(d) == 0 {
		return nil
	}
	changed.show(o, d)
	if o.old {
		d["events"], d["absorbed"], d["alertStates"] = nil, nil, nil
	}
	if len(d) > 0 {
		status["deduplication"] = d
	}
	return map[string]any{
		"metadata": map[string]any{"resourceVersion": o.resourceVersion},
		"status":   status,
	}
}

// withKeys returns the object with keys counted and their alerts folded, and the entry of
// each key.
func (o object) withKeys(keys []string, said []statement, now time.Time) (made map[string]recordEntry, changed object) {
	made, changed = make(map[string]recordEntry, len(keys)), o
	// The List can be from the second before the one in which the object was created.
	now = later(o.createdAt, now)
	changed.lastSeen = later(o.lastSeen, now)
	for _, key := range keys {
		changed.count = plus(changed.count, 1)
		made[key] = entryAt(changed.count, changed.lastSeen)
	}
	if o.firstSeen.IsZero() {
		changed.firstSeen = o.createdAt
	}
	said = slices.Clone(said)
	for i := range said {
		said[i].firstSeen = now.UTC().Truncate(time.Second)
	}
	changed.folds = o.fold(o.ownAlert(), said...)
	changed.events = o.kept(made, patchesKept*len(made))
	changed.old = false
	return made, changed
}

// withDuplicate returns the object with a duplicate's record added. It changes nothing
// that was already added before. Keys keep the counts that their events were answered
// with. The exception is the key that the duplicate was created for, because its event
// was not answered yet: a handler that lists the duplicate sees the older object too. An
// object of another program can be newer than the duplicate, so there the exception is
// only for the handler's own object.
func (o object) withDuplicate(duplicate object, own types.UID) object {
	changed := o
	changed.folds = o.absorb(duplicate)
	if o.absorbed[string(duplicate.uid)] >= duplicate.count {
		// The duplicate can have noted an end since. An end counts nothing.
		return changed
	}
	fresh := map[string]recordEntry{}
	for key, m := range duplicate.events {
		if _, ok := o.events[key]; !ok {
			fresh[key] = m
		}
	}
	gain := gained(o, duplicate, len(fresh))
	if gain == 0 && len(fresh) == 0 {
		return changed
	}
	changed.count = plus(o.count, gain)
	changed.lastSeen = later(later(o.lastSeen, o.createdAt), later(duplicate.lastSeen, duplicate.createdAt))
	for i, key := range newestFirst(fresh) {
		if fresh[key].count == 1 && (duplicate.uid == own || o.ours) {
			fresh[key] = entryAt(plus(o.count, int32(len(fresh)-i)), changed.lastSeen)
		}
	}
	changed.events = o.kept(fresh, len(fresh))
	changed.absorbed = map[string]int32{string(duplicate.uid): duplicate.count}
	for _, from := range []object{o, duplicate} {
		for uid, n := range from.absorbed {
			changed.absorbed[uid] = max(n, changed.absorbed[uid])
		}
	}
	if o.firstSeen.IsZero() {
		changed.firstSeen = o.createdAt
	}
	return changed
}

// gained is how many occurrences a duplicate adds to its survivor. fresh is how many keys
// only the duplicate has. A key that both have is one occurrence. As long as every
// occurrence has its key on record, the answer is fresh. Otherwise absorbed tells how
// much was taken over before, so a merge that is repeated after a crash adds only the
// rest.
func gained(survivor, duplicate object, fresh int) int32 {
	if int(duplicate.count) <= len(duplicate.events) && len(survivor.events)+fresh <= MinKeys {
		return int32(fresh)
	}
	taken := survivor.absorbed[string(duplicate.uid)]
	gain := duplicate.count - taken
	for key, m := range duplicate.events {
		if _, both := survivor.events[key]; both && m.count > taken {
			gain--
		}
	}
	return max(gain, 0)
}

// withEnds returns the object with the ends that events reported. noted tells, for each
// of them, whether it was new.
func (o object) withEnds(said []statement) (changed object, noted []bool) {
	own := o.ownAlert()
	changed = o
	news, noted := o.unrecordedEnds(own, said)
	if len(news) > 0 {
		changed.folds = o.fold(own, news...)
		changed.old = false
	}
	return changed, noted
}

// kept returns the object's keys together with the added ones. It drops the keys with the
// lowest counts beyond [MinKeys], or beyond keep if that is more. After a storm the
// surplus is removed gradually, an eighth with each patch. The key that the object was
// created for always stays, because it is also in an annotation.
func (o object) kept(added map[string]recordEntry, keep int) map[string]recordEntry {
	all := maps.Clone(o.events)
	maps.Copy(all, added)
	limit := min(max(MinKeys, keep, len(o.events)*7/8), maxKeys)
	for i, key := range newestFirst(all) {
		if i >= limit && key != o.createdFor {
			delete(all, key)
		}
	}
	return all
}

// newestFirst orders keys by their counts, the highest first.
func newestFirst(events map[string]recordEntry) []string {
	return slices.SortedFunc(maps.Keys(events), func(a, b string) int {
		return cmp.Or(cmp.Compare(events[b].count, events[a].count), cmp.Compare(a, b))
	})
}

// plus adds without overflow: the contract's count is an int32.
func plus(count, n int32) int32 {
	if n > math.MaxInt32-count {
		return math.MaxInt32
	}
	return count + n
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// formatTime writes a time in the format of Kubernetes objects.
func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }
