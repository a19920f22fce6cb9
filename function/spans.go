package function

import (
	"context"
	"net/http"
	"strconv"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"onefire/audit"
	"onefire/function/receive"
	"onefire/function/telemetry"
	"onefire/mapping"
)

// hopKey is the context's key of the trace context in a request's header.
type hopKey struct{}

// withHop keeps the trace context of a request's header.
func (o *observer) withHop(ctx context.Context, header http.Header) context.Context {
	if o.tracer == nil {
		return ctx
	}
	return context.WithValue(ctx, hopKey{}, telemetry.ParseTraceparent(header.Get("Traceparent")))
}

// startEvent starts the span of an event. Its parent is the event's own trace context,
// which the maker of the event set. The header's trace context changes with each hop and
// with each attempt of a Broker, so the span only links to it. It is the parent of an
// event without its own trace context.
func (o *observer) startEvent(ctx context.Context, e event.Event) (context.Context, trace.Span) {
	if o.tracer == nil {
		return ctx, telemetry.NoSpan
	}
	hop, _ := ctx.Value(hopKey{}).(trace.SpanContext)
	parent := telemetry.ParseTraceparent(traceparent(e))
	about := telemetry.EventSpan{Operation: "process", ID: e.ID(), Source: e.Source(), SpecVersion: e.SpecVersion(), Type: e.Type(), Subject: e.Subject()}
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(about.Attributes()...)}
	switch {
	case !parent.IsValid():
		parent = hop
	case hop.SpanID() != parent.SpanID(): // The SDK leaves out a link to no span.
		options = append(options, trace.WithLinks(trace.Link{SpanContext: hop}))
	}
	return o.tracer.Start(trace.ContextWithRemoteSpanContext(ctx, parent), about.Name(), options...)
}

// endEvent ends the span of an event. Alerts that did not have to be settled have no span
// of their own; the event's span describes the first of them.
func endEvent(span trace.Span, a receive.Answer, results []result, truncated uint64) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.Int(telemetry.AttrAlerts, len(results)), attribute.Int(telemetry.AttrStatus, a.Status))
	if truncated > 0 {
		span.SetAttributes(attribute.Int64(telemetry.AttrTruncated, int64(min(truncated, 1<<32))))
	}
	told := 0
	for i := range results {
		if r := &results[i]; told < maxSpanAlerts && (r.reason == mapping.Malformed || r.reason.Decision() == mapping.Filtered) {
			span.AddEvent("alert", trace.WithAttributes(r.attributes()...))
			told++
		}
	}
	if a.Status != http.StatusOK {
		telemetry.Fail(span, strconv.Itoa(a.Status), a.Reason)
	}
}

// attributes describe the decision on an alert.
func (r *result) attributes() []attribute.KeyValue {
	all := telemetry.Texts(telemetry.AttrAlert, telemetry.Cut(r.signal.Name), telemetry.AttrFingerprint, r.signal.Fingerprint,
		telemetry.AttrDecision, string(r.reason.Decision()), telemetry.AttrReason, r.reason.String())
	if r.name != "" {
		all = append(all, attribute.String(telemetry.AttrRequest, r.signal.Namespace+"/"+r.name), attribute.Int(telemetry.AttrCount, int(r.count)))
	}
	return all
}

// startGroup starts the span of the alerts of one fingerprint.
func (o *observer) startGroup(ctx context.Context) (context.Context, trace.Span) {
	if o.tracer == nil {
		return ctx, telemetry.NoSpan
	}
	return o.tracer.Start(ctx, "settle")
}

// endSpan ends that span. Its attributes are those of the first alert. If there are more
// alerts, the span has a span event for each of the first of them.
func (g *group) endSpan(span trace.Span) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	all := g.all()
	for n, r := range all {
		if n == 0 {
			span.SetAttributes(append(r.attributes(), attribute.Int(telemetry.AttrAlerts, len(all)))...)
		}
		if len(all) > 1 && n < maxSpanAlerts {
			span.AddEvent("alert", trace.WithAttributes(r.attributes()...))
		}
		switch {
		case r.reason == 0:
			telemetry.Fail(span, errPanic.Error(), errPanic.Error())
		case r.err != nil:
			telemetry.Fail(span, r.reason.String(), r.err.Error())
		}
	}
}

// startAudit starts the span of an audit event. The audit event carries the span's trace
// context.
func (o *observer) startAudit(ctx context.Context, a *auditEvent) {
	a.span = telemetry.NoSpan
	if o.tracer == nil {
		return
	}
	e := &a.event
	about := telemetry.EventSpan{Operation: "send", ID: audit.EventID(e.Source, e.ID, e.Alert, e.Type), Source: "onefire",
		SpecVersion: event.CloudEventsVersionV1, Type: e.Type, Subject: e.Subject}
	_, a.span = o.tracer.Start(ctx, about.Name(), trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(about.Attributes()...))
	e.Traceparent, e.Span = telemetry.Outgoing(a.span, e.Traceparent), a.span
}

// endAudit ends that span.
func endAudit(span trace.Span, result delivered, err error) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String(telemetry.AttrResult, string(result)))
	if result != stored {
		reason := "refused for good: see the log"
		if result != setAside {
			reason = err.Error()
		}
		telemetry.Fail(span, string(result), reason)
	}
}
