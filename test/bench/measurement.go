package bench

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Measurement is one scenario of one round, or the median of all rounds.
type Measurement struct {
	// API is "full" or "embedded".
	API string `json:"api"`
	// Size is how many objects the namespace held before.
	Size int `json:"size"`
	// Round counts from 1; 0 is the median.
	Round int `json:"round,omitempty"`
	// Processes is how many functions ran; 0 is the bare client.
	Processes int    `json:"processes"`
	Scenario  string `json:"scenario"`
	// Failure says why the scenario does not count; empty if it does.
	Failure string `json:"failure,omitempty"`

	// Alerts is what was settled; for the bare client, its calls.
	Alerts    int     `json:"alerts"`
	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
	// OfBare is PerSecond in relation to the bare client's; 0 for none.
	OfBare float64 `json:"ofBare,omitempty"`
	// P50 and P99 are the latencies of one event in milliseconds.
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	// P99OfBare is P99 in relation to the bare client's; 0 for none.
	P99OfBare float64 `json:"p99OfBare,omitempty"`
	// Calls are the API calls for one alert by verb, as the API server counts.
	Calls map[string]float64 `json:"calls"`
	CPU   CPU                `json:"cpu"`
	// PeakRSS and IdleRSS are the function's memory in MiB, the largest of all
	// processes: in the scenario, and right after the start.
	PeakRSS float64 `json:"peakRSS,omitempty"`
	IdleRSS float64 `json:"idleRSS,omitempty"`
}

// paced tells whether the rate was given, and so says nothing.
func (m Measurement) paced() bool { return strings.HasSuffix(m.Scenario, ", half rate") }

// CPU is processor time in seconds for 1,000 alerts.
type CPU struct {
	// APIServer includes etcd.
	APIServer float64 `json:"apiServer"`
	Functions float64 `json:"functions"`
	Sink      float64 `json:"sink"`
	Bench     float64 `json:"bench"`
}

// measure runs a load and says what it took. alerts is how many one operation
// has. Without functions it measures the bare client.
func (b *bench) measure(ctx context.Context, functions fleet, alerts int, run load, do operation) (Measurement, error) {
	if err := functions.resetPeak(); err != nil {
		return Measurement{}, err
	}
	before, err := b.usage(ctx, functions)
	if err != nil {
		return Measurement{}, err
	}
	s, err := run(ctx, do)
	if err != nil {
		return Measurement{}, err
	}
	after, err := b.usage(ctx, functions)
	if err != nil {
		return Measurement{}, err
	}
	peak, err := functions.peak()
	if err != nil {
		return Measurement{}, err
	}
	n := len(s.latencies) * alerts
	if n == 0 {
		return Measurement{}, fmt.Errorf("nothing was done within %s", s.elapsed.Round(time.Millisecond))
	}
	per1000 := func(before, after time.Duration) float64 { return (after - before).Seconds() * 1000 / float64(n) }
	m := Measurement{
		Processes: len(functions),
		Alerts:    n, Seconds: s.elapsed.Seconds(), PerSecond: float64(n) / s.elapsed.Seconds(),
		P50: percentile(s.latencies, 50), P99: percentile(s.latencies, 99),
		Calls: map[string]float64{},
		CPU: CPU{
			APIServer: per1000(before.api, after.api), Functions: per1000(before.functions, after.functions),
			Sink: per1000(before.sink, after.sink), Bench: per1000(before.bench, after.bench),
		},
		PeakRSS: peak, IdleRSS: functions.idle(),
	}
	for verb, total := range after.calls {
		if made := total - before.calls[verb]; made > 0 {
			m.Calls[verb] = made / float64(n)
		}
	}
	return m, nil
}

// usage is what all sides have used so far.
type usage struct {
	calls                       map[string]float64
	api, functions, sink, bench time.Duration
}

func (b *bench) usage(ctx context.Context, functions fleet) (usage, error) {
	calls, err := b.api.calls(ctx)
	if err != nil {
		return usage{}, err
	}
	u := usage{calls: calls}
	for _, side := range []struct {
		processes []*process
		into      *time.Duration
	}{{b.api.processes, &u.api}, {functions.processes(), &u.functions}, {[]*process{b.sink}, &u.sink}} {
		for _, p := range side.processes {
			t, err := p.cpu()
			if err != nil {
				return usage{}, err
			}
			*side.into += t
		}
	}
	if u.bench, err = ownCPU(); err != nil {
		return usage{}, err
	}
	return u, nil
}
