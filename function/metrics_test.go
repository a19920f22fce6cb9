package function

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"onefire/audit"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/telemetry"
)

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// scraped is what Prometheus reads at an address.
func scraped(t *testing.T, address string) string {
	t.Helper()
	resp, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}

func TestCallsOfTheAPIAreCounted(t *testing.T) {
	f := newTraced(t)
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	f.service.observer.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	f.service.pipeline.requests = f.deduplicator(&apiCalls{metrics: f.service.observer.metrics})
	requireStatus(t, http.StatusOK, f.serve(binary("1", pod)))
	f.api.before = func(string, *http.Request) *http.Response { return failure(http.StatusForbidden, "Forbidden") }
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("2", pod)))
	unreached := &apiCalls{metrics: f.service.observer.metrics}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.test/apis/kubernaut.ai/v1alpha1/namespaces/ns/remediationrequests", nil)
	require.NoError(t, err)
	_, err = unreached.wrap(away{}).RoundTrip(r) //nolint:bodyclose // There is none.
	require.Error(t, err)
	text := scraped(t, address)
	for _, line := range []string{
		`onefire_api_duration_seconds_count{code="200",resource="remediationrequests",verb="list"} 2`,
		`onefire_api_duration_seconds_count{code="201",resource="remediationrequests",verb="create"} 1`,
		`onefire_api_duration_seconds_count{code="403",resource="remediationrequests",verb="list"} 1`,
		`onefire_api_duration_seconds_count{code="none",resource="remediationrequests",verb="list"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NoError(t, watch.Stop(t.Context()))
}

func TestMetricsSayWhatBecameOfEventsAlertsAndAudit(t *testing.T) {
	f := newFixture()
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	f.service.observer.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	f.sink.fail = func(e audit.Event) error {
		if e.ID == "3" {
			return errors.New("the sink is down")
		}
		if strings.HasSuffix(e.Type, "received") {
			return &audit.RefusedError{Status: 400}
		}
		return nil
	}
	requireStatus(t, http.StatusOK, f.serve(binary("1", strings.Replace(webhook(alert("firing", "alertname=A"), alert("firing", "alertname=Watchdog")), "{", `{"truncatedAlerts":7,`, 1))))
	requireStatus(t, http.StatusBadRequest, f.serve(binary("2", "{}")))
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("3", webhook(alert("firing", "alertname=A"), alert("firing", "alertname=B")))))
	require.NoError(t, f.receiver.Close(t.Context()))
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("4", "{}")))
	f.service.observer.metrics.event(kube.Written)

	text := scraped(t, address)
	for _, line := range []string{
		`onefire_requests_total{status="200"} 1`,
		`onefire_requests_total{status="400"} 1`,
		`onefire_requests_total{status="503"} 2`,
		`onefire_request_duration_seconds_count{status="200"} 1`,
		`onefire_request_duration_seconds_bucket{status="200",le="25"} 1`,
		`onefire_request_duration_seconds_count{status="503"} 2`,
		`onefire_audit_duration_seconds_count{result="set_aside"} 1`,
		`onefire_audit_duration_seconds_count{result="stored"} 1`,
		`onefire_truncated_total 7`,
		`onefire_kubernetes_events_total{result="written"} 1`,
		`onefire_alerts_total{decision="new",reason="first_seen"} 1`,
		`onefire_alerts_total{decision="unsettled",reason="unavailable"} 2`,
		`onefire_audit_events_total{result="set_aside"} 1`,
		`onefire_audit_events_total{result="stored"} 1`,
		`onefire_audit_events_total{result="unavailable"} 4`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NoError(t, watch.Stop(t.Context()))
	again, err := net.Listen("tcp", address)
	require.NoError(t, err, "the port is free again")
	again.Close()
}

func TestEachMetricIsDescribed(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("onefire")
	m, err := newMetrics(meter)
	require.NoError(t, err)
	for _, c := range []metric.Int64Counter{m.requests, m.alerts, m.audits, m.truncated, m.targets, m.unrecorded, m.outdated, m.longPasts, m.kubernetesEvents} {
		c.Add(t.Context(), 1)
	}
	for _, h := range []metric.Float64Histogram{m.durations, m.calls, m.deliveries} {
		h.Record(t.Context(), 1)
	}
	require.NoError(t, measurePause(meter, func(context.Context) *dedup.Pause { return nil }))
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	require.Len(t, all.ScopeMetrics[0].Metrics, 13)
	for _, one := range all.ScopeMetrics[0].Metrics {
		require.NotEmpty(t, one.Description, one.Name)
	}
}
