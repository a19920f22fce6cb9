package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// Options say what to measure, and with what.
type Options struct {
	// API is [Full] or [Embedded].
	API              string
	Sizes, Processes []int
	Rounds           int
	// Workers is how many events are under way at once, where a scenario does not
	// say otherwise.
	Workers int
	// Seconds is how long one measurement takes at most.
	Seconds float64
	// Only chooses scenarios by name; nil takes all.
	Only *regexp.Regexp
	// Store has DataStorage take the audit events, and not a sink that keeps none.
	Store bool
	// Self is the path of this very binary.
	Self string
	// Progress takes a line for each step.
	Progress io.Writer
}

func (o Options) duration() time.Duration { return time.Duration(o.Seconds * float64(time.Second)) }

func (o Options) chosen() []scenario {
	return slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool {
		return o.Only != nil && !slices.ContainsFunc(s.names, o.Only.MatchString)
	})
}

type bench struct {
	options  Options
	function string
	dir      string
	// id makes the ids of this benchmark's events unlike any other's.
	id      string
	api     *api
	sink    *process
	sinkURL string
	http    *http.Client
	events  atomic.Int64
	runs    int
	raw     []Measurement
}

// Run measures all that the options ask for. It returns what it has measured
// with an error too.
func Run(ctx context.Context, o Options) (raw []Measurement, err error) {
	if len(o.chosen()) == 0 {
		return nil, fmt.Errorf("no scenario has a name like %s", o.Only)
	}
	dir, err := os.MkdirTemp("", "onefire-bench")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, id: strconv.FormatInt(time.Now().UnixNano(), 36)}
	b.http = &http.Client{Timeout: callTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: maxOpen}}
	if b.function, err = absolute(filepath.Join(binaries, "onefire")); err != nil {
		return nil, err
	}
	b.progress("starting the %s API server", o.API)
	if o.API == Full {
		b.api, err = startFull(ctx, dir)
	} else {
		b.api, err = startEmbedded(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopAll(b.api.processes)) }()
	if b.sink, b.sinkURL, err = startSink(ctx, dir, o.Self, o.Store); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.sink.stop()) }()
	for _, size := range o.Sizes {
		if err := b.size(ctx, size); err != nil {
			return b.raw, fmt.Errorf("size %d: %w", size, err)
		}
	}
	return b.raw, b.failures()
}

// size measures all rounds in one namespace size. Smaller ones come before
// larger ones are filled, so that they share the API server with little.
func (b *bench) size(ctx context.Context, size int) error {
	s, err := b.prepare(ctx, size)
	if err != nil {
		return err
	}
	rounds := b.options.Rounds
	if size >= large {
		rounds = 1
	}
	for round := 1; round <= rounds; round++ {
		for _, processes := range b.options.Processes {
			for _, sc := range b.options.chosen() {
				// Right before, because an API server slows down with what it
				// has done, and a machine with what else it does.
				var made []Measurement
				bare, err := b.bare(ctx, s, round, sc.bare)
				if err == nil {
					made, err = b.try(ctx, s, sc, processes)
				}
				for i := range made {
					made[i].Scenario = sc.names[i]
					compare(&made[i], bare, sc.bare[i])
				}
				if ctx.Err() != nil {
					return fmt.Errorf("interrupted: %w", context.Cause(ctx))
				}
				b.record(s, round, processes, err, made, sc.names[len(made):]...)
			}
		}
	}
	return nil
}

// try runs a scenario on functions of its own. The measurements that it returns
// beside an error are complete.
func (b *bench) try(ctx context.Context, s space, sc scenario, processes int) (made []Measurement, err error) {
	ctx, cancel := context.WithTimeout(ctx, scenarioTimeout)
	defer cancel()
	t := trial{bench: b, space: s, in: s.namespace, limit: added(s.size)}
	if sc.known {
		t.in = s.known
	}
	if sc.remembered {
		if err := b.settle(ctx, s); err != nil {
			return nil, err
		}
	}
	if t.functions, err = b.startFunctions(ctx, t.in, processes, sc.environment...); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stopAll(t.functions.processes())) }()
	if err := t.warmUp(ctx, sc.remembered); err != nil {
		return nil, fmt.Errorf("warming up: %w", err)
	}
	return sc.run(t, ctx)
}

// warmUp opens the functions' connections and, if asked to, shows each of them
// every known fingerprint.
func (t trial) warmUp(ctx context.Context, known bool) error {
	run := t.newRun()
	show := func(run string, fingerprints, n int) error {
		for _, f := range t.functions {
			err := each(ctx, warmWorkers, n, func(ctx context.Context, i int) error {
				return t.postTo(ctx, f, t.events.Add(1), newAlert(run, i%fingerprints))
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
	if err := show(run, warmWorkers, warmUp); err != nil {
		return err
	}
	if known {
		if err := show(knownRun, knownObjects, knownObjects); err != nil {
			return err
		}
	}
	return t.api.remove(ctx, t.in, run)
}

// compare holds a measurement against the bare client's right before it.
func compare(m *Measurement, bare []Measurement, name string) {
	for _, other := range bare {
		if other.Scenario == name {
			m.P99OfBare = ratio(m.P99, other.P99)
			if !other.paced() {
				m.OfBare = ratio(m.PerSecond, other.PerSecond)
			}
		}
	}
}

// record keeps what was measured, and the names of what could not be.
func (b *bench) record(s space, round, processes int, err error, made []Measurement, failed ...string) {
	for _, name := range failed {
		m := Measurement{Scenario: name}
		if err != nil {
			m.Failure = err.Error()
		}
		made = append(made, m)
	}
	for _, m := range made {
		m.API, m.Size, m.Round, m.Processes = b.options.API, s.size, round, processes
		b.raw = append(b.raw, m)
		b.progress("size %d, round %d, %s", s.size, round, m)
	}
}

// failures is an error that names every scenario that does not count.
func (b *bench) failures() error {
	var all []error
	for _, m := range b.raw {
		if m.Failure != "" {
			all = append(all, fmt.Errorf("size %d, round %d, %s", m.Size, m.Round, m))
		}
	}
	return errors.Join(all...)
}

// newRun is the name of a run; everything that it makes carries it.
func (b *bench) newRun() string {
	b.runs++
	return fmt.Sprintf("run-%d", b.runs)
}

func (b *bench) progress(format string, args ...any) {
	fmt.Fprintf(b.options.Progress, "%s "+format+"\n", append([]any{time.Now().Format(time.TimeOnly)}, args...)...)
}
