package source

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"

	"onefire/audit"
	"onefire/config"
	"onefire/function/telemetry"
)

// watched notes the deadlines that an answer sets, with the time from the beginning.
type watched struct {
	*httptest.ResponseRecorder
	begun time.Time
	calls []string
}

func (w *watched) note(what string, at time.Time) error {
	text := "none"
	if !at.IsZero() {
		text = at.Sub(w.begun).String()
	}
	w.calls = append(w.calls, what+" "+text)
	return nil
}

func (w *watched) SetReadDeadline(at time.Time) error  { return w.note("read", at) }
func (w *watched) SetWriteDeadline(at time.Time) error { return w.note("write", at) }

func (w *watched) FlushError() error {
	w.calls = append(w.calls, "flush")
	w.Flush()
	return nil
}

func TestAnAnswerKeepsToItsTimesAndSaysWhatItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{200, 400, 503} {
			w := &watched{ResponseRecorder: httptest.NewRecorder(), begun: time.Now()}
			answered(status, "so it is").write(w)
			require.Equal(t, []string{"write " + answerTimeout.String(), "flush", "write none"}, w.calls)
			require.Equal(t, status == 503, w.Header().Get("Retry-After") == retryAfter)
			require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
			require.Equal(t, "9", w.Header().Get("Content-Length"))
			require.Equal(t, "so it is\n", w.Body.String())
		}
	})
}

func TestWhichAlertIsTheWatchdog(t *testing.T) {
	f := start(t, newBroker(t))
	for _, row := range []struct {
		alert alert
		is    bool
	}{{alert{name: "Watchdog", status: "firing"}, true}, {alert{name: "Watchdog", status: "resolved"}, false}, {alert{name: "A", status: "firing"}, false}} {
		require.Equal(t, row.is, f.isWatchdog(row.alert))
	}
}

func TestANotificationSaysItsStatus(t *testing.T) {
	b := newBroker(t)
	start(t, b, func(c *config.Source) { c.Split = config.SplitNotification }).requireStatus(http.StatusOK, simple)
	require.Equal(t, "firing", b.events()[0].Extensions()["status"])
}

func TestWhatEachAnswerOfTheSinkMeans(t *testing.T) {
	for status, want := range map[int]string{
		200: "taken", 202: "taken", 299: "taken", 408: "again", 409: "again", 425: "again", 429: "again", 500: "again", 503: "again", 599: "again",
		401: "not now", 402: "not now", 403: "not now", 404: "not now", 405: "not now", 407: "not now", 301: "not now",
		400: "refused", 406: "refused", 410: "refused", 413: "refused", 422: "refused",
	} {
		s, err := newSink(config.Source{Sink: "http://sink.test"})
		require.NoError(t, err)
		s.client.Wrap(func(http.RoundTripper) http.RoundTripper { return answers(status) })
		err = s.deliver(t.Context(), newEvent("1", "urn:a", AlertType, noon, nil, []byte("{}")), 1)
		var away *audit.UnavailableError
		var no *audit.RefusedError
		got := "again"
		switch {
		case err == nil:
			got = "taken"
		case errors.As(err, &no):
			got = "refused"
		case errors.As(err, &away) && away.Permanent:
			got = "not now"
		}
		require.Equal(t, want, got, "%d", status)
	}
}

// answers is a sink that answers with this status.
type answers int

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: int(a), Body: http.NoBody}, nil
}

// A sink that answers is there: other events of the webhook are tried once.
func TestAnAnswerIsNoAbsence(t *testing.T) {
	f := start(t, newBroker(t))
	hook, err := read([]byte(simple), noon)
	require.NoError(t, err)
	d := f.newDelivery(hook, []byte(simple), "", noon)
	n, err := d.attempts()
	require.NoError(t, err)
	require.EqualValues(t, maxAttempts, n)
	d.note(t.Context(), 0, false, errors.New("the sink is not available: 503"))
	n, err = d.attempts()
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	d.note(t.Context(), 0, false, &net.OpError{Op: "dial", Err: errors.New("no route")})
	_, err = d.attempts()
	require.ErrorContains(t, err, "no route", "where nobody is, no other event is tried")
}

func TestTheFirstReasonOfEachKindIsSaid(t *testing.T) {
	f := start(t, newBroker(t))
	body := []byte(hook(firing(0, "alertname=A"), firing(0, "alertname=B")))
	for reason, row := range map[string]struct {
		err    func(text string) error
		tries  uint
		status int
	}{
		"rejected":    {func(text string) error { return &audit.RefusedError{Status: http.StatusBadRequest, Answer: text} }, maxAttempts, http.StatusBadRequest},
		"unavailable": {errors.New, 1, http.StatusServiceUnavailable},
	} {
		hook, err := read(body, noon)
		require.NoError(t, err)
		d := f.newDelivery(hook, body, "", noon)
		d.note(t.Context(), 0, false, row.err("first"))
		d.note(t.Context(), 1, false, row.err("second"))
		a := d.makeAnswer()
		require.Equal(t, row.status, a.status, reason)
		require.Contains(t, a.reason, "first", reason)
		require.NotContains(t, a.reason, "second", reason)
		n, err := d.attempts()
		require.NoError(t, err)
		require.Equal(t, row.tries, n, reason)
	}
}

func TestReceiversNamesLoseTheirBackslashes(t *testing.T) {
	for name, want := range map[string]string{`onefire\.eu`: `onefire.eu`, `a\\b`: `a\b`, `\\\.`: `\.`, `a`: `a`, `\a\b`: `ab`, `\\\\`: `\\`} {
		require.Equal(t, want, unquoted(name))
	}
}

func TestHeaderValuesAtTheirBounds(t *testing.T) {
	require.Equal(t, `!~%20%22%25%7F%1F%C3%A9`, audit.HeaderValue("!~ \"%\x7f\x1fé"))
	cut := bounded(strings.Repeat("x", maxExtension-1) + "\U0001F525")
	require.Equal(t, strings.Repeat("x", maxExtension-1), cut, "no half of a character stays")
}

// Where nobody names a trace, no header and no extension does.
func TestNoTraceIsNotNamed(t *testing.T) {
	b := newBroker(t)
	named := true
	b.answers(func(e event.Event, r *http.Request) (int, map[string]string, string) {
		_, header := r.Header["Traceparent"]
		_, extension := e.Extensions()["traceparent"]
		_, attribute := r.Header["Ce-Traceparent"]
		named = header || extension || attribute
		return 202, nil, ""
	})
	start(t, b).requireStatus(http.StatusOK, simple)
	require.False(t, named)
}

func TestTheSpanOfAnEventNamesIt(t *testing.T) {
	f, spans, _ := traced(t, 202)
	f.requireStatus(http.StatusOK, simple)
	root, sent := ended(t, spans, 2)
	require.Contains(t, root.Attributes, attribute.Int(telemetry.AttrStatus, http.StatusOK))
	require.Contains(t, sent[0].Attributes, attribute.String(telemetry.AttrAlert, "A"))
	about := telemetry.EventSpan{Operation: "send", ID: f.sink.events()[0].ID(), Source: "urn:prod", SpecVersion: "1.0", Type: AlertType}
	require.Subset(t, sent[0].Attributes, about.Attributes())
	for _, a := range root.Attributes {
		require.NotEqual(t, telemetry.AttrTruncated, string(a.Key), "nothing was left out")
	}

	f, spans, _ = traced(t, 202)
	f.config.Split = config.SplitNotification
	f.requireStatus(http.StatusOK, simple)
	_, sent = ended(t, spans, 2)
	for _, a := range sent[0].Attributes {
		require.NotEqual(t, telemetry.AttrAlert, string(a.Key), "it is about no single alert")
	}
}

func TestTheSpanOfAWebhookSaysHowManyAlertsWereLeftOut(t *testing.T) {
	for sent, want := range map[string]int64{"1": 1, "10": 10, "18446744073709551615": 1 << 32} {
		f, spans, _ := traced(t, 202)
		f.requireStatus(http.StatusOK, `{"truncatedAlerts":`+sent+`,"alerts":[{"labels":{"alertname":"A"}}]}`)
		root, _ := ended(t, spans, 2)
		require.Contains(t, root.Attributes, attribute.Int64(telemetry.AttrTruncated, want))
	}
}

func TestAReadySourceSaysSo(t *testing.T) {
	f := start(t, newBroker(t))
	for path, want := range map[string]string{"/health/readiness": "READY", "/health/liveness": "ALIVE"} {
		r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, f.web.URL+path, http.NoBody)
		require.NoError(t, err)
		resp, err := f.web.Client().Do(r)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		require.Equal(t, want, string(text))
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
}
