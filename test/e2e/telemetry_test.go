package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestAnEndingFunctionSendsWhatItCountedAndDid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	var mu sync.Mutex
	bodies := map[string]string{}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		bodies[r.URL.Path] += fmt.Sprint(body)
	}))
	defer collector.Close()
	f := w.start("OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.URL)
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Down", "api-0"))))
	w.stop(f)
	mu.Lock()
	defer mu.Unlock()
	require.Contains(t, bodies["/v1/metrics"], "onefire.alerts")
	require.Contains(t, bodies["/v1/metrics"], "first_seen")
	require.Contains(t, bodies["/v1/traces"], "name:settle")
}

func TestACollectorThatNeverAnswersHarmsNoAlert(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	release := make(chan struct{})
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // Only then is a client's end noticed.
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer collector.Close()
	defer close(release)
	f := w.start("OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_METRIC_EXPORT_INTERVAL=100", "OTEL_BSP_SCHEDULE_DELAY=100")
	for i := range 5 {
		require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint(i), webhook(firing("Down", "api-0"))))
	}
	require.EqualValues(t, 5, count(w.only()))
	begun := time.Now()
	w.stop(f)
	require.Less(t, time.Since(begun), 15*time.Second, "the end waits for 5 s")
	require.Contains(t, f.log.String(), `"telemetry lost","kind":"metrics"`)
}
