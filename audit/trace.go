package audit

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// note notes one try on the span of an event, if that is recorded. status is the
// sink's, 0 where there was no answer.
func note(span trace.Span, attempt, status int, err error) {
	if span == nil || !span.IsRecording() {
		return
	}
	attributes := []attribute.KeyValue{attribute.Int("onefire.attempt", attempt)}
	if status != 0 {
		code := attribute.Int("http.response.status_code", status)
		attributes = append(attributes, code)
		span.SetAttributes(code) // The last one's stays.
	}
	if err != nil {
		text := err.Error()
		attributes = append(attributes, attribute.String("error.message", text[:min(len(text), maxNote)]))
	}
	span.AddEvent("attempt", trace.WithAttributes(attributes...))
}
