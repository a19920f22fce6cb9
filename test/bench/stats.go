package bench

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// percentile is the nearest-rank percentile in milliseconds; 0 for nothing.
func percentile(latencies []time.Duration, p float64) float64 {
	if len(latencies) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(latencies))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[min(max(rank, 1), len(sorted))-1]) / float64(time.Millisecond)
}

// median is the middle value, or the mean of the two middle ones; 0 for nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// ratio is 0 where there is nothing to compare with.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// medians folds the rounds of each scenario into one measurement, in the order
// in which they first ran. A scenario that failed in any round has failed.
func medians(raw []Measurement) []Measurement {
	type group struct {
		api, scenario   string
		size, processes int
	}
	var order []group
	rounds := map[group][]Measurement{}
	for _, m := range raw {
		g := group{m.API, m.Scenario, m.Size, m.Processes}
		if rounds[g] == nil {
			order = append(order, g)
		}
		rounds[g] = append(rounds[g], m)
	}
	out := make([]Measurement, 0, len(order))
	for _, g := range order {
		out = append(out, fold(rounds[g]))
	}
	slices.SortStableFunc(out, func(a, b Measurement) int {
		return cmp.Or(cmp.Compare(a.Size, b.Size), cmp.Compare(a.Processes, b.Processes))
	})
	return out
}

func fold(rounds []Measurement) Measurement {
	of := func(field func(Measurement) float64) float64 {
		values := make([]float64, len(rounds))
		for i, m := range rounds {
			values[i] = field(m)
		}
		return median(values)
	}
	m := rounds[0]
	m.Round = 0
	for _, r := range rounds {
		m.Failure = cmp.Or(m.Failure, r.Failure)
	}
	m.Alerts = int(of(func(m Measurement) float64 { return float64(m.Alerts) }))
	m.Seconds = of(func(m Measurement) float64 { return m.Seconds })
	m.PerSecond = of(func(m Measurement) float64 { return m.PerSecond })
	m.OfBare = of(func(m Measurement) float64 { return m.OfBare })
	m.P50, m.P99 = of(func(m Measurement) float64 { return m.P50 }), of(func(m Measurement) float64 { return m.P99 })
	m.P99OfBare = of(func(m Measurement) float64 { return m.P99OfBare })
	m.CPU = CPU{
		APIServer: of(func(m Measurement) float64 { return m.CPU.APIServer }),
		Functions: of(func(m Measurement) float64 { return m.CPU.Functions }),
		Sink:      of(func(m Measurement) float64 { return m.CPU.Sink }),
		Bench:     of(func(m Measurement) float64 { return m.CPU.Bench }),
	}
	m.PeakRSS = of(func(m Measurement) float64 { return m.PeakRSS })
	m.IdleRSS = of(func(m Measurement) float64 { return m.IdleRSS })
	verbs := map[string]float64{}
	for _, r := range rounds {
		for verb := range r.Calls {
			verbs[verb] = of(func(m Measurement) float64 { return m.Calls[verb] })
		}
	}
	m.Calls = verbs
	return m
}
