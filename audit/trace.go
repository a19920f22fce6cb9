package audit

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// note notes one try on the span that the context carries, if that is recorded.
// status is the sink's, 0 where there was no answer.
func note(ctx context.Context, attempt, status int, err error) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
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
