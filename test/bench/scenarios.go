package bench

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// completed is a status patch that makes an object inactive.
var completed = []byte(`{"status":{"overallPhase":"Completed"}}`)

// one is the least that can be listed.
var one = metav1.ListOptions{Limit: 1}

// scenario is a kind of load on functions.
type scenario struct {
	// names are the measurements that it makes, and bare the ones of the bare
	// client that they are held against.
	names, bare []string
	// known: it takes place among the known fingerprints.
	known bool
	// remembered: each function has seen each known fingerprint once before,
	// when that was old enough to be remembered.
	remembered bool
	// environment is what the functions have beside their usual variables.
	environment []string
	run         func(trial, context.Context) ([]Measurement, error)
}

// scenarios are in the order of their running: those that need old
// fingerprints come last.
var scenarios = []scenario{
	{names: alone, bare: slices.Repeat([]string{bareCreateAlone}, len(alone)), environment: []string{"HISTORY_LIMIT=0"}, run: trial.alone},
	{names: []string{"new", "new, half rate"}, bare: []string{bareCreate, bareCreateHalf}, run: trial.fresh},
	{names: []string{fmt.Sprintf("new, %d per event", batchAlerts)}, bare: []string{bareCreate}, run: trial.batches},
	{names: []string{"storm, one fingerprint"}, bare: []string{barePatchTurns}, run: trial.storm},
	{names: []string{"recurrences after terminal"}, bare: []string{bareCreate}, run: trial.recurrences},
	{names: []string{"repeats, cold"}, bare: []string{barePatch}, known: true, run: trial.cold},
	{names: []string{"repeats", "repeats, half rate"}, bare: []string{barePatch, barePatchHalf}, known: true, remembered: true, run: trial.repeats},
	{names: []string{"mixed, 80 % repeats, bursts"}, bare: []string{bareMixture}, known: true, remembered: true, run: trial.mixture},
}

// trial is one run of a scenario.
type trial struct {
	*bench
	space
	functions fleet
	// in is the namespace of the functions.
	in    string
	limit int
}

// fresh sends new alerts, each an event of its own.
func (t trial) fresh(ctx context.Context) ([]Measurement, error) {
	var all []Measurement
	l := closed(t.options.Workers, t.limit, t.options.duration())
	for range 2 {
		m, err := t.newAlerts(ctx, l, 1)
		if err != nil {
			return all, err
		}
		all = append(all, m)
		l = paced(m.PerSecond/2, t.limit, t.options.duration())
	}
	return all, nil
}

// batches sends new alerts, a hundred in each event.
func (t trial) batches(ctx context.Context) ([]Measurement, error) {
	events := max(t.limit/batchAlerts, 3*batchWorkers)
	m, err := t.newAlerts(ctx, closed(batchWorkers, events, t.options.duration()), batchAlerts)
	return []Measurement{m}, err
}

func (t trial) newAlerts(ctx context.Context, l load, perEvent int) (Measurement, error) {
	run := t.newRun()
	m, err := t.measure(ctx, t.functions, perEvent, l, func(ctx context.Context, i int) error {
		alerts := make([]alert, perEvent)
		for j := range alerts {
			alerts[j] = newAlert(run, i*perEvent+j)
		}
		return t.post(ctx, t.functions, alerts...)
	})
	if err != nil {
		return m, err
	}
	if err := t.api.counted(ctx, t.in, run, m.Alerts, 0, m.Alerts); err != nil {
		return m, err
	}
	return m, t.api.remove(ctx, t.in, run)
}

// storm sends one alert over and over.
func (t trial) storm(ctx context.Context) ([]Measurement, error) {
	run := t.newRun()
	m, err := t.measure(ctx, t.functions, 1, closed(stormWorkers, maxOperations, t.options.duration()), func(ctx context.Context, _ int) error {
		return t.post(ctx, t.functions, newAlert(run, 0))
	})
	if err != nil {
		return nil, err
	}
	if err := t.api.counted(ctx, t.in, run, 1, 0, m.Alerts); err != nil {
		return nil, err
	}
	return []Measurement{m}, t.api.remove(ctx, t.in, run)
}

// recurrences sends alerts whose last object is done.
func (t trial) recurrences(ctx context.Context) ([]Measurement, error) {
	run := t.newRun()
	send := func(ctx context.Context, i int) error { return t.post(ctx, t.functions, newAlert(run, i)) }
	if err := each(ctx, workers, recurring, send); err != nil {
		return nil, err
	}
	made, err := t.api.rows(ctx, t.in, run)
	if err != nil {
		return nil, err
	}
	objects := t.api.objects.Namespace(t.in)
	err = each(ctx, workers, len(made), func(ctx context.Context, i int) error {
		if _, err := objects.Patch(ctx, made[i].name, types.MergePatchType, completed, metav1.PatchOptions{}, "status"); err != nil {
			return fmt.Errorf("completing %s: %w", made[i].name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	m, err := t.measure(ctx, t.functions, 1, closed(t.options.Workers, recurring, scenarioTimeout), send)
	if err != nil {
		return nil, err
	}
	if err := t.api.counted(ctx, t.in, run, recurring, recurring, recurring+m.Alerts); err != nil {
		return nil, err
	}
	return []Measurement{m}, t.api.remove(ctx, t.in, run)
}

// cold sends one repeat of each known fingerprint to functions that have not
// seen it.
func (t trial) cold(ctx context.Context) ([]Measurement, error) {
	m, err := t.onKnown(ctx, closed(t.options.Workers, knownObjects, scenarioTimeout), t.repeat, func(n int) int { return n })
	return []Measurement{m}, err
}

// repeats sends repeats of the known fingerprints in turn.
func (t trial) repeats(ctx context.Context) ([]Measurement, error) {
	var all []Measurement
	l := closed(t.options.Workers, maxOperations, t.options.duration())
	for range 2 {
		m, err := t.onKnown(ctx, l, t.repeat, func(n int) int { return n })
		if err != nil {
			return all, err
		}
		all = append(all, m)
		l = paced(m.PerSecond/2, maxOperations, t.options.duration())
	}
	return all, nil
}

func (t trial) repeat(ctx context.Context, i int) error {
	return t.post(ctx, t.functions, newAlert(knownRun, i%knownObjects))
}

// mixture sends what comes in an outage.
func (t trial) mixture(ctx context.Context) ([]Measurement, error) {
	run := t.newRun()
	l := bursts(burst, burstPause, t.limit*newEvery, t.options.duration())
	m, err := t.onKnown(ctx, l, func(ctx context.Context, i int) error {
		isNew, nth := mixed(i)
		if isNew {
			return t.post(ctx, t.functions, newAlert(run, nth))
		}
		return t.repeat(ctx, nth)
	}, func(n int) int { return n - n/newEvery })
	if err != nil {
		return nil, err
	}
	fresh := m.Alerts / newEvery
	if err := t.api.counted(ctx, t.in, run, fresh, 0, fresh); err != nil {
		return nil, err
	}
	return []Measurement{m}, t.api.remove(ctx, t.in, run)
}

// onKnown measures a load and checks that the known fingerprints count all of
// their repeats, of which there are repeats(n) in n alerts.
func (t trial) onKnown(ctx context.Context, l load, do operation, repeats func(n int) int) (Measurement, error) {
	before, err := t.api.rows(ctx, t.in, knownRun)
	if err != nil {
		return Measurement{}, err
	}
	m, err := t.measure(ctx, t.functions, 1, l, do)
	if err != nil {
		return m, err
	}
	total := repeats(m.Alerts)
	for _, r := range before {
		total += int(r.count)
	}
	return m, t.api.counted(ctx, t.in, knownRun, knownObjects, 0, total)
}

// mixed tells whether the i-th alert of the mixture is a new one, and its place
// among those of its kind.
func mixed(i int) (isNew bool, nth int) {
	if i%newEvery == 0 {
		return true, i / newEvery
	}
	return false, i - i/newEvery - 1
}
