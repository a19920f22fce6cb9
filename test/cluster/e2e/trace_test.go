package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tracing has all of Onefire, by its component, and Knative's Broker send their
// spans to the Collector, until the test ends.
func (w *world) tracing() {
	w.t.Helper()
	w.choose("otlp", "networkpolicy/onefire-otlp")
	w.t.Cleanup(func() {
		w.broker(`{"data":{"tracing-protocol":null,"tracing-endpoint":null,"tracing-sampling-rate":null}}`)
	})
	w.broker(`{"data":{"tracing-protocol":"http/protobuf","tracing-endpoint":"http://collector.observability.svc.cluster.local:4318/v1/traces","tracing-sampling-rate":"1"}}`)
}

// broker patches what Knative's Broker observes, and starts it anew: it reads
// that once.
func (w *world) broker(patch string) {
	w.t.Helper()
	w.kubectl("-n", "knative-eventing", "patch", "configmap", "config-observability", "--type=merge", "-p", patch)
	for _, do := range []string{"restart", "status"} {
		for _, deployment := range []string{"mt-broker-ingress", "mt-broker-filter", "imc-dispatcher"} {
			w.kubectl("-n", "knative-eventing", "rollout", do, "deployment", deployment)
		}
	}
}

func TestOneTraceGoesFromTheWebhookToDataStorage(t *testing.T) {
	w := newWorld(t)
	w.tracing()
	var printed strings.Builder
	follow := exec.CommandContext(t.Context(), w.p.Bin("kubectl"), "-n", "observability", "logs", "-f", "deployment/collector")
	follow.Stdout = &printed
	require.NoError(t, follow.Start())
	name := fresh("Traced")
	w.raise(0, alert(name, "api"))
	w.settles(name, map[string]int{"api": 1})
	// Spans are sent every 5 s.
	pass(t, 10*time.Second)
	w.kubectl("-n", "observability", "delete", "pod", "-l", "app=collector")
	_ = follow.Wait() // It ends with the pod.
	found := ""
	for _, trace := range strings.Split(printed.String(), "\ntrace ") {
		if strings.Contains(trace, name) {
			require.Empty(t, found, "it is one trace")
			found = trace
		}
	}
	t.Log("trace " + found)
	for _, span := range []string{"POST /alertmanager", "send io.prometheus.alert.v1", "process io.prometheus.alert.v1", "settle", "create remediationrequests", "send gateway.crd.created"} {
		require.Contains(t, found, span)
	}
	require.Contains(t, found, "broker", "Knative's spans are in it too")
}
