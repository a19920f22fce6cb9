package telemetry

import (
	"context"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// NoSpan is the span of what is not traced. All of its methods do nothing.
var NoSpan = trace.SpanFromContext(context.Background())

// LiveTracer is a tracer, or nil for one that traces nothing.
func LiveTracer(t trace.Tracer) trace.Tracer {
	if _, off := t.(noop.Tracer); off {
		return nil
	}
	return t
}

// ParseTraceparent reads a traceparent: version, trace, span and flags in lower-case hex.
// What is none gives a context that is not valid. (OpenTelemetry's propagator
// reads and writes contexts and carriers, which an event's extension is not.)
func ParseTraceparent(text string) trace.SpanContext {
	if len(text) != 55 || text[:2] == "ff" || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return trace.SpanContext{}
	}
	if _, err := strconv.ParseUint(text[:2], 16, 8); err != nil {
		return trace.SpanContext{}
	}
	id, err := trace.TraceIDFromHex(text[3:35])
	if err != nil {
		return trace.SpanContext{}
	}
	span, err := trace.SpanIDFromHex(text[36:52])
	if err != nil {
		return trace.SpanContext{}
	}
	flags, err := strconv.ParseUint(text[53:], 16, 8)
	if err != nil {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, Remote: true,
		TraceFlags: trace.TraceFlags(flags) & (trace.FlagsSampled | trace.FlagsRandom)})
}

// FormatTraceparent writes a traceparent; empty for a context that is not valid.
func FormatTraceparent(c trace.SpanContext) string {
	if !c.IsValid() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// TraceID is the trace that a log line belongs to: the span's, if that is recorded,
// else the one that came in. It is empty where there is neither.
func TraceID(span trace.Span, incoming string) string {
	if c := span.SpanContext(); c.IsSampled() {
		return c.TraceID().String()
	}
	if c := ParseTraceparent(incoming); c.IsValid() {
		return c.TraceID().String()
	}
	return ""
}

// Outgoing is the traceparent of an event that is sent under a span: the span's,
// if that is recorded, else the one that came in.
func Outgoing(span trace.Span, incoming string) string {
	if c := span.SpanContext(); c.IsSampled() {
		return FormatTraceparent(c)
	}
	return incoming
}

// Fail marks a span as failed, for a reason of any length.
func Fail(span trace.Span, kind, reason string) {
	span.SetStatus(codes.Error, Cut(reason))
	span.SetAttributes(attribute.String(AttrErrorType, kind))
}

// Cut is a text as it may stand in an attribute.
func Cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
