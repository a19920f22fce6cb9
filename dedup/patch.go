package dedup

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Patches are JSON merge patches of the status subresource that carry the
// resourceVersion they were made for: the API server refuses them with a
// conflict when anything about the object has changed since.

func conditional(o object, deduplication map[string]any) map[string]any {
	return map[string]any{
		"metadata": map[string]any{"resourceVersion": o.resourceVersion},
		"status":   map[string]any{"deduplication": deduplication},
	}
}

// countPatch adds keys to an object, and what their events say of alerts. It returns
// the count that each made, and the object as the patch leaves it.
func countPatch(o object, keys []string, said []statement, now time.Time) (patch map[string]any, made map[string]int32, changed object) {
	made, changed = make(map[string]int32, len(keys)), o
	for _, key := range keys {
		changed.count = plus(changed.count, 1)
		made[key] = changed.count
	}
	// The List can be from the second before the one in which the object was made.
	now = later(o.createdAt, now)
	changed.lastSeen = later(o.lastSeen, now)
	events := recordPatch(o, made, patchesKept*len(made))
	d := map[string]any{
		"occurrenceCount": changed.count,
		"lastSeenAt":      stamp(changed.lastSeen),
		"events":          events,
	}
	if o.firstSeen.IsZero() {
		changed.firstSeen = o.createdAt
		d["firstSeenAt"] = stamp(o.createdAt)
	}
	said = slices.Clone(said)
	for i := range said {
		said[i].firstSeen = now.UTC().Truncate(time.Second)
	}
	changed.folds = o.fold(o.self(), said...)
	changed.patch(o, d)
	changed.events = maps.Clone(o.events)
	for key, n := range events {
		switch {
		case n != nil:
			changed.events[key] = made[key]
		case o.events[key] > 1: // The key that made the object is on record elsewhere too.
			delete(changed.events, key)
		}
	}
	return conditional(o, d), made, changed
}

// mergePatch adds a twin's record to its survivor, or is nil when the survivor
// has all of it already. Keys keep the counts that they were answered with, but
// for one that nobody was told of: the key that made the twin, where that is
// this handler's own, fresh one.
func mergePatch(survivor, twin object, own types.UID) map[string]any {
	alerts := map[string]any{}
	survivor.absorb(twin).patch(survivor, alerts)
	if survivor.absorbed[string(twin.uid)] >= twin.count {
		// The twin may have been told since that an alert ended, which counts nothing.
		if len(alerts) == 0 {
			return nil
		}
		return conditional(survivor, alerts)
	}
	fresh := map[string]int32{}
	for key, made := range twin.events {
		if _, ok := survivor.events[key]; !ok {
			fresh[key] = made
		}
	}
	gain := gained(survivor, twin, len(fresh))
	if gain == 0 && len(fresh) == 0 && len(alerts) == 0 {
		return nil
	}
	for i, key := range newestFirst(fresh) {
		if twin.uid == own && fresh[key] == 1 {
			fresh[key] = plus(survivor.count, int32(len(fresh)-i))
		}
	}
	absorbed := map[string]any{string(twin.uid): twin.count}
	for uid, n := range twin.absorbed {
		absorbed[uid] = max(n, survivor.absorbed[uid])
	}
	d := map[string]any{
		"occurrenceCount": plus(survivor.count, gain),
		"lastSeenAt":      stamp(later(survivor.lastSeen, later(twin.lastSeen, twin.createdAt))),
		"events":          recordPatch(survivor, fresh, len(fresh)),
		"absorbed":        absorbed,
	}
	if survivor.firstSeen.IsZero() {
		d["firstSeenAt"] = stamp(survivor.createdAt)
	}
	maps.Copy(d, alerts)
	return conditional(survivor, d)
}

// gained is how many occurrences a twin adds to its survivor; fresh is how many
// keys only the twin has. A key that both have is one occurrence. While every
// occurrence has its key on record, fresh is the answer. Beyond that, absorbed
// says how much was taken over before, so that a healer that comes after a
// crash adds only the rest.
func gained(survivor, twin object, fresh int) int32 {
	if int(twin.count) <= len(twin.events) && len(survivor.events)+fresh <= MaxEvents {
		return int32(fresh)
	}
	taken := survivor.absorbed[string(twin.uid)]
	gain := twin.count - taken
	for key, made := range twin.events {
		if _, both := survivor.events[key]; both && made > taken {
			gain--
		}
	}
	return max(gain, 0)
}

// resolvedPatch adds what is new of what events say of ends: which of the
// statements that is, and the object as the patch leaves it.
func resolvedPatch(o object, said []statement) (patch map[string]any, noted []bool, changed object) {
	own := o.self()
	news, noted := o.news(own, said)
	if len(news) == 0 {
		return nil, noted, o
	}
	d := map[string]any{}
	changed = o
	changed.folds = o.fold(own, news...)
	changed.patch(o, d)
	return conditional(o, d), noted, changed
}

// recordPatch adds keys to an object's record and drops the oldest, those that
// made the lowest counts, beyond [MaxEvents] or how many to keep, if that is more.
// What a storm left goes by and by.
func recordPatch(o object, added map[string]int32, keep int) map[string]any {
	all := maps.Clone(o.events)
	maps.Copy(all, added)
	patch := make(map[string]any, len(added))
	limit := min(max(MaxEvents, keep, len(o.events)*7/8), maxRecord)
	for i, key := range newestFirst(all) {
		made, isNew := added[key]
		switch {
		case i < limit && isNew:
			patch[key] = made
		case i >= limit && !isNew:
			patch[key] = nil
		}
	}
	return patch
}

// newestFirst orders keys by the counts that they made, the highest first.
func newestFirst(events map[string]int32) []string {
	return slices.SortedFunc(maps.Keys(events), func(a, b string) int {
		return cmp.Or(cmp.Compare(events[b], events[a]), cmp.Compare(a, b))
	})
}

// plus saturates: the contract's count is an int32.
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

// stamp is the form of all times in a Kubernetes object.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
