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

// NoSpan is the span of work that is not traced. All of its methods do nothing.
var NoSpan = trace.SpanFromContext(context.Background())

// LiveTracer returns the tracer, or nil if it traces nothing.
func LiveTracer(t trace.Tracer) trace.Tracer {
	if _, off := t.(noop.Tracer); off {
		return nil
	}
	return t
}

// ParseTraceparent reads a traceparent: version, trace, span and flags in lower-case hex.
// It returns an invalid context for any other text. (OpenTelemetry's propagator reads and
// writes carriers, and an event's extension is not one.)
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

// FormatTraceparent writes a traceparent; it is empty for an invalid context.
func FormatTraceparent(c trace.SpanContext) string {
	if !c.IsValid() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// TraceID is the trace id for a log line: that of the span, if it is recorded, or else
// that of the incoming context. It is empty without both.
func TraceID(span trace.Span, incoming string) string {
	if c := span.SpanContext(); c.IsSampled() {
		return c.TraceID().String()
	}
	if c := ParseTraceparent(incoming); c.IsValid() {
		return c.TraceID().String()
	}
	return ""
}

// Outgoing is the traceparent of an event that is sent under a span: that of the span, if
// it is recorded, or else the incoming one.
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

// Cut shortens a text to the length that an attribute may have.
func Cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
