package mapping

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Alerts without an object are told apart by what does not change while one fire
// burns.
func TestIdentityOfAlertsWithoutAnObject(t *testing.T) {
	plain := map[string]string{"alertname": "A", "namespace": "shop", "job": "api", "instance": "10.0.0.1:80", "path": "/"}
	ksm := beside(scraped, "pod", "", "exported_namespace", "shop", "resource", "cpu")
	nodes := map[string]string{"alertname": "A", "namespace": "monitoring", "job": "node-exporter", "instance": "10.0.0.1:9100", "device": "sda", "pod": "ne-1", "container": "ne", "service": "ne"}
	certificates := map[string]string{"alertname": "A", "exported_namespace": "shop", "namespace": "cert-manager", "name": "tls",
		"pod": "cm-1", "container": "cm", "service": "cm", "endpoint": "http", "instance": "10.0.0.1:9402", "job": "cm"}
	for reason, row := range map[string]struct {
		labels, other map[string]string
		same          bool
	}{
		"another severity":                         {plain, beside(plain, "severity", "critical"), true},
		"another Prometheus of a pair":             {plain, beside(plain, "prometheus", "monitoring/b", "prometheus_replica", "b"), true},
		"another replica of a ruler":               {plain, beside(plain, "replica", "1", "__replica__", "1", "receive", "true"), true},
		"another window of a rule":                 {plain, beside(plain, "long", "1d", "short", "2h", "window", "1h"), true},
		"where the rule stands":                    {plain, beside(plain, "alertgroup", "shop", "openshift_io_alert_source", "platform"), true},
		"another container of one pod, by its id":  {plain, beside(plain, "uid", "1", "container_id", "containerd://2", "endpoint", "http"), true},
		"a state of this moment":                   {plain, beside(plain, "sync_status", "OutOfSync", "health_status", "Degraded"), true},
		"an empty label is absent":                 {plain, beside(plain, "zone", ""), true},
		"another alert":                            {plain, beside(plain, "alertname", "B"), false},
		"another machine":                          {plain, beside(plain, "instance", "10.0.0.2:80"), false},
		"another label of the metric":              {plain, beside(plain, "path", "/cart"), false},
		"another job":                              {plain, beside(plain, "job", "web"), false},
		"a container of an exporter like any":      {plain, beside(plain, "container", "x"), false},
		"kube-state-metrics' instance":             {beside(ksm, "exported_namespace", ""), beside(ksm, "exported_namespace", "", "instance", "10.0.0.2:8080"), true},
		"kube-state-metrics' namespace":            {ksm, beside(ksm, "namespace", "monitoring"), true},
		"what kube-state-metrics reports on":       {ksm, beside(ksm, "resource", "memory"), false},
		"the namespace that it reports on":         {ksm, beside(ksm, "exported_namespace", "payments"), false},
		"node-exporter's pod":                      {nodes, beside(nodes, "pod", "ne-2", "container", "proxy", "service", "other"), true},
		"node-exporter's machine":                  {nodes, beside(nodes, "instance", "10.0.0.2:9100"), false},
		"another device of that machine":           {nodes, beside(nodes, "device", "sdb"), false},
		"the pod of who reports another namespace": {certificates, beside(certificates, "pod", "cm-2", "instance", "10.0.0.2:9402", "container", "b", "service", "b", "namespace", "b"), true},
		"what it reports":                          {certificates, beside(certificates, "name", "admin-tls"), false},
	} {
		t.Run(reason, func(t *testing.T) {
			for _, mode := range []FingerprintMode{ByAlert, ByResource} {
				rules := Rules{Fingerprint: mode, Namespace: "onefire"}
				one, two := signalOf(t, rules, row.labels), signalOf(t, rules, row.other)
				require.Equal(t, KindUnknown, one.Target.Kind)
				require.Equal(t, row.same, one.Fingerprint == two.Fingerprint, "%s and %s", one.Target.Name, two.Target.Name)
			}
		})
	}
}

func TestLabelsThatIdentifyNothingHere(t *testing.T) {
	labels := map[string]string{"alertname": "A", "instance": "i", "build": "1"}
	rules := Rules{Targets: Targets{Ignored: []string{"build"}}}
	require.Equal(t, signalOf(t, rules, labels).Fingerprint, signalOf(t, rules, beside(labels, "build", "2")).Fingerprint)
	require.NotEqual(t, signalOf(t, Rules{}, labels).Fingerprint, signalOf(t, Rules{}, beside(labels, "build", "2")).Fingerprint)
}
