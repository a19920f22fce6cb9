package cmd

import (
	"cmp"
	"slices"
	"time"

	"onefire/function/kube"
	"onefire/mapping"
)

// mapped is a label set with its target and fingerprint.
type mapped struct {
	*labelSet
	signal mapping.Signal
	// how tells how the target was found with TARGET=owner.
	how kube.OwnerResult
	// bad are the labels whose value cannot be the name of a Kubernetes object.
	bad []string
	// reason is why no alert of the label set makes an object; it is zero if they make
	// one.
	reason mapping.Reason
	// made is how many objects its alerts made, and repeated how many of its other
	// notifications were counted.
	made, repeated int
}

// last is when the label set fired last, in Unix milliseconds.
func (p *mapped) last() int64 { return p.fires[len(p.fires)-1].end }

// object is a RemediationRequest that the simulation made.
type object struct {
	// end is when the last of its alerts ended, in Unix milliseconds.
	end int64
	// sets are the label sets that were counted on it; the first one made it.
	sets []*mapped
}

// simulate returns the objects that the fires of all label sets would have made. On each
// label set it notes what the label set made and how often it was counted.
//
// A fire is a notification when it begins, and another one after each repeat interval
// while it lasts. A notification makes an object if its fingerprint has no active one, and
// is counted on the active one otherwise. An object is active while one of the alerts that
// were counted on it fires. No controller is simulated, which could end the object
// earlier or later.
func simulate(all []*mapped, repeat time.Duration) []*object {
	type burning struct {
		fire
		set *mapped
	}
	byFingerprint := map[string][]burning{}
	var order []string
	for _, p := range all {
		if p.reason != 0 {
			continue
		}
		key := p.signal.Fingerprint
		if byFingerprint[key] == nil {
			order = append(order, key)
		}
		for _, f := range p.fires {
			byFingerprint[key] = append(byFingerprint[key], burning{f, p})
		}
	}
	var objects []*object
	for _, key := range order {
		fires := byFingerprint[key]
		slices.SortStableFunc(fires, func(a, b burning) int { return cmp.Compare(a.start, b.start) })
		var active *object
		for _, f := range fires {
			notifications := 1 + int((f.end-f.start)/repeat.Milliseconds())
			if active == nil || f.start > active.end {
				active = &object{}
				objects = append(objects, active)
				f.set.made++
				notifications--
			}
			f.set.repeated += notifications
			active.end = max(active.end, f.end)
			if !slices.Contains(active.sets, f.set) {
				active.sets = append(active.sets, f.set)
			}
		}
	}
	return objects
}
