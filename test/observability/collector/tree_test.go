package collector

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

func TestATraceIsPrintedAsATree(t *testing.T) {
	c, url := receive(t)
	all := ours(t, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": url})
	at := func(ms int) trace.SpanEventOption {
		return trace.WithTimestamp(noon.Add(time.Duration(ms) * time.Millisecond))
	}
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), foreign.SpanContext)
	ctx, event := all.Tracer().Start(ctx, "event", at(0), trace.WithSpanKind(trace.SpanKindServer))
	settle := func(name string, from, to int) {
		_, s := all.Tracer().Start(ctx, "settle", at(from), trace.WithAttributes(attribute.String("alertname", name), attribute.Int("count", 2)))
		if to > 20 {
			s.RecordError(errors.New("no"), at(21))
			s.SetStatus(codes.Error, "not settled")
		}
		s.End(at(to))
	}
	settle("Disk full", 5, 30)
	settle("Down", 1, 12)
	event.AddLink(trace.Link{SpanContext: foreign.SpanContext, Attributes: []attribute.KeyValue{attribute.Bool("shared", true)}})
	event.End(at(31))
	require.NoError(t, all.Stop(context.WithoutCancel(t.Context())))
	traces, metrics := c.Take()
	require.Len(t, metrics, 1)
	var text strings.Builder
	Tree(&text, traces)
	require.Equal(t, `trace ab000000000000000000000000000001
  +0s 31ms  onefire event [server]
    → ab000000000000000000000000000001/cd00000000000001 shared=true
    +1ms 11ms  onefire settle [internal] alertname=Down count=2
    +5ms 25ms  onefire settle [internal] error "not settled" alertname="Disk full" count=2
      * +21ms exception exception.message=no exception.type=*errors.errorString
`, text.String())
	traces, metrics = c.Take()
	require.Empty(t, traces)
	require.Empty(t, metrics)
}

func TestTheNewestExportsAreKept(t *testing.T) {
	var all []int
	for i := range maxKept + 3 {
		all = kept(all, i)
	}
	require.Len(t, all, maxKept)
	require.Equal(t, 3, all[0])
}

func TestAnAddressThatIsTakenIsAnError(t *testing.T) {
	_, url := receive(t)
	_, err := Start(t.Context(), strings.TrimPrefix(url, "http://"), nil)
	require.ErrorContains(t, err, "listening on 127.0.0.1:")
}
