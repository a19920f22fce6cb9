package mapping

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// scraped are labels of the scrape target, which stand beside the subject's own.
var scraped = map[string]string{
	"alertname": "A", "namespace": "monitoring", "job": "kube-state-metrics", "instance": "10.0.0.1:8080",
	"endpoint": "http", "service": "kube-state-metrics", "container": "exporter",
}

func TestPreferenceOfLabels(t *testing.T) {
	// Each label is preferred to all that follow it.
	order := []struct {
		label string
		want  Target
	}{
		{"deployment", Target{"apps/v1", "Deployment", "x", "monitoring"}},
		{"statefulset", Target{"apps/v1", "StatefulSet", "x", "monitoring"}},
		{"daemonset", Target{"apps/v1", "DaemonSet", "x", "monitoring"}},
		{"cronjob", Target{"batch/v1", "CronJob", "x", "monitoring"}},
		{"job_name", Target{"batch/v1", "Job", "x", "monitoring"}},
		{"pod", Target{"v1", "Pod", "x", "monitoring"}},
		{"node", Target{"v1", "Node", "x", ""}},
		{"persistentvolumeclaim", Target{"v1", "PersistentVolumeClaim", "x", "monitoring"}},
		{"persistentvolume", Target{"v1", "PersistentVolume", "x", ""}},
		{"horizontalpodautoscaler", Target{"autoscaling/v2", "HorizontalPodAutoscaler", "x", "monitoring"}},
		{"poddisruptionbudget", Target{"policy/v1", "PodDisruptionBudget", "x", "monitoring"}},
		{"replicaset", Target{"apps/v1", "ReplicaSet", "x", "monitoring"}},
		{"ingress", Target{"networking.k8s.io/v1", "Ingress", "x", "monitoring"}},
		{"resourcequota", Target{"v1", "ResourceQuota", "x", "monitoring"}},
	}
	require.Len(t, order, len(targets), "a label that this table does not know")
	labels := maps.Clone(scraped)
	for i := len(order) - 1; i >= 0; i-- {
		row := order[i]
		labels[row.label] = "x"
		t.Run(row.label, func(t *testing.T) {
			require.Equal(t, row.want, target(labels, "id"), "goes before all that follow it")
			alone := maps.Clone(scraped)
			alone["exported_"+row.label] = "x"
			require.Equal(t, row.want, target(alone, "id"), "is read under its exported_ name too")
			alone[row.label] = "the exporter's"
			require.Equal(t, row.want, target(alone, "id"), "the exported_ one is the subject's")
		})
	}
}

func TestTarget(t *testing.T) {
	for reason, row := range map[string]struct {
		labels map[string]string
		want   Target
	}{
		"exported_namespace is the subject's": {
			map[string]string{"pod": "api-0", "namespace": "monitoring", "exported_namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"an empty exported_ label is absent": {
			map[string]string{"pod": "api-0", "exported_pod": "", "namespace": "payments", "exported_namespace": ""},
			Target{"v1", "Pod", "api-0", "payments"}},
		"an empty label is absent": {
			map[string]string{"deployment": "", "pod": "api-0", "namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"a workload need not have a namespace": {
			map[string]string{"deployment": "api"},
			Target{"apps/v1", "Deployment", "api", ""}},
		"a node is cluster-scoped, the namespace beside it is the exporter's": {
			map[string]string{"node": "n1", "namespace": "monitoring", "exported_namespace": "payments"},
			Target{"v1", "Node", "n1", ""}},
		"service without instance is the subject": {
			map[string]string{"service": "api", "namespace": "payments"},
			Target{"v1", "Service", "api", "payments"}},
		"service with instance is the scrape target's": {
			map[string]string{"service": "node-exporter", "instance": "n1:9100", "namespace": "monitoring"},
			Target{"", KindUnknown, "id", "monitoring"}},
		"job is never a Kubernetes Job": {
			map[string]string{"job": "backup", "namespace": "payments"},
			Target{"", KindUnknown, "id", "payments"}},
		"container, endpoint and instance are the scrape target's": {
			map[string]string{"container": "api", "endpoint": "http", "instance": "10.0.0.1:80"},
			Target{"", KindUnknown, "id", ""}},
		"no labels": {nil, Target{"", KindUnknown, "id", ""}},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, target(row.labels, "id"))
		})
	}
}

func TestTwoInstancesStayTwo(t *testing.T) {
	for _, mode := range []FingerprintMode{ByAlert, ByResource} {
		t.Run(string(mode), func(t *testing.T) {
			rules := Rules{Fingerprint: mode, Namespace: "ops"}
			n, err := Parse(captured(t)["am0.34.0-trunc-first.json"], now)
			require.NoError(t, err)
			fingerprints := map[string]bool{}
			for _, a := range n.Alerts {
				s, err := rules.Signal(a, now)
				require.NoError(t, err)
				require.Equal(t, Target{Kind: KindUnknown, Name: a.Identity()}, s.Target)
				fingerprints[s.Fingerprint] = true
			}
			require.Len(t, fingerprints, 3, "three nodes known only by instance")
		})
	}
}

func TestAnExportedServiceIsTheSubjects(t *testing.T) {
	got := target(map[string]string{"exported_service": "checkout", "service": "node-exporter", "instance": "n1"}, "identity")
	require.Equal(t, "checkout", got.Name)
}
