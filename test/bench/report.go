package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is a benchmark's result.
type Report struct {
	Date    time.Time     `json:"date"`
	System  string        `json:"system"`
	CPUs    int           `json:"cpus"`
	Go      string        `json:"go"`
	Rounds  int           `json:"rounds"`
	Seconds float64       `json:"seconds"`
	Medians []Measurement `json:"medians"`
	Raw     []Measurement `json:"raw"`
}

// NewReport folds what was measured.
func NewReport(o Options, raw []Measurement) Report {
	return Report{
		Date: time.Now().UTC().Truncate(time.Second), System: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), Go: runtime.Version(),
		Rounds: o.Rounds, Seconds: o.Seconds, Medians: medians(raw), Raw: raw,
	}
}

// JSON writes everything, the raw rounds too.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// header names the columns of the table.
var header = []string{
	"size", "functions", "scenario", "per s", "of bare", "p50 ms", "p99 ms", "p99 of bare", "API calls per alert",
	"CPU API", "function", "sink", "bench", "RSS peak", "idle",
}

// Text writes the medians as a table for a terminal.
func (r Report) Text(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(header, "\t"))
	for _, m := range r.Medians {
		fmt.Fprintln(t, strings.Join(m.cells(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	fmt.Fprintln(w, r.legend())
	return nil
}

func (r Report) legend() string {
	return fmt.Sprintf("Medians of %d rounds of up to %g s each; %d CPUs (%s, %s), %s. CPU in seconds for 1,000 alerts, memory in MiB.",
		r.Rounds, r.Seconds, r.CPUs, r.System, r.Go, r.Date.Format(time.DateOnly))
}

func (m Measurement) cells() []string {
	functions := fmt.Sprint(m.Processes)
	if m.Processes == 0 {
		functions = "-"
	}
	cells := []string{fmt.Sprint(m.Size), functions, m.Scenario}
	if m.Failure != "" {
		cells = append(cells, "FAILED")
		return append(cells, slices.Repeat([]string{"-"}, len(header)-len(cells))...)
	}
	return append(cells,
		number(m.PerSecond, 0), number(m.OfBare, 2), number(m.P50, 1), number(m.P99, 1), number(m.P99OfBare, 1), m.verbs(),
		number(m.CPU.APIServer, 2), number(m.CPU.Functions, 2), number(m.CPU.Sink, 2), number(m.CPU.Bench, 2),
		number(m.PeakRSS, 0), number(m.IdleRSS, 0))
}

// number writes what is not there as a dash.
func number(v float64, digits int) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.*f", digits, v)
}

// verbs writes the calls by verb; what happened once in two hundred alerts, or
// less often, is no part of the way of an alert.
func (m Measurement) verbs() string {
	const least = 0.005
	var parts []string
	for _, verb := range slices.Sorted(maps.Keys(m.Calls)) {
		if n := m.Calls[verb]; n >= least {
			parts = append(parts, fmt.Sprintf("%s %.2f", verb, n))
		}
	}
	return strings.Join(parts, ", ")
}

// String is a measurement in one line.
func (m Measurement) String() string {
	if m.Failure != "" {
		return fmt.Sprintf("%s (%d functions): FAILED: %s", m.Scenario, m.Processes, m.Failure)
	}
	return fmt.Sprintf("%s (%d functions): %.0f/s, %s of bare, p50 %.1f ms, p99 %.1f ms; %d in %.1f s; %s",
		m.Scenario, m.Processes, m.PerSecond, number(m.OfBare, 2), m.P50, m.P99, m.Alerts, m.Seconds, m.verbs())
}
