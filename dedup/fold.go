package dedup

import (
	"cmp"
	"maps"
	"slices"
	"time"
	"unicode/utf8"

	"onefire/mapping"
)

// alert is what tells the alerts of one fingerprint apart, and what people call
// them by.
type alert struct {
	// id is the identity of the label set. It is empty in lists of earlier versions.
	id       string
	name     string
	severity mapping.Severity
}

// same tells whether two are one alert. Of those that have no identity, name and
// severity are all that is known.
func (a alert) same(b alert) bool { return a.id == b.id && (a.id != "" || a == b) }

// folded is an alert that was counted on an object that another one made.
type folded struct {
	alert
	// labels are those in which it differs from the object's own alert.
	labels map[string]string
	// firstSeen is when the first of them was counted, in whole seconds; zero
	// where that is not known.
	firstSeen time.Time
}

// folds are the alerts that were counted on an object.
type folds struct {
	// others are different from each other and from the object's own alert, in
	// the order of byWeight, and at most [MaxAlerts].
	others []folded
	// omitted tells that there were more, none of them more severe.
	omitted bool
	// states say of alerts by id, the object's own among them, whether they fire.
	states map[string]state
	// lastResolved is when the last of them ended; zero while one of them fires,
	// or may fire for all that is known.
	lastResolved time.Time
}

// byWeight orders alerts from the most to the least severe, and those of one
// severity as they came.
func byWeight(a, b folded) int {
	return cmp.Or(cmp.Compare(a.severity.Rank(), b.severity.Rank()), a.firstSeen.Compare(b.firstSeen),
		cmp.Compare(a.name, b.name), cmp.Compare(a.severity, b.severity), cmp.Compare(a.id, b.id))
}

func bySeverity(a, b alert) int {
	return cmp.Or(cmp.Compare(a.severity.Rank(), b.severity.Rank()), cmp.Compare(a.severity, b.severity))
}

// self is an object's own alert, as the labels in its spec tell it.
type ownAlert struct {
	alert
	labels map[string]string
}

// fold adds what is said of alerts to what an object knows. It is idempotent, and
// the order in which things are said makes no difference.
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

// add puts an alert on the list. Where it is there already, the earlier time and
// the worse severity stay: configuration can change what a severity is called.
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

// forget drops the states of alerts that are not on the list.
func (f *folds) forget(own ownAlert) {
	for id, s := range f.states {
		if id != own.id && !slices.ContainsFunc(f.others, func(a folded) bool { return a.id == id }) {
			f.omitted = f.omitted || !s.hasEnded()
			delete(f.states, id)
		}
	}
}

// absorb adds what a twin knows.
func (o object) absorb(duplicate object) folds {
	o.omitted = o.omitted || duplicate.omitted || duplicate.unaccounted()
	return o.fold(o.ownAlert(), duplicate.counted()...)
}

// unaccounted tells that alerts were counted on an object and it knows nothing of
// them: by an earlier version, or by somebody else.
func (o object) unaccounted() bool { return o.count > 1 && len(o.states) == 0 }

// counted are all alerts that an object stands for, as another one takes them over.
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

// differences are the labels of an alert that are not those of an object's own,
// without name and severity, which stand beside them. One that only the object's
// own has is empty.
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

// overlaid are the labels that differ from others in that way.
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

// shortened bounds a text to limit bytes.
func shortened(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const more = "…"
	s = s[:limit-len(more)]
	for len(s) > 0 && !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + more
}

// show puts what people read of the folds into a patch of status.deduplication,
// where it is not what they see. The list goes as a whole: a patch is refused when
// anybody has changed it since it was read.
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
