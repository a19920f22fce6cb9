package dedup

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"onefire/mapping"
)

// alert is the identity of one alert among those of its fingerprint, with the name and
// severity that people see.
type alert struct {
	// id is the hash of the alert's labels. Lists that earlier versions wrote have none.
	id       string
	name     string
	severity mapping.Severity
}

// same tells whether two values are the same alert. Without an id, name and severity
// decide.
func (a alert) same(b alert) bool { return a.id == b.id && (a.id != "" || a == b) }

// folded is an alert that is counted on an object that another alert made.
type folded struct {
	alert
	// labels are those that differ from the labels of the object's own alert.
	labels map[string]string
	// firstSeen is when the alert was first counted, in whole seconds; zero if unknown.
	firstSeen time.Time
}

// folds are all alerts that are counted on an object.
type folds struct {
	// others are all but the object's own alert, without repetition, in the order of
	// byWeight, at most [MaxAlerts].
	others []folded
	// omitted tells that others is incomplete. No omitted alert is more severe than those
	// named.
	omitted bool
	// states tells, by alert id, whether an alert fires. It includes the object's own
	// alert.
	states map[string]state
	// lastResolved is when the last of the alerts ended; zero while one of them fires or
	// may fire.
	lastResolved time.Time
}

// byWeight orders alerts from the most to the least severe, and alerts of one severity by
// when they were first counted.
func byWeight(a, b folded) int {
	return cmp.Or(cmp.Compare(a.severity.Rank(), b.severity.Rank()), a.firstSeen.Compare(b.firstSeen),
		cmp.Compare(a.name, b.name), cmp.Compare(a.severity, b.severity), cmp.Compare(a.id, b.id))
}

func bySeverity(a, b alert) int {
	return cmp.Or(cmp.Compare(a.severity.Rank(), b.severity.Rank()), cmp.Compare(a.severity, b.severity))
}

// ownAlert is the alert that made an object, as the labels in the spec give it.
type ownAlert struct {
	alert
	labels map[string]string
}

// fold adds what events say of alerts to what an object knows. It is idempotent, and the
// order of the statements does not matter.
func (o object) fold(own ownAlert, said ...statement) folds {
	f := folds{others: slices.Clone(o.others), omitted: o.omitted || o.unaccounted(), states: maps.Clone(o.states)}
	if f.states == nil && len(said) > 0 {
		f.states = make(map[string]state, len(said))
	}
	for _, s := range said {
		if s.id == "" {
			f.add(s.folded)
			continue
		}
		if s.id == own.id {
			s.firing = later(s.firing, o.firing)
		} else {
			s.labels = differences(own.labels, s.labels)
			f.add(s.folded)
		}
		f.states[s.id] = f.states[s.id].merge(s.state)
	}
	f.forget(own)
	f.lastResolved = f.resolvedAt(own.id, o.ours)
	return f
}

// add puts an alert on the list. If it is already there, the earlier time and the worse
// severity stay, because a change of configuration can give the same alert another
// severity.
func (f *folds) add(a folded) {
	if i := slices.IndexFunc(f.others, func(b folded) bool { return a.same(b.alert) }); i >= 0 {
		known := f.others[i]
		a.labels, a.alert = known.labels, slices.MinFunc([]alert{known.alert, a.alert}, bySeverity)
		if known.firstSeen.Before(a.firstSeen) {
			a.firstSeen = known.firstSeen
		}
		if a.alert == known.alert && a.firstSeen.Equal(known.firstSeen) {
			return
		}
		f.others = slices.Delete(f.others, i, i+1)
	}
	at, _ := slices.BinarySearchFunc(f.others, a, byWeight)
	f.others = slices.Insert(f.others, at, a)
	if len(f.others) > MaxAlerts {
		f.others, f.omitted = f.others[:MaxAlerts], true
	}
}

// forget removes the states of alerts that are not on the list.
func (f *folds) forget(own ownAlert) {
	for id, s := range f.states {
		if id != own.id && !slices.ContainsFunc(f.others, func(a folded) bool { return a.id == id }) {
			f.omitted = f.omitted || !s.hasEnded()
			delete(f.states, id)
		}
	}
}

// absorb adds what a duplicate knows.
func (o object) absorb(duplicate object) folds {
	o.omitted = o.omitted || duplicate.omitted || duplicate.unaccounted()
	return o.fold(o.ownAlert(), duplicate.counted()...)
}

// unaccounted tells that alerts were counted on an object but none is on record, because
// an earlier version or another program counted them.
func (o object) unaccounted() bool { return o.count > 1 && len(o.states) == 0 }

// counted returns all alerts of an object as statements that another object can fold.
func (o object) counted() []statement {
	own := o.ownAlert()
	all := []statement{{folded{own.alert, own.labels, o.createdAt}, state{firing: o.firing}.merge(o.states[own.id])}}
	for _, a := range o.others {
		if a.id != "" {
			a.labels = overlaid(own.labels, a.labels)
		}
		all = append(all, statement{a, o.states[a.id]})
	}
	return all
}

// differences returns the labels of an alert that differ from those of the object's own
// alert, apart from name and severity, which are fields of their own. A label that only
// the object's own alert has maps to an empty value.
func differences(own, labels map[string]string) map[string]string {
	var names []string
	for name, value := range labels {
		if own[name] != value {
			names = append(names, name)
		}
	}
	for name, value := range own {
		if _, ok := labels[name]; !ok && value != "" {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "alertname" || name == "severity" })
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	differ := map[string]string{}
	for _, name := range names[:min(len(names), maxDifferences)] {
		differ[shortened(name, maxDifferingName)] = shortened(labels[name], maxDifferingValue)
	}
	return differ
}

// overlaid is the inverse of differences: it returns the labels of an alert.
func overlaid(own, differ map[string]string) map[string]string {
	labels := maps.Clone(own)
	if labels == nil {
		labels = map[string]string{}
	}
	for name, value := range differ {
		if labels[name] = value; value == "" {
			delete(labels, name)
		}
	}
	return labels
}

// shortened cuts a text to limit bytes.
func shortened(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const more = "…"
	return strings.ToValidUTF8(s[:limit-len(more)], "") + more
}

// show adds to a patch what people read in status.deduplication, if that differs from
// what the object shows. A merge patch writes the list as a whole. That is safe, because
// the patch is refused if the object has changed since it was read.
func (f folds) show(o object, deduplication map[string]any) {
	if o.displayStale || !slices.EqualFunc(f.others, o.others, func(a, b folded) bool { return a.alert == b.alert && a.firstSeen.Equal(b.firstSeen) }) {
		list := make([]any, len(f.others))
		for i, a := range f.others {
			list[i] = a.wire()
		}
		deduplication["alerts"] = list
	}
	if f.omitted && (o.displayStale || !o.omitted) {
		deduplication["alertsOmitted"] = true
	}
	switch {
	case !o.displayStale && f.lastResolved.Equal(o.lastResolved):
	case f.lastResolved.IsZero():
		deduplication["lastResolvedAt"] = nil
	default:
		deduplication["lastResolvedAt"] = formatTime(f.lastResolved)
	}
}

func (a folded) wire() map[string]any {
	entry := map[string]any{"alertname": a.name, "severity": string(a.severity)}
	if a.id != "" {
		entry["id"] = a.id
	}
	if len(a.labels) > 0 {
		labels := make(map[string]any, len(a.labels))
		for name, value := range a.labels {
			labels[name] = value
		}
		entry["labels"] = labels
	}
	if !a.firstSeen.IsZero() {
		entry["firstSeenAt"] = formatTime(a.firstSeen)
	}
	return entry
}
