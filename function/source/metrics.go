package source

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// result is the outcome of an event.
type result string

const (
	sent        result = "sent"
	again       result = "again"
	setAside    result = "set_aside"
	unavailable result = "unavailable"
)

// metrics counts webhooks and events. Its attributes have few values, so the names of
// alerts are only in the log.
type metrics struct {
	webhooks, events, truncated metric.Int64Counter
	taken, watchdog             metric.Int64Gauge
}

// newMetrics ignores errors: a meter has one only for a name that is not valid.
func newMetrics(meter metric.Meter) *metrics {
	m := &metrics{}
	for _, c := range []struct {
		counter           *metric.Int64Counter
		name, description string
	}{
		{&m.webhooks, "onefire.source.webhooks", "Webhooks by the status that they were answered with."},
		{&m.events, "onefire.source.events", "Events by outcome: sent, again (this replica has sent it, or is sending it), set_aside (refused for good, and in the log), or unavailable (Alertmanager sends the webhook again)."},
		{&m.truncated, "onefire.source.truncated.alerts", "Alerts that Alertmanager left out because of the receiver's max_alerts. They never arrive."},
	} {
		*c.counter, _ = meter.Int64Counter(c.name, metric.WithDescription(c.description))
	}
	for _, g := range []struct {
		gauge             *metric.Int64Gauge
		name, description string
	}{
		{&m.taken, "onefire.source.last.webhook.timestamp", "When the last webhook was answered 2xx, in Unix seconds."},
		{&m.watchdog, "onefire.source.last.watchdog.timestamp", "When the alert that always fires (WATCHDOG) was last sent on, in Unix seconds."},
	} {
		*g.gauge, _ = meter.Int64Gauge(g.name, metric.WithDescription(g.description), metric.WithUnit("s"))
	}
	return m
}

func (m *metrics) webhook(ctx context.Context, status int, now time.Time) {
	m.webhooks.Add(ctx, 1, metric.WithAttributes(attribute.String("status", strconv.Itoa(status))))
	if status == http.StatusOK {
		m.taken.Record(ctx, now.Unix())
	}
}

func (m *metrics) event(ctx context.Context, r result) {
	m.events.Add(ctx, 1, metric.WithAttributes(attribute.String("result", string(r))))
}
