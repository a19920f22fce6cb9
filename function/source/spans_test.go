package source

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"onefire/config"
	"onefire/function/telemetry"
)

// headers are the Traceparent headers that a broker got, with the events' own.
type headers struct {
	mu  sync.Mutex
	all map[string]string
}

// traced starts a source that is traced. Its broker answers as it is told, one
// by one, and the last for ever.
func traced(t *testing.T, answers ...int) (*fixture, *tracetest.InMemoryExporter, *headers) {
	t.Helper()
	b, h, spans := newBroker(t), &headers{all: map[string]string{}}, tracetest.NewInMemoryExporter()
	f := start(t, b, func(c *config.Source) { c.EventSource = "urn:prod" })
	f.tracer = sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans)).Tracer("onefire")
	b.answers(func(e event.Event, r *http.Request) (int, map[string]string, string) {
		h.mu.Lock()
		defer h.mu.Unlock()
		own, _ := e.Extensions()["traceparent"].(string)
		h.all[own] = r.Header.Get("Traceparent")
		status := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		return status, nil, "because"
	})
	return f, spans, h
}

// postUnder posts a webhook that somebody's span caused, and gives its status.
func (f *fixture) postUnder(parent, body string) int {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.web.URL+"/alertmanager", strings.NewReader(body))
	require.NoError(f.t, err)
	req.Header.Set("Traceparent", parent)
	resp, err := f.web.Client().Do(req)
	require.NoError(f.t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(f.t, err)
	return resp.StatusCode
}

// ended waits for spans: the webhook's ends after its answer is on its way.
func ended(t *testing.T, spans *tracetest.InMemoryExporter, n int) (root tracetest.SpanStub, sent []tracetest.SpanStub) {
	t.Helper()
	require.Eventually(t, func() bool { return len(spans.GetSpans()) >= n }, 10*time.Second, time.Millisecond)
	require.Len(t, spans.GetSpans(), n)
	for _, s := range spans.GetSpans() {
		if s.SpanKind == trace.SpanKindServer {
			root = s
		} else {
			sent = append(sent, s)
		}
	}
	return root, sent
}

func TestAWebhookIsATraceThatItsEventsGoOnWith(t *testing.T) {
	f, spans, got := traced(t, 202)
	f.requireStatus(http.StatusOK, hook(firing(0, "alertname=A", "pod=a"), firing(0, "alertname=A", "pod=b")))
	root, sent := ended(t, spans, 3)
	require.Equal(t, "POST /alertmanager", root.Name)
	require.False(t, root.Parent.IsValid(), "Alertmanager names no trace")
	require.Equal(t, codes.Unset, root.Status.Code)
	require.Contains(t, root.Attributes, attribute.Int(telemetry.AttrAlerts, 2))
	want := map[string]string{}
	for _, s := range sent {
		require.Equal(t, "send "+AlertType, s.Name)
		require.Equal(t, trace.SpanKindProducer, s.SpanKind)
		require.Equal(t, root.SpanContext.SpanID(), s.Parent.SpanID())
		require.Equal(t, root.SpanContext.TraceID(), s.SpanContext.TraceID())
		want[telemetry.FormatTraceparent(s.SpanContext)] = telemetry.FormatTraceparent(s.SpanContext)
	}
	require.Equal(t, want, got.all, "event and request name the span that sent them")
	require.Equal(t, root.SpanContext.TraceID().String(), f.log.with(t, "webhook")[0]["trace_id"])
}

func TestASpanOfAPanicHasItsAnswer(t *testing.T) {
	f, spans, _ := traced(t, 202)
	f.requests = nil // The next webhook panics once its span has begun.
	f.requireStatus(http.StatusInternalServerError, simple)
	root, _ := ended(t, spans, 1)
	require.Contains(t, root.Attributes, attribute.Int(telemetry.AttrStatus, 500))
	require.Equal(t, codes.Error, root.Status.Code)
}

func TestAWebhookBelongsToTheTraceOfItsSender(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f, spans, _ := traced(t, 202)
	require.Equal(t, http.StatusOK, f.postUnder(parent, simple))
	root, _ := ended(t, spans, 2)
	require.Equal(t, telemetry.ParseTraceparent(parent).SpanID(), root.Parent.SpanID())
	require.Equal(t, telemetry.ParseTraceparent(parent).TraceID(), root.SpanContext.TraceID())
}

func TestTriesToSendAnEventAreSeen(t *testing.T) {
	f, spans, _ := traced(t, 500, 202)
	f.requireStatus(http.StatusOK, simple)
	_, sent := ended(t, spans, 2)
	require.Equal(t, codes.Unset, sent[0].Status.Code, "it was taken in the end")
	var tries []string
	for _, e := range sent[0].Events {
		text := e.Name
		for _, a := range e.Attributes {
			text += " " + a.Value.String()
		}
		tries = append(tries, text)
	}
	require.Equal(t, []string{"attempt 1 500 the sink is not available: 500 because", "attempt 2 202"}, tries)

	f, spans, _ = traced(t, 400)
	f.requireStatus(http.StatusBadRequest, simple)
	root, sent := ended(t, spans, 2)
	require.Equal(t, codes.Error, root.Status.Code)
	require.Equal(t, codes.Error, sent[0].Status.Code)
}

func TestWithoutATracerATraceIsPassedOn(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	f, spans, got := traced(t, 202)
	f.tracer = nil
	for i, row := range []struct{ header, event, hop, log string }{
		{parent, parent, parent, "0af7651916cd43dd8448eb211c80319c"},
		{"", "", "", ""},
	} {
		got.all = map[string]string{}
		require.Equal(t, http.StatusOK, f.postUnder(row.header, hook(firing(0, "alertname=A", "pod="+strconv.Itoa(i)))))
		require.Equal(t, map[string]string{row.event: row.hop}, got.all)
		id, _ := f.log.with(t, "webhook")[i]["trace_id"].(string)
		require.Equal(t, row.log, id)
	}
	require.Empty(t, spans.GetSpans())
}
