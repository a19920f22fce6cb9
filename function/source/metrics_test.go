package source

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/config"
)

func newTLSServer(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = nil
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func TestMetrics(t *testing.T) {
	b := newBroker(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close()) // Nothing else listens before the source does.
	b.answers(func(e event.Event, _ *http.Request) (int, map[string]string, string) {
		switch e.Extensions()["alertname"] {
		case "Down":
			return http.StatusServiceUnavailable, map[string]string{"Retry-After": "99"}, ""
		case "Bad":
			return http.StatusBadRequest, nil, ""
		}
		return http.StatusAccepted, nil, ""
	})
	f := start(t, b, func(c *config.Source) { c.MetricsAddress = address })
	f.requireStatus(http.StatusOK, hook(firing(0, "alertname=Watchdog"), firing(0, "alertname=Bad")))
	f.requireStatus(http.StatusOK, hook(firing(0, "alertname=Watchdog")))
	f.requireStatus(http.StatusServiceUnavailable, hook(firing(0, "alertname=Down")))
	f.requireStatus(http.StatusBadRequest, "{}")
	f.requireStatus(http.StatusOK, `{"truncatedAlerts":7,"alerts":[`+firing(0, "alertname=T")+`]}`)

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, line := range []string{
		`onefire_source_webhooks_total{status="200"} 3`,
		`onefire_source_webhooks_total{status="503"} 1`,
		`onefire_source_webhooks_total{status="400"} 1`,
		`onefire_source_events_total{result="sent"} 2`,
		`onefire_source_events_total{result="again"} 1`,
		`onefire_source_events_total{result="set_aside"} 1`,
		`onefire_source_events_total{result="unavailable"} 1`,
		`onefire_source_truncated_alerts_total 7`,
		`onefire_source_last_webhook_timestamp_seconds 1.7686512e+09`,
		`onefire_source_last_watchdog_timestamp_seconds 1.7686512e+09`,
	} {
		require.Contains(t, string(text), line+"\n")
	}
}

func TestMetricsNeedAnAddressOfTheirOwn(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	c := settings("http://127.0.0.1:1")
	c.MetricsAddress = taken.Addr().String()
	_, err = New(t.Context(), c, io.Discard)
	require.ErrorContains(t, err, "METRICS_ADDRESS")
}
