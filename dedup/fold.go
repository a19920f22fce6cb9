package dedup

import (
	"cmp"
	"slices"
	"time"

	"onefire/mapping"
)

// alert is what people call an alert by. Alerts of one fingerprint can differ in
// it: by name where resources are counted, and by severity always.
type alert struct {
	name     string
	severity mapping.Severity
}

// folded is an alert that was counted on an object that another one made.
type folded struct {
	alert
	// firstSeen is when the first of them was counted, in whole seconds; zero
	// where that is not known.
	firstSeen time.Time
}

// folds are the alerts that were folded into an object.
type folds struct {
	// others are different from each other and from the object's own alert, in
	// the order of byWeight, and at most [MaxAlerts].
	others []folded
	// omitted tells that there were more, none of them more severe.
	omitted bool
}

// byWeight orders alerts from the most to the least severe, and those of one
// severity as they came.
func byWeight(a, b folded) int {
	return cmp.Or(cmp.Compare(a.severity.Rank(), b.severity.Rank()), a.firstSeen.Compare(b.firstSeen),
		cmp.Compare(a.name, b.name), cmp.Compare(a.severity, b.severity))
}

// fold adds alerts to those of an object. It is idempotent, and the order in
// which alerts come makes no difference.
func (o object) fold(added ...folded) folds {
	f := folds{slices.Clone(o.others), o.omitted}
	for _, a := range added {
		if a.alert == o.alert {
			continue
		}
		if i := slices.IndexFunc(f.others, func(b folded) bool { return a.alert == b.alert }); i >= 0 {
			if !a.firstSeen.Before(f.others[i].firstSeen) {
				continue
			}
			f.others = slices.Delete(f.others, i, i+1)
		}
		at, _ := slices.BinarySearchFunc(f.others, a, byWeight)
		f.others = slices.Insert(f.others, at, a)
		if len(f.others) > MaxAlerts {
			f.others, f.omitted = f.others[:MaxAlerts], true
		}
	}
	return f
}

// alerts are all that an object stands for.
func (o object) alerts() []folded {
	return append([]folded{{o.alert, o.createdAt}}, o.others...)
}

// patch puts what differs from an object's own folds into a patch of its
// status.deduplication. The list goes as a whole: a patch is refused when
// anybody has changed it since it was read.
func (f folds) patch(o object, deduplication map[string]any) (changed bool) {
	if !slices.Equal(f.others, o.others) {
		list := make([]any, len(f.others))
		for i, a := range f.others {
			entry := map[string]any{"alertname": a.name, "severity": string(a.severity)}
			if !a.firstSeen.IsZero() {
				entry["firstSeenAt"] = stamp(a.firstSeen)
			}
			list[i] = entry
		}
		deduplication["alerts"], changed = list, true
	}
	if f.omitted && !o.omitted {
		deduplication["alertsOmitted"], changed = true, true
	}
	return changed
}
