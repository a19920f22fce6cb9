package function

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// maxAllocations is what the way of one alert through this room and mapping may
// allocate, without API calls and audit deliveries: a fifth more than it does.
const maxAllocations = 480

// oneAlert is an event as an Alertmanager sends it, of one alert.
var oneAlert = webhook(alert("firing", "alertname=KubePodCrashLooping", "namespace=payments", "pod=api-1", "container=api",
	"severity=warning", "cluster=eu-1", "prometheus=monitoring/k8s", "job=kube-state-metrics"))

func serveOne(f *fixture) int {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, binary("1", oneAlert))
	f.sink.events = f.sink.events[:0]
	return w.Code
}

func TestAnAlertAllocatesLittle(t *testing.T) {
	f := newFixture()
	require.Equal(t, http.StatusOK, serveOne(f))
	n := testing.AllocsPerRun(100, func() { serveOne(f) })
	t.Logf("%.0f allocations", n)
	require.LessOrEqual(t, n, float64(maxAllocations))
}

func BenchmarkAlert(b *testing.B) {
	f := newFixture()
	b.ReportAllocs()
	for b.Loop() {
		serveOne(f)
	}
}
