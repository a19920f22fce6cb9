package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

type (
	jsonTraces struct {
		ResourceSpans []jsonResourceSpans `json:"resourceSpans"`
	}
	jsonResourceSpans struct {
		Resource   jsonResource     `json:"resource"`
		ScopeSpans []jsonScopeSpans `json:"scopeSpans"`
	}
	jsonScopeSpans struct {
		Scope     jsonScope  `json:"scope"`
		Spans     []jsonSpan `json:"spans"`
		SchemaURL string     `json:"schemaUrl,omitempty"`
	}
	jsonSpan struct {
		TraceID           string         `json:"traceId"`
		SpanID            string         `json:"spanId"`
		TraceState        string         `json:"traceState,omitempty"`
		ParentSpanID      string         `json:"parentSpanId,omitempty"`
		Flags             uint32         `json:"flags"`
		Name              string         `json:"name"`
		Kind              int            `json:"kind"`
		Start             string         `json:"startTimeUnixNano"`
		End               string         `json:"endTimeUnixNano"`
		Attributes        []jsonKeyValue `json:"attributes,omitempty"`
		DroppedAttributes int            `json:"droppedAttributesCount,omitempty"`
		Events            []jsonEvent    `json:"events,omitempty"`
		DroppedEvents     int            `json:"droppedEventsCount,omitempty"`
		Links             []jsonLink     `json:"links,omitempty"`
		DroppedLinks      int            `json:"droppedLinksCount,omitempty"`
		Status            jsonStatus     `json:"status"`
	}
	jsonEvent struct {
		Time              string         `json:"timeUnixNano"`
		Name              string         `json:"name"`
		Attributes        []jsonKeyValue `json:"attributes,omitempty"`
		DroppedAttributes int            `json:"droppedAttributesCount,omitempty"`
	}
	jsonLink struct {
		TraceID           string         `json:"traceId"`
		SpanID            string         `json:"spanId"`
		TraceState        string         `json:"traceState,omitempty"`
		Attributes        []jsonKeyValue `json:"attributes,omitempty"`
		DroppedAttributes int            `json:"droppedAttributesCount,omitempty"`
		Flags             uint32         `json:"flags"`
	}
	jsonStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code,omitempty"`
	}
)

// The numbers of a span's status in OTLP, which differ from the SDK's.
var statusCodes = map[codes.Code]int{codes.Unset: 0, codes.Ok: 1, codes.Error: 2}

// flagHasIsRemote and flagIsRemote tell in a span's flags whether its parent, or a link's
// span, belongs to another process. The bits below them are the W3C trace flags.
const (
	flagHasIsRemote = 0x100
	flagIsRemote    = 0x200
)

// spanExporter sends spans.
type spanExporter struct{ *sender }

// ExportSpans sends spans. It counts and logs failures itself, and returns no error.
func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) > 0 {
		e.send(ctx, traces(spans))
	}
	return nil
}

func traces(spans []sdktrace.ReadOnlySpan) jsonTraces {
	var scopes []jsonScopeSpans
	place := map[instrumentation.Scope]int{}
	for _, s := range spans {
		scope := s.InstrumentationScope()
		i, ok := place[scope]
		if !ok {
			i = len(scopes)
			place[scope] = i
			scopes = append(scopes, jsonScopeSpans{Scope: scopeOf(scope), SchemaURL: scope.SchemaURL})
		}
		scopes[i].Spans = append(scopes[i].Spans, spanOf(s))
	}
	return jsonTraces{[]jsonResourceSpans{{resourceOf(spans[0].Resource()), scopes}}}
}

func spanOf(s sdktrace.ReadOnlySpan) jsonSpan {
	own, parent := s.SpanContext(), s.Parent()
	out := jsonSpan{
		TraceID: own.TraceID().String(), SpanID: own.SpanID().String(), TraceState: own.TraceState().String(),
		Flags: flags(own, parent), Name: s.Name(), Kind: int(s.SpanKind()), // as in OTLP
		Start: nanoseconds(s.StartTime()), End: nanoseconds(s.EndTime()),
		Attributes: keyValues(s.Attributes()), DroppedAttributes: s.DroppedAttributes(),
		DroppedEvents: s.DroppedEvents(), DroppedLinks: s.DroppedLinks(),
		Status: jsonStatus{s.Status().Description, statusCodes[s.Status().Code]},
	}
	if parent.SpanID().IsValid() {
		out.ParentSpanID = parent.SpanID().String()
	}
	for _, e := range s.Events() {
		out.Events = append(out.Events, jsonEvent{nanoseconds(e.Time), e.Name, keyValues(e.Attributes), e.DroppedAttributeCount})
	}
	for _, l := range s.Links() {
		to := l.SpanContext
		out.Links = append(out.Links, jsonLink{to.TraceID().String(), to.SpanID().String(), to.TraceState().String(),
			keyValues(l.Attributes), l.DroppedAttributeCount, flags(to, to)})
	}
	return out
}

func flags(own, parent trace.SpanContext) uint32 {
	f := uint32(own.TraceFlags()) | flagHasIsRemote
	if parent.IsRemote() {
		f |= flagIsRemote
	}
	return f
}
