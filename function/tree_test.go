package function

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/rest"

	"onefire/dedup"
	"onefire/function/telemetry"
)

// traced is a function that is traced, with real deduplication on a fake API.
type traced struct {
	*fixture
	t     *testing.T
	api   *fakeAPI
	spans *tracetest.InMemoryExporter
}

func newTraced(t *testing.T) *traced {
	t.Helper()
	f := &traced{fixture: newFixture(), t: t, api: newFakeAPI(), spans: tracetest.NewInMemoryExporter()}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(f.spans), sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.AlwaysSample())))
	f.service.observer.tracer = provider.Tracer("onefire")
	f.service.pipeline.requests = f.deduplicator(&apiCalls{tracer: f.service.observer.tracer, metrics: f.service.observer.metrics})
	return f
}

func (f *traced) deduplicator(watch *apiCalls) *dedup.Deduplicator {
	config := &rest.Config{Host: "http://api.test:6443", Transport: f.api}
	config.Wrap(watch.wrap)
	d, err := dedup.New(config, dedup.Options{SignalType: "prometheus"})
	require.NoError(f.t, err)
	return d
}

// from is an event that somebody's span caused.
func from(parent string, r *http.Request) *http.Request {
	r.Header.Set("Ce-Traceparent", parent)
	return r
}

// take gives the spans since the last call.
func (f *traced) take() tracetest.SpanStubs {
	defer f.spans.Reset()
	return f.spans.GetSpans()
}

// value is a span's attribute as text; empty when there is none.
func value(s tracetest.SpanStub, name string) string {
	for _, a := range s.Attributes {
		if a.Key == attribute.Key(name) {
			return a.Value.String()
		}
	}
	return ""
}

// tree draws spans below a parent: name, what became of it, "!" where it failed.
// Spans that run at once stand in the order of their texts.
func tree(spans tracetest.SpanStubs, parent trace.SpanID, indent string) string {
	var below []tracetest.SpanStub
	for _, s := range spans {
		if s.Parent.SpanID() == parent {
			below = append(below, s)
		}
	}
	slices.SortStableFunc(below, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	text := ""
	for _, s := range below {
		line := indent + s.Name
		for _, name := range []string{telemetry.AttrAlert, telemetry.AttrReason, telemetry.AttrResult, telemetry.AttrStatus, telemetry.AttrResend} {
			if v := value(s, name); v != "" {
				line += " " + v
			}
		}
		if s.Status.Code == codes.Error {
			line += " !"
		}
		text += line + "\n" + tree(spans, s.SpanContext.SpanID(), indent+"  ")
	}
	return text
}

// requireTree asserts that spans are one tree, all of one trace, below a parent.
func (f *traced) requireTree(parent string, want string) tracetest.SpanStubs {
	f.t.Helper()
	spans, root := f.take(), telemetry.ParseTraceparent(parent)
	want = strings.ReplaceAll(strings.Trim(want, "\n"), "\t", "  ") + "\n"
	require.Equal(f.t, want, tree(spans, root.SpanID(), ""))
	require.Len(f.t, spans, strings.Count(want, "\n"), "no other spans")
	for _, s := range spans {
		require.Equal(f.t, root.TraceID(), s.SpanContext.TraceID(), s.Name)
	}
	return spans
}

// named are the spans of a name.
func named(spans tracetest.SpanStubs, name string) tracetest.SpanStubs {
	var found tracetest.SpanStubs
	for _, s := range spans {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// shared are the spans that a span's links name first, by what was shared.
func shared(s tracetest.SpanStub) map[string]trace.SpanID {
	found := map[string]trace.SpanID{}
	for _, l := range s.Links {
		for _, a := range l.Attributes {
			if _, known := found[a.Value.AsString()]; a.Key == telemetry.AttrShared && !known {
				found[a.Value.AsString()] = l.SpanContext.SpanID()
			}
		}
	}
	return found
}

// parentOf writes a traceparent for tests, from the last digit of its numbers.
func parentOf(traceID, spanID, flags int) string {
	return fmt.Sprintf("00-%032x-%016x-%02x", traceID, spanID, flags)
}

// noSpan is a context without a span.
func noSpan() context.Context { return context.Background() }
