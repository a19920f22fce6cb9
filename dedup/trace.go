package dedup

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// joined says on the span of who waited, if it is recorded, that what it waited
// for was done under another's: the context that it was done with.
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
