package audit

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestTriesAreNotedOnTheSpanOfTheDelivery(t *testing.T) {
	for reason, row := range map[string]struct {
		answers []answer
		want    []string
	}{
		"taken":            {[]answer{status(201)}, []string{"attempt 1 201"}},
		"taken in the end": {[]answer{status(503), drop, status(201)}, []string{"attempt 1 503 the audit sink is not available: 503", "attempt 2 the audit sink is not available: ", "attempt 3 201"}},
		"refused":          {[]answer{says(400, "no")}, []string{"attempt 1 400 the audit sink refused the event for good: 400 no"}},
	} {
		t.Run(reason, func(t *testing.T) {
			spans := tracetest.NewInMemoryExporter()
			e := sample()
			_, e.Span = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("onefire").Start(t.Context(), "send")
			// The notes say how it went.
			_ = one(t.Context(), open(t, Options{URL: serve(t, row.answers...).URL}), e)
			e.Span.End()
			var got []string
			for _, e := range spans.GetSpans()[0].Events {
				text := e.Name
				for _, a := range e.Attributes {
					text += " " + a.Value.String()
				}
				got = append(got, text)
			}
			last := spans.GetSpans()[0].Events[len(row.want)-1].Attributes
			require.Subset(t, last, spans.GetSpans()[0].Attributes, "the span has the status of its last try")
			require.Len(t, spans.GetSpans()[0].Attributes, 1)
			require.Len(t, got, len(row.want))
			for i, want := range row.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

func TestTriesOfAnyDeliveryAreNotedOnItsSpan(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("onefire").Start(t.Context(), "send")
	c, err := NewClient(ClientOptions{Name: "the server"})
	require.NoError(t, err)
	c.Wrap(func(http.RoundTripper) http.RoundTripper { return plays(&[]time.Time{}, status(503), status(201)) })
	require.NoError(t, c.Deliver(ctx, get("http://server.test", nil), Retry{Tries: 2}))
	span.End()
	var got []string
	for _, e := range spans.GetSpans()[0].Events {
		got = append(got, e.Attributes[0].Value.String()+" "+e.Attributes[1].Value.String())
	}
	require.Equal(t, []string{"1 503", "2 201"}, got)
}

func TestALongErrorIsNotedInPart(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	_, span := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("onefire").Start(t.Context(), "send")
	note(span, 1, 0, errors.New(strings.Repeat("x", 2*maxNote)))
	span.End()
	noted := spans.GetSpans()[0].Events[0].Attributes
	require.Equal(t, strings.Repeat("x", maxNote), noted[len(noted)-1].Value.AsString())
}

func TestARequestNamesTheTraceOfItsEvent(t *testing.T) {
	sink := serve(t, status(http.StatusCreated))
	s := open(t, Options{URL: sink.URL})
	for i, parent := range []string{"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", ""} {
		e := another()
		e.Traceparent = parent
		require.NoError(t, one(t.Context(), s, e))
		require.Equal(t, parent, sink.seen()[i].header.Get("Traceparent"))
		require.Len(t, sink.seen()[i].header["Traceparent"], 1-i, "no empty header")
	}
}
