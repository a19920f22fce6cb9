package cmd

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// fire is one alert that burned without a long pause: its first and its last
// sample, in Unix milliseconds.
type fire struct{ start, end int64 }

// labelSet is an alert as its rule made it, and all of its fires, in order.
type labelSet struct {
	labels map[string]string
	fires  []fire
}

// history is what fired: the label sets with their fires.
type history struct {
	// gap is the longest pause between two samples of one fire, in milliseconds.
	gap int64
	// add are labels that an alert gets where it has none of that name, as
	// Prometheus adds its external labels; drop are names of labels that it loses.
	add  map[string]string
	drop []string

	sets  map[string]*labelSet
	fires int
	// first is the earliest sample; zero where there is none.
	first moment
}

// newHistory makes one for samples that are a step apart.
func newHistory(step time.Duration, add map[string]string, drop []string) *history {
	// Two steps: one sample may be missing.
	return &history{gap: max(minGap, 2*step).Milliseconds(), add: add, drop: drop, sets: map[string]*labelSet{}}
}

// take adds the samples of some series. Series may come in several parts, in any
// order and with overlaps, and several may be of one label set.
func (h *history) take(some []series) error {
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

// labels are those of the alert, as Alertmanager got them: ALERTS has its own
// name and the alert's state beside them.
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

// sorted are the label sets in an order that is the same each time.
func (h *history) sorted() []*labelSet {
	all := make([]*labelSet, 0, len(h.sets))
	for _, key := range slices.Sorted(maps.Keys(h.sets)) {
		all = append(all, h.sets[key])
	}
	return all
}

// id is a label set in one text.
func id(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name + "\xff" + labels[name] + "\xff")
	}
	return b.String()
}

// runs are the fires that samples in the order of time make.
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

// merge puts fires in the order of time, and makes one of those that have no
// long pause between them.
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
