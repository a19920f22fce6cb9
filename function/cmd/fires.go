package cmd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// fire is a time in which one alert fired without a long pause: its first and its last
// sample, in Unix milliseconds.
type fire struct{ start, end int64 }

// labelSet is an alert as its rule made it, and all of its fires, in order.
type labelSet struct {
	labels map[string]string
	fires  []fire
}

// history is the label sets that fired, with their fires.
type history struct {
	// gap is the longest pause between two samples of one fire, in milliseconds.
	gap int64
	// add are labels that an alert gets if it lacks them, as Prometheus adds its external
	// labels. drop are the names of labels that are removed.
	add  map[string]string
	drop []string

	sets  map[string]*labelSet
	fires int
	// first is the earliest sample; it is zero if there is none.
	first moment
}

// newHistory makes a history of samples that are a step apart.
func newHistory(step time.Duration, add map[string]string, drop []string) *history {
	// With two steps, one sample may be missing.
	return &history{gap: max(minGap, 2*step).Milliseconds(), add: add, drop: drop, sets: map[string]*labelSet{}}
}

// addSeries adds the samples of some series. A series may come in several parts, in any order
// and with overlaps. Several series may have the same label set.
func (h *history) addSeries(some []series) error {
	for _, s := range some {
		if len(s.Values) == 0 {
			continue
		}
		labels := h.labels(s.Metric)
		key := id(labels)
		set := h.sets[key]
		if set == nil {
			if len(h.sets) == maxLabelSets {
				return fmt.Errorf("more than %d label sets fired: ask for less with -since, or ask a Prometheus that has fewer rules", maxLabelSets)
			}
			set = &labelSet{labels: labels}
			h.sets[key] = set
		}
		if first := slices.Min(s.Values); h.first == 0 || first < h.first {
			h.first = first
		}
		h.fires -= len(set.fires)
		set.fires = merge(append(set.fires, runs(s.Values, h.gap)...), h.gap)
		if h.fires += len(set.fires); h.fires > maxFires {
			return fmt.Errorf("more than %d fires: ask for less with -since", maxFires)
		}
	}
	return nil
}

// labels are the alert's labels as Alertmanager got them, without those that ALERTS adds:
// its own name and the alert's state.
func (h *history) labels(metric map[string]string) map[string]string {
	labels := maps.Clone(metric)
	delete(labels, "__name__")
	delete(labels, "alertstate")
	for name, value := range h.add {
		if labels[name] == "" {
			labels[name] = value
		}
	}
	for _, name := range h.drop {
		delete(labels, name)
	}
	return labels
}

// sorted returns the label sets in a fixed order.
func (h *history) sorted() []*labelSet {
	all := make([]*labelSet, 0, len(h.sets))
	for _, key := range slices.Sorted(maps.Keys(h.sets)) {
		all = append(all, h.sets[key])
	}
	return all
}

// id is a label set as a single text.
func id(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + "\xff" + labels[name] + "\xff")
	}
	return b.String()
}

// runs returns the fires of samples that are sorted by time.
func runs(samples []moment, gap int64) []fire {
	var all []fire
	for _, m := range samples {
		at := int64(m)
		if n := len(all); n > 0 && at-all[n-1].end <= gap {
			all[n-1].end = max(all[n-1].end, at)
			continue
		}
		all = append(all, fire{at, at})
	}
	return all
}

// merge sorts fires by time and joins those without a long pause between them.
func merge(fires []fire, gap int64) []fire {
	slices.SortFunc(fires, func(a, b fire) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	all := fires[:0]
	for _, f := range fires {
		if n := len(all); n > 0 && f.start-all[n-1].end <= gap {
			all[n-1].end = max(all[n-1].end, f.end)
			continue
		}
		all = append(all, f)
	}
	return all
}
