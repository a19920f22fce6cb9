package source

import (
	"context"
	"net/http"
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"onefire/function/telemetry"
)

// receiving starts the span of a webhook. It begins a trace, unless the sender sends a
// trace context; Alertmanager sends none.
func (s *Source) receiving(ctx context.Context, r *http.Request) (context.Context, trace.Span) {
	if s.tracer == nil {
		return ctx, telemetry.NoSpan
	}
	ctx = trace.ContextWithRemoteSpanContext(ctx, telemetry.ParseTraceparent(r.Header.Get("Traceparent")))
	return s.tracer.Start(ctx, http.MethodPost+" "+webhookPath, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String(telemetry.AttrMethod, http.MethodPost), attribute.String(telemetry.AttrRoute, webhookPath)))
}

// received ends the span of a webhook.
func received(span trace.Span, a *answer) {
	defer span.End()
	span.SetAttributes(attribute.Int(telemetry.AttrStatus, a.status))
	if a.status != http.StatusOK {
		telemetry.Fail(span, strconv.Itoa(a.status), a.reason)
	}
}

// describe adds the content of a webhook to its span.
func (w *webhook) describe(span trace.Span) {
	span.SetAttributes(attribute.Int(telemetry.AttrAlerts, len(w.alerts)))
	if w.truncated > 0 {
		span.SetAttributes(attribute.Int64(telemetry.AttrTruncated, w.leftOut()))
	}
}

// sending starts the span of an event. The event carries the span's trace context.
func (d *delivery) sending(ctx context.Context, i int) (context.Context, trace.Span) {
	if d.tracer == nil {
		return ctx, telemetry.NoSpan
	}
	p := d.drafts[i]
	about := telemetry.EventSpan{Operation: "send", ID: d.occurrences[i].id, Source: d.source, SpecVersion: event.CloudEventsVersionV1, Type: p.eventType}
	attributes := about.Attributes()
	if name := p.extensions["alertname"]; name != "" {
		attributes = append(attributes, attribute.String(telemetry.AttrAlert, telemetry.Cut(name)))
	}
	return d.tracer.Start(ctx, about.Name(), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attributes...))
}
