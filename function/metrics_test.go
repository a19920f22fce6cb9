package function

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/audit"
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

func TestMetricsSayWhatBecameOfEventsAlertsAndAudit(t *testing.T) {
	f := newFixture()
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	f.parts.metrics, err = newMetrics(watch.Meter())
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
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A"), alert("firing", "alertname=Watchdog")))))
	requireStatus(t, http.StatusBadRequest, f.serve(binary("2", "{}")))
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("3", webhook(alert("firing", "alertname=A"), alert("firing", "alertname=B")))))
	require.NoError(t, f.receiver.Close(t.Context()))
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("4", "{}")))

	resp, err := http.Get("http://" + address + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for _, line := range []string{
		`onefire_requests_total{status="200"} 1`,
		`onefire_requests_total{status="400"} 1`,
		`onefire_requests_total{status="503"} 2`,
		`onefire_alerts_total{decision="new",reason="first_seen"} 1`,
		`onefire_alerts_total{decision="unsettled",reason="unavailable"} 2`,
		`onefire_audit_events_total{result="set_aside"} 1`,
		`onefire_audit_events_total{result="stored"} 1`,
		`onefire_audit_events_total{result="unavailable"} 2`,
	} {
		require.Contains(t, string(text), line+"\n")
	}
	require.NoError(t, watch.Stop(t.Context()))
	again, err := net.Listen("tcp", address)
	require.NoError(t, err, "the port is free again")
	again.Close()
}
