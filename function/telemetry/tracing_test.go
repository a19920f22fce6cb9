package telemetry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

const proper = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestATraceparentIsReadAsOpenTelemetryReadsIt(t *testing.T) {
	for reason, row := range map[string]struct {
		text  string
		valid bool
	}{
		"sampled":               {proper, true},
		"not sampled":           {proper[:53] + "00", true},
		"a later version":       {"01" + proper[2:], true},
		"random":                {proper[:53] + "03", true},
		"flags of later":        {"01" + proper[2:53] + "ff", true},
		"empty":                 {"", false},
		"no trace":              {"00-00000000000000000000000000000000-b7ad6b7169203331-01", false},
		"no span":               {"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false},
		"the forbidden version": {"ff" + proper[2:], false},
		"no version":            {"zz" + proper[2:], false},
		"upper case":            {strings.ToUpper(proper), false},
		"too short":             {proper[:54], false},
		"something after it":    {proper + "-x", false},
		"no such digit":         {"0g" + proper[2:], false},
		"no dash before flags":  {proper[:52] + "x01", false},
		"half of the flags":     {proper[:53] + "z1", false},
		"no hex":                {"00-0gf7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false},
		"no flags":              {proper[:53] + "zz", false},
	} {
		t.Run(reason, func(t *testing.T) {
			theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": row.text}))
			require.Equal(t, row.valid, ParseTraceparent(row.text).IsValid())
			require.True(t, theirs.Equal(ParseTraceparent(row.text)), "%v", theirs)
			carrier := propagation.MapCarrier{}
			propagation.TraceContext{}.Inject(trace.ContextWithSpanContext(t.Context(), ParseTraceparent(row.text)), carrier)
			require.Equal(t, carrier["traceparent"], FormatTraceparent(ParseTraceparent(row.text)))
		})
	}
}

func TestATracerThatTracesNothingIsNone(t *testing.T) {
	require.Nil(t, LiveTracer(noop.NewTracerProvider().Tracer("x")))
	require.NotNil(t, LiveTracer(sdktrace.NewTracerProvider().Tracer("x")))
	require.False(t, NoSpan.IsRecording())
	require.Empty(t, Outgoing(NoSpan, ""))
	require.Empty(t, TraceID(NoSpan, "no traceparent"))
}

func TestARecordedSpanGoesBeforeTheIncomingOne(t *testing.T) {
	_, span := sdktrace.NewTracerProvider().Tracer("x").Start(t.Context(), "settle")
	require.Equal(t, span.SpanContext().TraceID().String(), TraceID(span, proper))
	require.Equal(t, FormatTraceparent(span.SpanContext()), Outgoing(span, proper))
	require.Equal(t, proper[3:35], TraceID(NoSpan, proper))
	require.Equal(t, proper, Outgoing(NoSpan, proper))
}

func TestAnEventsSpanHasTheNamesOfTheConventions(t *testing.T) {
	require.Equal(t, Texts(
		"messaging.system", "cloudevents", "messaging.operation.name", "send", "messaging.operation.type", "send",
		"cloudevents.event_id", "1", "cloudevents.event_source", "/s", "cloudevents.event_spec_version", "1.0",
		"cloudevents.event_type", "t", "cloudevents.event_subject", "about",
	), EventSpan{Operation: "send", ID: "1", Source: "/s", SpecVersion: "1.0", Type: "t", Subject: "about"}.Attributes())
}

func TestTextsOfStrangersAreCut(t *testing.T) {
	require.Equal(t, "short", Cut("short"))
	require.Equal(t, strings.Repeat("x", maxText-1)+"…", Cut(strings.Repeat("x", maxText-1)+"éé"), "not within a character")
	about := EventSpan{Operation: "process", ID: strings.Repeat("x", 2<<10), Type: strings.Repeat("y", 2<<10)}
	require.Less(t, len(about.Name()), maxText+4)
	for _, a := range about.Attributes() {
		require.Less(t, len(a.Value.AsString()), maxText+4, a.Key)
	}
	require.Len(t, about.Attributes(), 5, "what is empty is left out")
}
