package function

import (
	"context"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"onefire/mapping"
)

// delivered is what became of an audit event.
type delivered string

const (
	stored      delivered = "stored"
	setAside    delivered = "set_aside"
	lost        delivered = "lost"
	unavailable delivered = "unavailable"
)

// metrics counts what is decided. Its attributes have few values: names,
// namespaces and fingerprints of alerts are for the log.
type metrics struct {
	requests, alerts, audits metric.Int64Counter
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	m := &metrics{}
	for _, c := range []struct {
		counter           *metric.Int64Counter
		name, description string
	}{
		{&m.requests, "onefire.requests", "Requests by the status that they were answered with."},
		{&m.alerts, "onefire.alerts", "Alerts by decision and reason, each time that their event is delivered."},
		{&m.audits, "onefire.audit.events", "Audit events by what became of them: stored, set_aside (refused for good, and in the log), unavailable (the alert's event comes again), or lost (AUDIT_MODE is best-effort)."},
	} {
		var err error
		if *c.counter, err = meter.Int64Counter(c.name, metric.WithDescription(c.description)); err != nil {
			return nil, fmt.Errorf("making metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) request(ctx context.Context, status int) {
	m.requests.Add(ctx, 1, metric.WithAttributes(attribute.String("status", strconv.Itoa(status))))
}

func (m *metrics) alert(ctx context.Context, r mapping.Reason) {
	m.alerts.Add(ctx, 1, metric.WithAttributes(attribute.String("decision", string(r.Decision())), attribute.String("reason", r.String())))
}

func (m *metrics) audit(ctx context.Context, what delivered) {
	m.audits.Add(ctx, 1, metric.WithAttributes(attribute.String("result", string(what))))
}
