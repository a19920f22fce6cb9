package source

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/config"
)

func TestAnswersOfTheSink(t *testing.T) {
	for name, tt := range map[string]struct {
		sink   int
		header map[string]string
		status int
		posts  int
		answer string
	}{
		"202":                     {202, nil, 200, 1, "1 events accepted"},
		"200":                     {200, nil, 200, 1, ""},
		"503":                     {503, nil, 503, 4, "1 of 1 events could not be sent: the sink is not available: 503 because"},
		"503, come soon":          {503, map[string]string{"Retry-After": "0"}, 503, 4, ""},
		"503, come later":         {503, map[string]string{"Retry-After": "60"}, 503, 1, ""},
		"429, come next year":     {429, map[string]string{"Retry-After": "Fri, 01 Jan 2100 00:00:00 GMT"}, 503, 1, ""},
		"500":                     {500, nil, 503, 4, ""},
		"408":                     {408, nil, 503, 4, ""},
		"no Broker of that name":  {404, nil, 503, 1, "404 because"},
		"no rights":               {403, nil, 503, 1, ""},
		"a redirect":              {307, map[string]string{"Location": "/"}, 503, 1, ""},
		"refused":                 {400, nil, 400, 1, "the sink rejected all 1 events, which are in the log of the source: the sink refused the event for good: 400 because"},
		"refused as too large":    {413, nil, 413, 1, ""},
		"refused as not an event": {415, nil, 400, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
				return tt.sink, tt.header, "because"
			})
			f := start(t, b)
			require.Contains(t, f.requireStatus(tt.status, simple), tt.answer)
			require.Equal(t, tt.posts, b.posted())
		})
	}
}

func TestASinkThatRecoversIsTriedAgainAtOnce(t *testing.T) {
	b := newBroker(t)
	var tries atomic.Int32
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
		if tries.Add(1) < 3 {
			return http.StatusServiceUnavailable, nil, ""
		}
		return http.StatusAccepted, nil, ""
	})
	start(t, b).requireStatus(http.StatusOK, simple)
	require.Len(t, b.ids(), 1)
}

func TestASinkThatIsNotThereIsA503(t *testing.T) {
	b := newBroker(t)
	f := start(t, b, func(c *config.Source) { c.Sink = "http://127.0.0.1:1" })
	var alerts []string
	for i := range 100 {
		alerts = append(alerts, firing(0, "alertname=A", "pod="+strings.Repeat("x", i)))
	}
	tries := &counted{}
	f.Source.sink.client.Wrap(func(next http.RoundTripper) http.RoundTripper {
		tries.RoundTripper = next
		return tries
	})
	answer := f.requireStatus(http.StatusServiceUnavailable, hook(alerts...))
	require.Contains(t, answer, "100 of 100 events could not be sent: the sink is not available: ")
	require.LessOrEqual(t, tries.n.Load(), int32(maxParallel*maxAttempts), "not every event finds out for itself")
}

// counted counts requests.
type counted struct {
	http.RoundTripper
	n atomic.Int32
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

func TestAnEventThatIsRefusedForGoodIsSetAsideWhole(t *testing.T) {
	b := newBroker(t)
	b.answers(func(e event.Event, _ *http.Request) (int, map[string]string, string) {
		if e.Extensions()["alertname"] == "Bad%20one" {
			return http.StatusBadRequest, nil, "no"
		}
		return http.StatusAccepted, nil, ""
	})
	f := start(t, b)
	body := hook(firing(0, "alertname=Bad one"), firing(0, "alertname=A"), firing(0, "alertname=B"))
	require.Equal(t, "2 events accepted, 0 already accepted, 1 rejected", f.requireStatus(http.StatusOK, body))
	require.Len(t, b.ids(), 2, "its neighbours are not held back")
	aside := f.log.with(t, "event rejected by the sink")
	require.Len(t, aside, 1)
	require.Contains(t, aside[0]["error"], "400 no")
	raw, err := json.Marshal(aside[0]["cloudevent"])
	require.NoError(t, err)
	var e event.Event
	require.NoError(t, json.Unmarshal(raw, &e))
	require.NoError(t, e.Validate())
	require.Equal(t, "Bad one", e.Extensions()["alertname"], "in JSON nothing is encoded for a header")
	require.Contains(t, string(e.Data()), "Bad one")

	f.requireStatus(http.StatusOK, body)
	require.Equal(t, 3, b.posted(), "a retry does not send it again")
	require.Len(t, f.log.with(t, "event rejected by the sink"), 1)
}

func TestOverridesAndTraceAreOnEveryEvent(t *testing.T) {
	b := newBroker(t)
	f := start(t, b, func(c *config.Source) {
		c.Overrides.Extensions = map[string]string{"team": "site reliability", "region": "eu"}
		c.EventSource = "urn:prod"
	})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.web.URL+"/alertmanager", strings.NewReader(simple))
	require.NoError(t, err)
	req.Header.Set("Traceparent", trace)
	resp, err := f.web.Client().Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	e := b.events()[0]
	require.Equal(t, "site%20reliability", e.Extensions()["team"])
	require.Equal(t, "eu", e.Extensions()["region"])
	require.Equal(t, trace, e.Extensions()["traceparent"])
	require.Equal(t, "urn:prod", e.Source())
}

func TestTruncatedAlertsAreLoud(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	f.requireStatus(http.StatusOK, string(captured(t)["am0.34.0-trunc-first.json"]))
	loud := f.log.with(t, "Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels")
	require.Len(t, loud, 1)
	require.Equal(t, "ERROR", loud[0]["level"])
	require.NotZero(t, loud[0]["truncated"])
	f.requireStatus(http.StatusOK, `{"truncatedAlerts":1,"alerts":[`+firing(0, "alertname=A")+`]}`)
	loud = f.log.with(t, "Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels")
	require.Len(t, loud, 2)
	require.InDelta(t, 1, loud[1]["truncated"], 0)
	f.requireStatus(http.StatusOK, simple)
	require.NotContains(t, f.log.with(t, "webhook")[2], "trace_id", "there is no trace")
	require.Len(t, f.log.with(t, "Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels"), 2)
}

func TestTheLogSaysHowLongAWebhookTook(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	b.answers(func(event.Event, *http.Request) (int, map[string]string, string) {
		f.at(1500 * time.Millisecond)
		return http.StatusAccepted, nil, ""
	})
	f.requireStatus(http.StatusOK, simple)
	require.InDelta(t, 1500, f.log.with(t, "webhook")[0]["duration_ms"], 0)
}

func TestAPanicIsAnAnswer(t *testing.T) {
	b := newBroker(t)
	f := start(t, b)
	transport := &panics{}
	f.Source.sink.client.Wrap(func(next http.RoundTripper) http.RoundTripper {
		transport.RoundTripper = next
		return transport
	})
	require.Equal(t, "1 of 1 events could not be sent: internal error: see the log", f.requireStatus(http.StatusServiceUnavailable, simple))
	require.Len(t, f.log.with(t, "panic"), 1)
	transport.over.Store(true)
	f.requireStatus(http.StatusOK, simple)
}

// panics panics until that is over.
type panics struct {
	http.RoundTripper
	over atomic.Bool
}

func (p *panics) RoundTrip(r *http.Request) (*http.Response, error) {
	if !p.over.Load() {
		panic("for the test")
	}
	return p.RoundTripper.RoundTrip(r)
}

func TestASinkNeedsCertificatesThatAreSome(t *testing.T) {
	c := settings("http://127.0.0.1:1")
	c.CACerts = "none"
	_, err := New(t.Context(), c, io.Discard)
	require.EqualError(t, err, "K_CA_CERTS holds no certificate in PEM")
}

func TestReasonsAreShort(t *testing.T) {
	a := answered(http.StatusBadRequest, "%s", strings.Repeat("ü", maxReason))
	require.LessOrEqual(t, len(a.reason), maxReason+len("…"))
}

func TestOnlyNobodyIsUnreachable(t *testing.T) {
	require.False(t, unreachable(errors.New("503")))
	_, err := newCertificate("/nonexistent", "/nonexistent", time.Now, slog.New(slog.DiscardHandler))
	require.False(t, unreachable(err))
	require.False(t, unreachable(&net.OpError{Op: "read", Err: errors.New("reset by peer")}), "it was there")
	require.True(t, unreachable(&net.OpError{Op: "dial", Err: errors.New("refused")}))
}
