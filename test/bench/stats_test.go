package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100-i) * time.Millisecond
	}
	for name, c := range map[string]struct {
		latencies []time.Duration
		p, want   float64
	}{
		"nothing":                               {nil, 50, 0},
		"one value is every percentile":         {hundred[:1], 1, 100},
		"the middle, whatever the order":        {hundred, 50, 50},
		"the 99th of a hundred is no maximum":   {hundred, 99, 99},
		"the 100th is the maximum":              {hundred, 100, 100},
		"the 99th of two is the larger of both": {[]time.Duration{time.Second, time.Millisecond}, 99, 1000},
	} {
		require.InDelta(t, c.want, percentile(c.latencies, c.p), 1e-9, name)
	}
	require.Equal(t, 100*time.Millisecond, hundred[0], "the input is not sorted in place")
}

func TestMedian(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   float64
	}{
		"nothing":                     {nil, 0},
		"an odd number, out of order": {[]float64{9, 1, 2}, 2},
		"an even number: the mean":    {[]float64{4, 1, 2, 9}, 3},
		"an outlier does not move it": {[]float64{1, 1, 1000}, 1},
	} {
		require.InDelta(t, c.want, median(c.values), 1e-9, name)
	}
}

func TestMediansFoldRoundsOfOneScenario(t *testing.T) {
	raw := []Measurement{
		{Size: 2000, Round: 1, Processes: 1, Scenario: "new", PerSecond: 100, Calls: map[string]float64{"POST": 1}},
		{Size: 0, Round: 1, Processes: 3, Scenario: "new", PerSecond: 7},
		{Size: 0, Round: 1, Processes: 1, Scenario: "new", PerSecond: 10, Calls: map[string]float64{"POST": 1, "LIST": 2}},
		{Size: 0, Round: 2, Processes: 1, Scenario: "new", PerSecond: 30, Calls: map[string]float64{"POST": 1}},
		{Size: 0, Round: 3, Processes: 1, Scenario: "new", PerSecond: 20, Calls: map[string]float64{"POST": 1, "LIST": 1}},
	}
	got := medians(raw)
	require.Len(t, got, 3)
	require.InDelta(t, 20, got[0].PerSecond, 0)
	require.Equal(t, map[string]float64{"POST": 1, "LIST": 1}, got[0].Calls, "a verb that a round lacks counts as 0")
	require.Equal(t, 3, got[1].Processes, "functions of one size are in order")
	require.Equal(t, 2000, got[2].Size, "sizes are in order")
	require.Zero(t, got[0].Round)
}

func TestAScenarioThatFailedOnceHasFailed(t *testing.T) {
	got := medians([]Measurement{{Scenario: "new", PerSecond: 10}, {Scenario: "new", Failure: "503"}, {Scenario: "new", PerSecond: 10}})
	require.Len(t, got, 1)
	require.Equal(t, "503", got[0].Failure)
}

func TestCompareHoldsAgainstTheOneOfThatName(t *testing.T) {
	bare := []Measurement{
		{Scenario: bareCreate, PerSecond: 100, P99: 10},
		{Scenario: bareCreateHalf, PerSecond: 50, P99: 2},
	}
	m := Measurement{PerSecond: 80, P99: 20}
	compare(&m, bare, bareCreate)
	require.InDelta(t, 0.8, m.OfBare, 1e-9)
	require.InDelta(t, 2, m.P99OfBare, 1e-9)
	m = Measurement{PerSecond: 40, P99: 3}
	compare(&m, bare, bareCreateHalf)
	require.Zero(t, m.OfBare, "a rate that was given says nothing")
	require.InDelta(t, 1.5, m.P99OfBare, 1e-9)
	m = Measurement{PerSecond: 40, P99: 3}
	compare(&m, bare, barePatch)
	require.Zero(t, m.P99OfBare, "there is nothing to compare with")
}
