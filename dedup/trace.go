package dedup

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// linkTo links the span of a caller to the span of the call that did its work, if that is
// another one. by is the context of that call.
func linkTo(ctx, by context.Context, what string) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	other := trace.SpanContextFromContext(by)
	if other.Equal(span.SpanContext()) {
		return
	}
	span.AddLink(trace.Link{SpanContext: other, Attributes: []attribute.KeyValue{attribute.String("onefire.shared", what)}})
}
