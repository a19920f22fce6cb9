package collector

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"pgregory.net/rapid"
)

// version is that of the service and of its scope.
const version = "v1.2.3"

var noon = time.Date(2026, 1, 17, 12, 0, 0, 123456789, time.UTC)

// bothTraces records the same spans with ours and with OpenTelemetry's own
// exporter (Protocol Buffers), and returns what the receiver got of each. Ids
// are numbered, because each has its own, and resources differ.
func bothTraces(t require.TestingT, c *Collector, url string, more map[string]string, record func(trace.Tracer)) (got, want string) {
	environment := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_METRICS_EXPORTER": "none"}
	for name, v := range more {
		environment[name] = v
	}
	c.Take()
	all := ours(t, environment)
	record(all.Tracer())
	require.NoError(t, all.Stop(context.Background()))
	mine, _ := c.Take()

	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(url+"/v1/traces"))
	require.NoError(t, err)
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter))
	record(provider.Tracer("onefire", trace.WithInstrumentationVersion(version)))
	require.NoError(t, provider.Shutdown(context.Background()))
	theirs, _ := c.Take()
	return comparable(t, mine), comparable(t, theirs)
}

func comparable(t require.TestingT, exports []ptrace.Traces) string {
	require.Len(t, exports, 1)
	spans := map[pcommon.SpanID]byte{}
	traces := map[pcommon.TraceID]byte{}
	number := func(s pcommon.SpanID) pcommon.SpanID {
		if s.IsEmpty() || s == foreign.SpanID() {
			return s
		}
		if spans[s] == 0 {
			spans[s] = byte(len(spans) + 1)
		}
		return pcommon.SpanID{spans[s]}
	}
	for _, r := range exports[0].ResourceSpans().All() {
		r.Resource().Attributes().Clear()
		r.SetSchemaUrl("")
		for _, scope := range r.ScopeSpans().All() {
			for _, s := range scope.Spans().All() {
				if id := s.TraceID(); id != pcommon.TraceID(foreign.TraceID()) {
					if traces[id] == 0 {
						traces[id] = byte(len(traces) + 1)
					}
					s.SetTraceID(pcommon.TraceID{traces[id]})
				}
				s.SetSpanID(number(s.SpanID()))
				s.SetParentSpanID(number(s.ParentSpanID()))
			}
		}
	}
	text, err := (&ptrace.JSONMarshaler{}).MarshalTraces(exports[0])
	require.NoError(t, err)
	return string(text)
}

// foreign is the span of another process.
var foreign = sdkContext{trace.NewSpanContext(trace.SpanContextConfig{
	TraceID: trace.TraceID{0xab, 15: 1}, SpanID: trace.SpanID{0xcd, 7: 1}, TraceFlags: trace.FlagsSampled, Remote: true,
})}

// sdkContext has its ids as the collector's types.
type sdkContext struct{ trace.SpanContext }

// SpanID is the collector's.
func (s sdkContext) SpanID() pcommon.SpanID { return pcommon.SpanID(s.SpanContext.SpanID()) }

func TestSpansArriveAsOpenTelemetrysOwnExporterSendsThem(t *testing.T) {
	c, url := receive(t)
	for name, record := range map[string]func(trace.Tracer){
		"one": func(tr trace.Tracer) {
			_, s := tr.Start(context.Background(), "settle", trace.WithTimestamp(noon))
			s.End(trace.WithTimestamp(noon.Add(time.Second)))
		},
		"a parent here and one elsewhere, all kinds": func(tr trace.Tracer) {
			ctx := trace.ContextWithRemoteSpanContext(context.Background(), foreign.SpanContext)
			for i, kind := range []trace.SpanKind{trace.SpanKindUnspecified, trace.SpanKindInternal, trace.SpanKindServer, trace.SpanKindClient, trace.SpanKindProducer, trace.SpanKindConsumer} {
				var s trace.Span
				ctx, s = tr.Start(ctx, fmt.Sprint("settle ", i), trace.WithTimestamp(noon), trace.WithSpanKind(kind))
				s.End(trace.WithTimestamp(noon.Add(time.Duration(i))))
			}
		},
		"each status": func(tr trace.Tracer) {
			for _, code := range []codes.Code{codes.Unset, codes.Ok, codes.Error} {
				_, s := tr.Start(context.Background(), "settle", trace.WithTimestamp(noon))
				s.SetStatus(code, "sink \"down\" <&> ü 火\u2028")
				s.End(trace.WithTimestamp(noon))
			}
		},
		"events, links, and an error": func(tr trace.Tracer) {
			_, s := tr.Start(context.Background(), "settle", trace.WithTimestamp(noon),
				trace.WithLinks(trace.Link{SpanContext: foreign.SpanContext, Attributes: []attribute.KeyValue{attribute.String("why", "share")}}))
			s.AddLink(trace.Link{SpanContext: foreign.WithTraceFlags(0)})
			s.AddEvent("look", trace.WithTimestamp(noon.Add(1)), trace.WithAttributes(attribute.Int64("n", 1<<62+1)))
			s.RecordError(fmt.Errorf("no"), trace.WithTimestamp(noon.Add(2)))
			s.End(trace.WithTimestamp(noon.Add(3)))
		},
		"more than a span holds": func(tr trace.Tracer) {
			var many []attribute.KeyValue
			for i := range 200 {
				many = append(many, attribute.Int(fmt.Sprint(i), i))
			}
			_, s := tr.Start(context.Background(), "settle", trace.WithTimestamp(noon), trace.WithAttributes(many...))
			for i := range 130 {
				s.AddEvent("e", trace.WithTimestamp(noon), trace.WithAttributes(many[:i+1]...))
				s.AddLink(trace.Link{SpanContext: foreign.SpanContext, Attributes: many[:i+1]})
			}
			s.End(trace.WithTimestamp(noon))
		},
		"a time before 1970": func(tr trace.Tracer) {
			_, s := tr.Start(context.Background(), "settle", trace.WithTimestamp(time.Unix(-1, 0)))
			s.End(trace.WithTimestamp(time.Unix(-1, 0)))
		},
	} {
		for _, compression := range []string{"none", "gzip"} {
			t.Run(name+" "+compression, func(t *testing.T) {
				got, want := bothTraces(t, c, url, map[string]string{"OTEL_EXPORTER_OTLP_COMPRESSION": compression}, record)
				require.JSONEq(t, want, got)
				require.Contains(t, got, "settle")
			})
		}
	}
}

func TestAnyAttributesArriveAsOpenTelemetrysOwnExporterSendsThem(t *testing.T) {
	c, url := receive(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		attributes := keyValues(2).Draw(t, "attributes")
		got, want := bothTraces(t, c, url, nil, func(tr trace.Tracer) {
			_, s := tr.Start(context.Background(), name, trace.WithTimestamp(noon), trace.WithAttributes(attributes...))
			s.AddEvent(name, trace.WithTimestamp(noon), trace.WithAttributes(attributes...))
			s.SetStatus(codes.Error, name)
			s.End(trace.WithTimestamp(noon))
		})
		require.Equal(t, want, got)
	})
}

func TestTraceStateArrives(t *testing.T) {
	c, url := receive(t)
	state, err := trace.ParseTraceState("vendor=a,other=b")
	require.NoError(t, err)
	parent := foreign.WithTraceState(state)
	all := ours(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url})
	_, s := all.Tracer().Start(trace.ContextWithRemoteSpanContext(t.Context(), parent), "settle", trace.WithLinks(trace.Link{SpanContext: parent}))
	s.End()
	require.NoError(t, all.Stop(t.Context()))
	traces, _ := c.Take()
	span := traces[0].ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, "vendor=a,other=b", span.TraceState().AsRaw())
	require.Equal(t, foreign.SpanID(), span.ParentSpanID())
	require.Equal(t, "vendor=a,other=b", span.Links().At(0).TraceState().AsRaw())
	resource := traces[0].ResourceSpans().At(0).Resource().Attributes().AsRaw()
	require.Equal(t, "onefire", resource["service.name"])
	require.Equal(t, version, resource["service.version"])
}
