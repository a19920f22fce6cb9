package bench

import (
	"bytes"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func exampleReport() Report {
	o := Options{Rounds: 1, Seconds: 5}
	return NewReport(o, []Measurement{
		{Scenario: bareCreate, PerSecond: 1000, P50: 50, P99: 80, Calls: map[string]float64{"POST": 1}},
		{Processes: 1, Scenario: "new", PerSecond: 900.4, OfBare: 0.9, P50: 60, P99: 96, P99OfBare: 1.2,
			Calls: map[string]float64{"POST": 1, "LIST": 0.25, "GET": 0.001}, PeakRSS: 31.4, IdleRSS: 16},
		{Processes: 1, Scenario: "repeats", Failure: "the function answered 503"},
	})
}

func TestTextIsAligned(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, exampleReport().Text(&b))
	lines := strings.Split(b.String(), "\n")
	require.Contains(t, lines[2], "LIST 0.25, POST 1.00", "rare calls are left out")
	require.Equal(t, strings.Index(lines[0], "per s"), strings.Index(lines[2], "900"))
	require.Contains(t, strings.Join(strings.Fields(lines[2]), " "), " 900 0.90 60.0 96.0 1.2 ")
	require.Contains(t, lines[3], "FAILED")
	require.Len(t, strings.Fields(lines[3]), len(header), "a dash for each figure that is missing")
	require.Contains(t, lines[4], "Medians of 1 rounds of up to 5 s")
}

func TestJSONHoldsTheRounds(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, exampleReport().JSON(&b))
	require.Contains(t, b.String(), `"failure": "the function answered 503"`)
	require.Contains(t, b.String(), `"raw": [`)
}

func TestGrowthDrawsALineForEachReport(t *testing.T) {
	r := NewReport(Options{}, []Measurement{
		{Processes: 1, Scenario: "new alone, 0 ended", P50: 12.5},
		{Processes: 1, Scenario: "new alone, 1000 ended", P50: 180},
		{Processes: 1, Scenario: "new", OfBare: 0.9},
		{Processes: 3, Scenario: "new", OfBare: 0.111},
		{Processes: 1, Scenario: "new", Size: 20_000, OfBare: 0.71},
	})
	var b bytes.Buffer
	require.NoError(t, Growth(&b, []string{"now", "<before>"}, []Report{r, exampleReport()}))
	require.Equal(t, 4, strings.Count(b.String(), "<polyline"), "two lines in each of two charts")
	require.Equal(t, 2+2+0+1, strings.Count(b.String(), "<circle"))
	for _, text := range []string{">180<", ">0.71<", ">20,000<", ">1,000<", "&lt;before&gt;"} {
		require.Contains(t, b.String(), text)
	}
	require.NotContains(t, b.String(), "0.11", "of three functions")
	require.NoError(t, xml.Unmarshal(b.Bytes(), new(any)))
}
