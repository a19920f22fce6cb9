package source

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

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
	f.requireStatus(http.StatusOK, `{"truncatedAlerts":7,"alerts":[`+firing(0, "alertname=T")+`]}`)
	f.at(time.Minute)
	f.requireStatus(http.StatusServiceUnavailable, hook(firing(0, "alertname=Down")))
	f.requireStatus(http.StatusBadRequest, "{}")

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
		name, _, _ := strings.Cut(line, " ")
		name, _, _ = strings.Cut(name, "{")
		require.Regexp(t, "(?m)^# HELP "+strings.TrimSuffix(name, "_total")+"(_total)? [A-Z]", string(text), "it says what it is")
	}
}

// watchdog is when the watchdog was sent on last, as metrics say; zero for never.
func watchdog(t *testing.T, reader metric.Reader) int64 {
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	for _, m := range all.ScopeMetrics[0].Metrics {
		if m.Name == "onefire.source.last.watchdog.timestamp" {
			return m.Data.(metricdata.Gauge[int64]).DataPoints[0].Value
		}
	}
	return 0
}

func TestWhenTheWatchdogWasSentOn(t *testing.T) {
	alive, other, ended := firing(0, "alertname=Watchdog"), firing(0, "alertname=A"), alertOf("resolved", 0, "alertname=Watchdog")
	for reason, row := range map[string]struct {
		split config.Split
		body  string
		sink  int
		seen  bool
	}{
		"an event of its own":       {config.SplitAlert, hook(alive, other), 202, true},
		"another's event":           {config.SplitAlert, hook(other), 202, false},
		"it ended":                  {config.SplitAlert, hook(ended), 202, false},
		"the sink rejects it":       {config.SplitAlert, hook(alive), 400, false},
		"the sink is away":          {config.SplitAlert, hook(alive), 403, false},
		"the first of an event":     {config.SplitNotification, hook(alive, other), 202, true},
		"the last of an event":      {config.SplitNotification, hook(other, alive), 202, true},
		"an event without it":       {config.SplitNotification, hook(other, ended), 202, false},
		"an event that is rejected": {config.SplitNotification, hook(alive), 400, false},
	} {
		t.Run(reason, func(t *testing.T) {
			b := newBroker(t)
			b.always(row.sink)
			f := start(t, b, func(c *config.Source) { c.Split = row.split })
			reader := metric.NewManualReader()
			f.metrics = newMetrics(metric.NewMeterProvider(metric.WithReader(reader)).Meter("onefire"))
			// The second comes again within the window, and tells as much.
			for _, after := range []time.Duration{0, 10 * time.Second} {
				want := int64(0)
				if row.seen {
					want = noon.Add(after).Unix()
				}
				f.at(after).post(row.body)
				require.Equal(t, want, watchdog(t, reader))
			}
		})
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
