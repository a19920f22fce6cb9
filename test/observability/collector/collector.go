package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
)

// maxKept is how many exports of each signal are kept until they are taken, the
// newest: more than an hour's of a few services.
const maxKept = 4096

// Collector keeps what it is sent. Make it with [Start].
type Collector struct {
	receivers []component.Component
	came      func()

	mu      sync.Mutex
	traces  []ptrace.Traces
	metrics []pmetric.Metrics
}

// Start listens on an address, like 127.0.0.1:4318, for OTLP over HTTP, until
// [Collector.Stop]. came is called after each export; it may be nil.
func Start(ctx context.Context, address string, came func()) (*Collector, error) {
	factory := otlpreceiver.NewFactory()
	settings := receiver.Settings{
		ID:                component.NewID(factory.Type()),
		TelemetrySettings: componenttest.NewNopTelemetrySettings(),
		BuildInfo:         component.NewDefaultBuildInfo(),
	}
	config := factory.CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{
		"protocols": map[string]any{"http": map[string]any{"endpoint": address}},
	}).Unmarshal(config)
	if err != nil {
		return nil, fmt.Errorf("configuring the receiver: %w", err)
	}
	c := &Collector{came: came}
	if came == nil {
		c.came = func() {}
	}
	takeTraces, errTraces := consumer.NewTraces(c.takeTraces)
	takeMetrics, errMetrics := consumer.NewMetrics(c.takeMetrics)
	if err := errors.Join(errTraces, errMetrics); err != nil {
		return nil, fmt.Errorf("making consumers: %w", err)
	}
	traces, errTraces := factory.CreateTraces(ctx, settings, config, takeTraces)
	metrics, errMetrics := factory.CreateMetrics(ctx, settings, config, takeMetrics)
	if err := errors.Join(errTraces, errMetrics); err != nil {
		return nil, fmt.Errorf("making the receiver: %w", err)
	}
	c.receivers = []component.Component{traces, metrics} // They share one server.
	for _, r := range c.receivers {
		if err := r.Start(ctx, componenttest.NewNopHost()); err != nil {
			return nil, errors.Join(fmt.Errorf("listening on %s: %w", address, err), c.Stop(ctx))
		}
	}
	return c, nil
}

// Stop answers what is under way, and ends.
func (c *Collector) Stop(ctx context.Context) error {
	var errs []error
	for _, r := range c.receivers {
		errs = append(errs, r.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

func (c *Collector) takeTraces(_ context.Context, t ptrace.Traces) error {
	c.mu.Lock()
	defer c.came()
	defer c.mu.Unlock()
	c.traces = kept(c.traces, t)
	return nil
}

func (c *Collector) takeMetrics(_ context.Context, m pmetric.Metrics) error {
	c.mu.Lock()
	defer c.came()
	defer c.mu.Unlock()
	c.metrics = kept(c.metrics, m)
	return nil
}

func kept[T any](all []T, one T) []T {
	if len(all) == maxKept {
		all = all[1:]
	}
	return append(all, one)
}

// Take returns the exports of spans and of metrics that came since it was called
// last, in the order in which they came.
func (c *Collector) Take() ([]ptrace.Traces, []pmetric.Metrics) {
	c.mu.Lock()
	defer c.mu.Unlock()
	traces, metrics := c.traces, c.metrics
	c.traces, c.metrics = nil, nil
	return traces, metrics
}
