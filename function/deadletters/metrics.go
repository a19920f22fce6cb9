package deadletters

import (
	"context"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics counts the events that arrive, and reports the dead letters that are kept.
type metrics struct {
	requests, letters metric.Int64Counter
}

// newMetrics makes the instruments. Each scrape calls waiting; if that fails there is no
// value.
func newMetrics(meter metric.Meter, waiting func(context.Context) (usage, error)) (*metrics, error) {
	m := &metrics{}
	var err error
	if m.requests, err = meter.Int64Counter("onefire.deadletters.requests",
		metric.WithDescription("Requests by the status that they were answered with.")); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	if m.letters, err = meter.Int64Counter("onefire.deadletters.received",
		metric.WithDescription("Dead letters by outcome: kept, kept_already (delivered again), refused (for good, and in the log), full (no room), or unavailable (no API server).")); err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	count, err := meter.Int64ObservableGauge("onefire.deadletters.waiting",
		metric.WithDescription("Dead letters that wait for a replay."))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	size, err := meter.Int64ObservableGauge("onefire.deadletters.waiting.size", metric.WithUnit("By"),
		metric.WithDescription("What they take, as they are kept."))
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	_, err = meter.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		// An error would hold back all other metrics of an OTLP export.
		if s, err := waiting(ctx); err == nil {
			o.ObserveInt64(count, int64(s.letters))
			o.ObserveInt64(size, s.bytes)
		}
		return nil
	}, count, size)
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) request(ctx context.Context, status int) {
	m.requests.Add(ctx, 1, metric.WithAttributes(attribute.String("status", strconv.Itoa(status))))
}

func (m *metrics) letter(ctx context.Context, what outcome) {
	m.letters.Add(ctx, 1, metric.WithAttributes(attribute.String("result", string(what))))
}
