package function

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// buckets are the upper bounds of durations, in seconds: from a fast API server to
// [eventTimeout], which no event exceeds.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25}

// metrics counts decisions. Its attributes have few values, so names, namespaces and
// fingerprints of alerts are only in the log.
type metrics struct {
	requests, alerts, audits, truncated, targets, unrecorded, outdated, longPasts, kubernetesEvents metric.Int64Counter
	durations, calls, deliveries                                                                    metric.Float64Histogram
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	m := &metrics{}
	for _, c := range []struct {
		counter           *metric.Int64Counter
		name, description string
	}{
		{&m.requests, "onefire.requests", "Requests by the status that they were answered with."},
		{&m.alerts, "onefire.alerts", "Alerts by decision and reason, each time that their event is delivered."},
		{&m.targets, "onefire.targets", "With TARGET=owner, targets by how they were found, each time that their alert's event is delivered."},
		{&m.audits, "onefire.audit.events", "Audit events by outcome: stored, set_aside (refused for good, and in the log), unavailable (the alert's event comes again), or lost (AUDIT_MODE is best-effort)."},
		{&m.truncated, "onefire.truncated", "Alerts that Alertmanager left out, as each event says. They never arrive."},
		{&m.outdated, "onefire.history.deleted", "Ended RemediationRequests that were deleted because HISTORY_LIMIT newer ones of their fingerprint are there."},
		{&m.unrecorded, "onefire.unrecorded", "Patches of which the API server said that the CRD keeps no record: a redelivery counts again."},
		{&m.longPasts, "onefire.history.long", "Lists of a fingerprint that has so many RemediationRequests that only the newest ended ones are kept of it."},
		{&m.kubernetesEvents, "onefire.kubernetes.events", "Kubernetes Events by outcome: written, known (the API server had it already), or left_out (too many, or it took none)."},
	} {
		var err error
		if *c.counter, err = meter.Int64Counter(c.name, metric.WithDescription(c.description)); err != nil {
			return nil, fmt.Errorf("making metrics: %w", err)
		}
	}
	for _, h := range []struct {
		histogram         *metric.Float64Histogram
		name, description string
	}{
		{&m.durations, "onefire.request.duration", "How long requests take until their answer is sent, by its status."},
		{&m.calls, "onefire.api.duration", "How long calls of the Kubernetes API take until their answer begins, by verb, resource and code (none: no answer). Each try counts."},
		{&m.deliveries, "onefire.audit.duration", "How long the delivery of the audit events of an event takes, its retries included, for each by what became of it."},
	} {
		var err error
		if *h.histogram, err = meter.Float64Histogram(h.name, metric.WithDescription(h.description), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...)); err != nil {
			return nil, fmt.Errorf("making metrics: %w", err)
		}
	}
	return m, nil
}

// seconds records a duration with labels, each a name and its value.
func seconds(ctx context.Context, h metric.Float64Histogram, d time.Duration, labels ...string) {
	h.Record(ctx, d.Seconds(), metric.WithAttributes(telemetry.Texts(labels...)...))
}

func (m *metrics) request(ctx context.Context, status int, took time.Duration) {
	if m.durations.Enabled(ctx) {
		seconds(ctx, m.durations, took, "status", strconv.Itoa(status))
	}
	m.requests.Add(ctx, 1, metric.WithAttributes(attribute.String("status", strconv.Itoa(status))))
}

func (m *metrics) alert(ctx context.Context, r mapping.Reason) {
	m.alerts.Add(ctx, 1, metric.WithAttributes(attribute.String("decision", string(r.Decision())), attribute.String("reason", r.String())))
}

func (m *metrics) call(ctx context.Context, c apiCall, code string, took time.Duration) {
	seconds(ctx, m.calls, took, "verb", c.verb, "resource", c.resource, "code", code)
}

func (m *metrics) delivery(ctx context.Context, result delivered, took time.Duration) {
	if m.deliveries.Enabled(ctx) {
		seconds(ctx, m.deliveries, took, "result", string(result))
	}
}

func (m *metrics) audit(ctx context.Context, result delivered) {
	m.audits.Add(ctx, 1, metric.WithAttributes(attribute.String("result", string(result))))
}

func (m *metrics) event(what kube.EventResult) {
	m.kubernetesEvents.Add(context.Background(), 1, metric.WithAttributes(attribute.String("result", string(what))))
}

func (m *metrics) target(ctx context.Context, how string) {
	m.targets.Add(ctx, 1, metric.WithAttributes(attribute.String("result", how)))
}

// measurePause adds the metric with the time since when the brake is on. The brake is
// read when the metric is collected.
func measurePause(meter metric.Meter, paused func(context.Context) *dedup.Pause) error {
	_, err := meter.Int64ObservableGauge("onefire.paused.timestamp", metric.WithUnit("s"),
		metric.WithDescription("Since when the brake is on, as Unix time; 0 while it is off."),
		metric.WithInt64Callback(func(ctx context.Context, seen metric.Int64Observer) error {
			ctx, cancel := context.WithTimeout(ctx, gaugeTimeout)
			defer cancel()
			since := int64(0)
			if p := paused(ctx); p != nil {
				since = p.Since.Unix()
			}
			seen.Observe(since)
			return nil
		}))
	if err != nil {
		return fmt.Errorf("making metrics: %w", err)
	}
	return nil
}
