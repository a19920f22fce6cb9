package mapping

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

// scraped are labels that the Prometheus Operator's scrape of kube-state-metrics
// leaves beside those of its metrics.
var scraped = map[string]string{
	"alertname": "A", "namespace": "shop", "job": "kube-state-metrics", "instance": "10.0.0.1:8080", "endpoint": "http",
	"service": "kps-kube-state-metrics", "container": "kube-state-metrics", "pod": "kps-kube-state-metrics-58474dc949-6ngch",
}

func beside(labels map[string]string, more ...string) map[string]string {
	all := maps.Clone(labels)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func targetOf(labels map[string]string) Target {
	return Rules{}.target(Alert{Labels: labels}).target
}

func TestPreferenceOfLabels(t *testing.T) {
	// Each label is preferred to all that follow it.
	order := []struct {
		label string
		want  Target
	}{
		{"deployment", Target{"apps/v1", "Deployment", "x", "shop"}},
		{"statefulset", Target{"apps/v1", "StatefulSet", "x", "shop"}},
		{"daemonset", Target{"apps/v1", "DaemonSet", "x", "shop"}},
		{"cronjob", Target{"batch/v1", "CronJob", "x", "shop"}},
		{"job_name", Target{"batch/v1", "Job", "x", "shop"}},
		{"persistentvolumeclaim", Target{"v1", "PersistentVolumeClaim", "x", "shop"}},
		{"horizontalpodautoscaler", Target{"autoscaling/v2", "HorizontalPodAutoscaler", "x", "shop"}},
		{"poddisruptionbudget", Target{"policy/v1", "PodDisruptionBudget", "x", "shop"}},
		{"resourcequota", Target{"v1", "ResourceQuota", "x", "shop"}},
		{"ingress", Target{"networking.k8s.io/v1", "Ingress", "x", "shop"}},
		{"replicaset", Target{"apps/v1", "ReplicaSet", "x", "shop"}},
		{"persistentvolume", Target{"v1", "PersistentVolume", "x", ""}},
	}
	require.Len(t, order, len(builtinNames.subjects), "a label that this table does not know")
	labels := beside(scraped, "node", "worker-2")
	for i := len(order) - 1; i >= 0; i-- {
		row := order[i]
		labels[row.label] = "x"
		t.Run(row.label, func(t *testing.T) {
			require.Equal(t, row.want, targetOf(labels), "goes before all that follow it, and before pod and node")
			require.Equal(t, row.want, targetOf(beside(scraped, "exported_"+row.label, "x")), "is read under its exported_ name too")
			require.Equal(t, row.want, targetOf(beside(scraped, row.label, "the-exporters", "exported_"+row.label, "x")), "the exported_ one is the subject's")
		})
	}
}

func TestTarget(t *testing.T) {
	for reason, row := range map[string]struct {
		labels map[string]string
		want   Target
	}{
		// The labels of kube-state-metrics.
		"kube-state-metrics: a node, not the reporter's pod": {
			beside(scraped, "node", "worker-2"),
			Target{"v1", "Node", "worker-2", ""}},
		"kube-state-metrics: its own pod, where nothing else is there": {
			scraped,
			Target{"v1", "Pod", "kps-kube-state-metrics-58474dc949-6ngch", "shop"}},
		"kube-state-metrics: a pod that is called like its Service": {
			beside(scraped, "service", "ksm", "pod", "ksm-58474dc949-6ngch", "node", "worker-2"),
			Target{"v1", "Node", "worker-2", ""}},
		"kube-state-metrics: a pod that is not called like its Service": {
			beside(scraped, "service", "metrics", "node", "worker-2"),
			Target{"v1", "Node", "worker-2", ""}},
		"kube-state-metrics: a pod and the node it runs on": {
			beside(scraped, "pod", "api-0", "container", "api", "node", "worker-2"),
			Target{"v1", "Pod", "api-0", "shop"}},
		"kube-state-metrics: node-exporter's pod, with its container": {
			beside(scraped, "pod", "node-exporter-7xk2f", "container", "node-exporter"),
			Target{"v1", "Pod", "node-exporter-7xk2f", "shop"}},
		"kube-state-metrics: a custom resource": {
			beside(scraped, "customresource_group", "helm.toolkit.fluxcd.io", "customresource_version", "v2", "customresource_kind", "HelmRelease", "name", "birdnet"),
			Target{"helm.toolkit.fluxcd.io/v2", "HelmRelease", "birdnet", "shop"}},
		"kube-state-metrics: a custom resource without a name is none": {
			beside(scraped, "customresource_kind", "HelmRelease", "name", "<no value>", "pod", "api-0"),
			Target{"v1", "Pod", "api-0", "shop"}},

		// The kubelet's and cAdvisor's labels.
		"kubelet: a pod and its node": {
			map[string]string{"job": "kubelet", "endpoint": "https-metrics", "service": "kubelet", "pod": "kubelet-csr-approver-1", "namespace": "shop", "node": "worker-2"},
			Target{"v1", "Pod", "kubelet-csr-approver-1", "shop"}},
		"cAdvisor: a pod that is called like its container": {
			map[string]string{"metrics_path": "/metrics/cadvisor", "instance": "10.0.0.1:10250", "container": "api", "pod": "api-1", "namespace": "shop", "node": "worker-2"},
			Target{"v1", "Pod", "api-1", "shop"}},
		"cAdvisor, aggregated: a pod that is called like its container": {
			map[string]string{"container": "api", "pod": "api-1", "namespace": "shop", "node": "worker-2"},
			Target{"v1", "Pod", "api-1", "shop"}},
		"kubelet: a claim, wherever it is mounted": {
			map[string]string{"job": "kubelet", "persistentvolumeclaim": "data", "namespace": "shop", "node": "worker-2"},
			Target{"v1", "PersistentVolumeClaim", "data", "shop"}},

		// node-exporter means its node.
		"node-exporter: the label node": {
			map[string]string{"job": "node-exporter", "node": "worker-2", "instance": "metal01", "pod": "node-exporter-7xk2f", "namespace": "monitoring"},
			Target{"v1", "Node", "worker-2", ""}},
		"node-exporter: an instance that is a node's name": {
			map[string]string{"job": "node-exporter", "instance": "worker-2", "pod": "node-exporter-7xk2f", "namespace": "monitoring"},
			Target{"v1", "Node", "worker-2", ""}},
		"node-exporter: told by its service, where the job is everybody's": {
			map[string]string{"job": "kubernetes-service-endpoints", "service": "prometheus-node-exporter", "node": "worker-2", "instance": "10.0.0.1:9100", "namespace": "monitoring"},
			Target{"v1", "Node", "worker-2", ""}},
		"node-exporter: all of its instances": {
			map[string]string{"job": "node-exporter", "service": "node-exporter", "namespace": "monitoring"},
			Target{"v1", "Service", "node-exporter", "monitoring"}},
		"windows-exporter means its node too": {
			map[string]string{"job": "windows-exporter", "instance": "win-1", "pod": "windows-exporter-7xk2f", "namespace": "monitoring"},
			Target{"v1", "Node", "win-1", ""}},

		// Whose pod it is.
		"an exporter that reports on its node": {
			map[string]string{"job": "gpu", "service": "dcgm-exporter", "instance": "10.0.0.1:9400", "pod": "dcgm-exporter-x2x7p", "namespace": "gpu", "node": "worker-2"},
			Target{"v1", "Node", "worker-2", ""}},
		"an exporter is told by its job": {
			map[string]string{"job": "dcgm-exporter", "pod": "dcgm-exporter-x2x7p", "namespace": "gpu", "node": "worker-2"},
			Target{"v1", "Node", "worker-2", ""}},
		"an exporter is told by its container, where that is the scrape's": {
			map[string]string{"container": "dcgm-exporter", "endpoint": "metrics", "pod": "dcgm-exporter-x2x7p", "namespace": "gpu", "node": "worker-2"},
			Target{"v1", "Node", "worker-2", ""}},
		"an application alerts on itself": {
			map[string]string{"job": "api", "service": "api", "container": "api", "endpoint": "http", "instance": "10.0.0.1:80", "pod": "api-1", "namespace": "shop"},
			Target{"v1", "Pod", "api-1", "shop"}},
		"part of a name is not the beginning of a pod's": {
			map[string]string{"service": "api", "instance": "10.0.0.1:80", "pod": "apiserver-1", "namespace": "shop", "node": "worker-2"},
			Target{"v1", "Pod", "apiserver-1", "shop"}},
		"pod and node alone: the pod": {
			map[string]string{"pod": "api-1", "node": "worker-2", "namespace": "shop"},
			Target{"v1", "Pod", "api-1", "shop"}},
		"a pod beside a Service that it does not report on": {
			map[string]string{"exported_service": "checkout", "pod": "api-1", "instance": "i", "namespace": "shop"},
			Target{"v1", "Pod", "api-1", "shop"}},
		"an exporter is told by its Service": {
			map[string]string{"service": "dcgm-exporter", "pod": "dcgm-exporter-x2x7p", "namespace": "gpu", "node": "worker-2"},
			Target{"v1", "Node", "worker-2", ""}},
		"an exported_pod is never the reporter's": {
			map[string]string{"exported_pod": "api-1", "pod": "api-2", "service": "api", "instance": "i", "namespace": "shop", "node": "worker-2"},
			Target{"v1", "Pod", "api-1", "shop"}},
		"a namespace was renamed and no pod was: the pod is the reporter's": {
			map[string]string{"exported_namespace": "shop", "namespace": "cert-manager", "pod": "cert-manager-1", "endpoint": "http", "node": "worker-2"},
			Target{"v1", "Node", "worker-2", ""}},
		"a Service that the reporter's pod serves": {
			map[string]string{"exported_namespace": "shop", "exported_service": "checkout", "namespace": "ingress", "pod": "controller-1", "service": "controller", "endpoint": "http", "instance": "i"},
			Target{"v1", "Service", "checkout", "shop"}},
		"a Service beside a pod that the service is the beginning of": {
			map[string]string{"exported_service": "checkout", "namespace": "shop", "pod": "controller-1", "service": "controller", "instance": "i"},
			Target{"v1", "Service", "checkout", "shop"}},

		// Names and namespaces.
		"exported_namespace is the subject's": {
			map[string]string{"pod": "api-0", "namespace": "monitoring", "exported_namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"an empty exported_ label is absent": {
			map[string]string{"pod": "api-0", "exported_pod": "", "namespace": "payments", "exported_namespace": ""},
			Target{"v1", "Pod", "api-0", "payments"}},
		"an empty label is absent": {
			map[string]string{"deployment": "", "pod": "api-0", "namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"a template's <no value> is no name": {
			map[string]string{"deployment": "<no value>", "pod": "api-0", "namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"a regular expression is no name": {
			map[string]string{"statefulset": "db-.*", "pod": "api-0", "namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"<no value> is no namespace": {
			map[string]string{"pod": "api-0", "namespace": "<no value>", "namespace_name": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"an exported_ label that is no name does not hide the plain one": {
			map[string]string{"exported_pod": ".*", "pod": "api-0", "exported_namespace": "?", "namespace": "payments"},
			Target{"v1", "Pod", "api-0", "payments"}},
		"a workload need not have a namespace": {
			map[string]string{"deployment": "api"},
			Target{"apps/v1", "Deployment", "api", ""}},
		"a node is cluster-scoped, the namespace beside it is the exporter's": {
			map[string]string{"node": "n1", "namespace": "monitoring", "exported_namespace": "payments"},
			Target{"v1", "Node", "n1", ""}},
		"a Longhorn volume's claim has a namespace of its own": {
			map[string]string{"pvc": "data", "pvc_namespace": "shop", "namespace": "longhorn-system", "node": "n1", "volume": "pvc-1"},
			Target{"v1", "PersistentVolumeClaim", "data", "shop"}},
		"a workload of kubernetes-mixin": {
			map[string]string{"workload": "api", "workload_type": "StatefulSet", "namespace": "shop"},
			Target{"apps/v1", "StatefulSet", "api", "shop"}},
		"a workload of a type that nobody knows": {
			map[string]string{"workload": "api", "workload_type": "barepod", "pod": "api-1", "namespace": "shop"},
			Target{"v1", "Pod", "api-1", "shop"}},

		// Services.
		"service without instance is the subject": {
			map[string]string{"service": "api", "namespace": "payments"},
			Target{"v1", "Service", "api", "payments"}},
		"an exported_service is the subject's": {
			map[string]string{"exported_service": "checkout", "service": "probe", "instance": "n1", "namespace": "payments"},
			Target{"v1", "Service", "checkout", "payments"}},
	} {
		t.Run(reason, func(t *testing.T) {
			require.Equal(t, row.want, targetOf(row.labels))
		})
	}
}

func TestOtherNamesForTheSameLabels(t *testing.T) {
	for name, want := range map[string]string{
		"k8s.pod.name": "Pod", "k8s_pod_name": "Pod", "kubernetes_pod_name": "Pod", "pod_name": "Pod", "exported_k8s_pod_name": "Pod",
		"k8s.node.name": "Node", "k8s_node_name": "Node", "kubernetes_node": "Node", "nodename": "Node", "node_name": "Node",
		"k8s.deployment.name": "Deployment", "k8s_deployment_name": "Deployment", "k8s.statefulset.name": "StatefulSet", "k8s_statefulset_name": "StatefulSet",
		"k8s.daemonset.name": "DaemonSet", "k8s_daemonset_name": "DaemonSet", "k8s.cronjob.name": "CronJob", "k8s_cronjob_name": "CronJob",
		"k8s.job.name": "Job", "k8s_job_name": "Job", "k8s.replicaset.name": "ReplicaSet", "k8s_replicaset_name": "ReplicaSet", "pvc": "PersistentVolumeClaim",
		"k8s.hpa.name": "HorizontalPodAutoscaler", "k8s_hpa_name": "HorizontalPodAutoscaler", "k8s.resourcequota.name": "ResourceQuota", "k8s_resourcequota_name": "ResourceQuota",
	} {
		for _, namespace := range []string{"namespace", "k8s.namespace.name", "k8s_namespace_name", "kubernetes_namespace", "namespace_name"} {
			t.Run(name+" in "+namespace, func(t *testing.T) {
				k := kinds[want]
				in := "shop"
				if k.clusterScoped {
					in = ""
				}
				require.Equal(t, Target{k.apiVersion, want, "x", in}, targetOf(map[string]string{"alertname": "A", name: "x", namespace: "shop"}))
			})
		}
	}
}

func TestNoObject(t *testing.T) {
	for reason, labels := range map[string]map[string]string{
		"service with instance is the scrape target's":         {"service": "node-exporter", "instance": "n1:9100", "namespace": "payments"},
		"job is never a Kubernetes Job":                        {"job": "backup", "namespace": "payments"},
		"container, endpoint and instance are the scrape's":    {"container": "api", "endpoint": "http", "instance": "10.0.0.1:80", "namespace": "payments"},
		"names that no object can have":                        {"pod": "<no value>", "deployment": ".*", "node": "a_b", "service": "A", "namespace": "payments"},
		"a pod that exists nowhere: it is the reporter's":      {"exported_namespace": "payments", "namespace": "cert-manager", "pod": "cert-manager-1", "service": "cert-manager", "endpoint": "http"},
		"node-exporter, known by an address":                   {"job": "node-exporter", "instance": "10.0.0.1:9100", "pod": "node-exporter-1", "namespace": "payments"},
		"node-exporter, known by an address without a port":    {"job": "node-exporter", "instance": "10.0.0.1", "namespace": "payments"},
		"node-exporter outside of Kubernetes, known by a port": {"job": "node-exporter", "instance": "vm-1:9100", "namespace": "payments"},
	} {
		t.Run(reason, func(t *testing.T) {
			found := Rules{}.target(Alert{Labels: labels})
			require.Equal(t, KindUnknown, found.target.Kind)
			require.Equal(t, "payments", found.target.Namespace)
			require.Empty(t, found.chosen)
		})
	}
	require.Equal(t, KindUnknown, targetOf(nil).Kind)
}

// Where node-exporter's node is not named, its pod runs on it.
func TestTheHostIsThePodOfNodeExporterAlone(t *testing.T) {
	host := func(labels ...string) Target {
		return Rules{}.target(Alert{Labels: beside(map[string]string{"alertname": "A", "namespace": "monitoring"}, labels...)}).host
	}
	require.Equal(t, Target{"v1", "Pod", "ne-1", "monitoring"}, host("job", "node-exporter", "instance", "10.0.0.1:9100", "pod", "ne-1"))
	require.Empty(t, host("job", "node-exporter", "instance", "10.0.0.1:9100"), "outside of Kubernetes")
	require.Empty(t, host("job", "node-exporter", "node", "n1", "pod", "ne-1"), "the labels name the node")
	require.Empty(t, host("job", "kube-state-metrics", "pod", "ksm-1"))
	require.Empty(t, host("job", "api", "instance", "10.0.0.1:80", "pod", "api-1"))
}

func TestTheAuthorOfARuleHasTheLastWord(t *testing.T) {
	labels := map[string]string{"alertname": "A", "namespace": "shop", "deployment": "api"}
	for reason, row := range map[string]struct {
		label, annotation []string
		want              Target
		chosen            string
	}{
		"in labels": {
			[]string{"onefire_kind", "StatefulSet", "onefire_name", "db"}, nil,
			Target{"apps/v1", "StatefulSet", "db", "shop"}, "label onefire_kind"},
		"in annotations": {
			nil, []string{"onefire_kind", "StatefulSet", "onefire_name", "db", "onefire_namespace", "data"},
			Target{"apps/v1", "StatefulSet", "db", "data"}, "annotation onefire_kind"},
		"labels before annotations": {
			[]string{"onefire_kind", "Pod", "onefire_name", "db-0"}, []string{"onefire_kind", "StatefulSet", "onefire_name", "db"},
			Target{"v1", "Pod", "db-0", "shop"}, "label onefire_kind"},
		"any kind": {
			nil, []string{"onefire_kind", "Certificate", "onefire_name", "shop-tls", "onefire_namespace", "shop", "onefire_api_version", "cert-manager.io/v1"},
			Target{"cert-manager.io/v1", "Certificate", "shop-tls", "shop"}, "annotation onefire_kind"},
		"a kind that is not built in has the namespace that is said, or none": {
			nil, []string{"onefire_kind", "ClusterIssuer", "onefire_name", "letsencrypt", "onefire_api_version", "cert-manager.io/v1"},
			Target{"cert-manager.io/v1", "ClusterIssuer", "letsencrypt", ""}, "annotation onefire_kind"},
		"a node has no namespace": {
			nil, []string{"onefire_kind", "Node", "onefire_name", "n1", "onefire_namespace", "shop"},
			Target{"v1", "Node", "n1", ""}, "annotation onefire_kind"},
		"names with colons": {
			nil, []string{"onefire_kind", "ClusterRole", "onefire_name", "system:node", "onefire_api_version", "rbac.authorization.k8s.io/v1"},
			Target{"rbac.authorization.k8s.io/v1", "ClusterRole", "system:node", ""}, "annotation onefire_kind"},
		"what is no API version is left out": {
			nil, []string{"onefire_kind", "Thing", "onefire_name", "x", "onefire_api_version", "a/b/c"},
			Target{"", "Thing", "x", ""}, "annotation onefire_kind"},
		"a kind without a name says nothing": {
			[]string{"onefire_kind", "Pod"}, nil,
			Target{"apps/v1", "Deployment", "api", "shop"}, "label deployment"},
		"a name without a kind says nothing": {
			[]string{"onefire_name", "db-0"}, nil,
			Target{"apps/v1", "Deployment", "api", "shop"}, "label deployment"},
		"<no value> is no name": {
			nil, []string{"onefire_kind", "Certificate", "onefire_name", "<no value>"},
			Target{"apps/v1", "Deployment", "api", "shop"}, "label deployment"},
		"a built-in kind has a name of its form": {
			nil, []string{"onefire_kind", "Pod", "onefire_name", "db:0"},
			Target{"apps/v1", "Deployment", "api", "shop"}, "label deployment"},
		"what is no kind says nothing": {
			nil, []string{"onefire_kind", "pod", "onefire_name", "db-0"},
			Target{"apps/v1", "Deployment", "api", "shop"}, "label deployment"},
	} {
		t.Run(reason, func(t *testing.T) {
			got := Rules{}.target(Alert{Labels: beside(labels, row.label...), Annotations: beside(map[string]string{}, row.annotation...)})
			require.Equal(t, aim{target: row.want, chosen: row.chosen}, got)
		})
	}
	none := Rules{}.target(Alert{Labels: labels, Annotations: map[string]string{"onefire_kind": "Unknown"}})
	require.Equal(t, KindUnknown, none.target.Kind, "an author may say that there is no object")
	require.NotEmpty(t, none.target.Name)
	require.Equal(t, "annotation onefire_kind", none.chosen)
}

func TestALabelWithoutANameIsNoNamespace(t *testing.T) {
	require.Equal(t, "shop", targetOf(map[string]string{"deployment": "api", "namespace": "shop", "": "elsewhere"}).Namespace)
}
