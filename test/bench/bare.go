package bench

import (
	"context"
	"fmt"
	"slices"
)

// The bare client's scenarios.
const (
	bareCreate     = "bare create"
	bareCreateHalf = "bare create, half rate"
	// bareCreateAlone is what an alert alone is held against.
	bareCreateAlone = "bare create, one at a time"
	barePatch       = "bare patch"
	barePatchHalf   = "bare patch, half rate"
	barePatchOne    = "bare patch, one object"
	bareMixture     = "bare mixture"
	// barePatchTurns shows what contention costs barePatchOne.
	barePatchTurns = "bare patch, one object, one at a time"
)

// bare measures what the API server gives to a client that looks at nothing and
// asks for no precondition.
func (b *bench) bare(ctx context.Context, s space, round int, needed []string) ([]Measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioTimeout)
	defer cancel()
	t := bareTrial{b, s, added(s.size)}
	var all []Measurement
	for _, step := range []struct {
		names []string
		run   func(ctx context.Context, n int) ([]Measurement, error)
	}{
		{[]string{bareCreate, bareCreateHalf}, t.creates},
		{[]string{bareCreateAlone}, t.createsAlone},
		{[]string{barePatch, barePatchHalf}, t.patches},
		{[]string{barePatchOne, barePatchTurns}, t.patchesOfOne},
		{[]string{bareMixture}, t.mixture},
	} {
		n := 0
		for i, name := range step.names {
			if slices.Contains(needed, name) {
				n = i + 1
			}
		}
		if n == 0 {
			continue
		}
		made, err := step.run(ctx, n)
		if err != nil {
			return all, fmt.Errorf("%s: %w", step.names[0], err)
		}
		for i := range made {
			made[i].Scenario = step.names[i]
		}
		b.record(s, round, 0, nil, made)
		all = append(all, made...)
	}
	return all, nil
}

type bareTrial struct {
	*bench
	space
	limit int
}

// call measures a load of bare calls and checks that a new run has as many
// objects as were created.
func (t bareTrial) call(ctx context.Context, run string, l load, created func(n int) int, do operation) (Measurement, error) {
	// The connection is open before the measurement.
	if _, err := t.api.bare.Namespace(t.namespace).List(ctx, one); err != nil {
		return Measurement{}, fmt.Errorf("listing one object: %w", err)
	}
	m, err := t.measure(ctx, nil, 1, l, do)
	if err != nil {
		return m, err
	}
	made, err := t.api.rows(ctx, t.namespace, run)
	if err != nil {
		return m, err
	}
	if want := created(m.Alerts); len(made) != want {
		return m, fmt.Errorf("wrong result: %d objects, and %d were created", len(made), want)
	}
	return m, nil
}

func (t bareTrial) creates(ctx context.Context, n int) ([]Measurement, error) {
	return t.createsUnder(ctx, n, closed(t.options.Workers, t.limit, t.options.duration()))
}

func (t bareTrial) createsAlone(ctx context.Context, n int) ([]Measurement, error) {
	return t.createsUnder(ctx, n, closed(1, recurrences, t.options.duration()))
}

// createsUnder measures creates under a load and, if n is 2, at half the rate that
// it came to.
func (t bareTrial) createsUnder(ctx context.Context, n int, l load) ([]Measurement, error) {
	var all []Measurement
	for range n {
		run := t.newRun()
		m, err := t.call(ctx, run, l, func(n int) int { return n }, func(ctx context.Context, i int) error {
			return t.template.create(ctx, t.api.bare.Namespace(t.namespace), run, i)
		})
		if err != nil {
			return nil, err
		}
		all = append(all, m)
		if err := t.api.remove(ctx, t.namespace, run); err != nil {
			return nil, err
		}
		l = paced(m.PerSecond/2, t.limit, t.options.duration())
	}
	return all, nil
}

// over makes objects, lets a function use them, and removes them.
func (t bareTrial) over(ctx context.Context, n int, use func(run string) error) error {
	run := t.newRun()
	objects := t.api.bare.Namespace(t.namespace)
	err := each(ctx, workers, n, func(ctx context.Context, i int) error { return t.template.create(ctx, objects, run, i) })
	if err != nil {
		return err
	}
	if err := use(run); err != nil {
		return err
	}
	return t.api.remove(ctx, t.namespace, run)
}

func (t bareTrial) patches(ctx context.Context, n int) ([]Measurement, error) {
	var all []Measurement
	err := t.over(ctx, knownObjects, func(run string) error {
		l, first := closed(t.options.Workers, maxOperations, t.options.duration()), 0
		for range n {
			m, err := t.call(ctx, run, l, func(int) int { return knownObjects }, t.patch(run, knownObjects, first))
			if err != nil {
				return err
			}
			all = append(all, m)
			first += m.Alerts
			l = paced(m.PerSecond/2, maxOperations, t.options.duration())
		}
		return nil
	})
	return all, err
}

func (t bareTrial) patchesOfOne(ctx context.Context, n int) ([]Measurement, error) {
	var all []Measurement
	err := t.over(ctx, 1, func(run string) error {
		first := 0
		for _, concurrency := range []int{workers, 1}[:n] {
			m, err := t.call(ctx, run, closed(concurrency, maxOperations, t.options.duration()), func(int) int { return 1 }, t.patch(run, 1, first))
			if err != nil {
				return err
			}
			all = append(all, m)
			first += m.Alerts
		}
		return nil
	})
	return all, err
}

func (t bareTrial) mixture(ctx context.Context, _ int) ([]Measurement, error) {
	var all []Measurement
	err := t.over(ctx, knownObjects, func(run string) error {
		fresh, patch := t.newRun(), t.patch(run, knownObjects, 0)
		l := bursts(burst, burstPause, t.limit*newEvery, t.options.duration())
		m, err := t.call(ctx, fresh, l, func(n int) int { return n / newEvery }, func(ctx context.Context, i int) error {
			if isNew, nth := mixed(i); !isNew {
				return patch(ctx, nth)
			}
			return t.template.create(ctx, t.api.bare.Namespace(t.namespace), fresh, i)
		})
		if err != nil {
			return err
		}
		all = append(all, m)
		return t.api.remove(ctx, t.namespace, fresh)
	})
	return all, err
}

// patch counts on a run's n objects in turn; first is how often it did before.
func (t bareTrial) patch(run string, n, first int) operation {
	objects := t.api.bare.Namespace(t.namespace)
	return func(ctx context.Context, i int) error {
		return t.template.count(ctx, objects, run, (first+i)%n, (first+i)/n)
	}
}
