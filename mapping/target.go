package mapping

// Target is the Kubernetes object that an alert is about.
type Target struct {
	APIVersion string
	Kind       string
	Name       string
	// Namespace is empty for what is cluster-scoped and where none is known.
	Namespace string
}

// KindUnknown is the kind of a target that is no Kubernetes object. Its name is
// the alert's own identity, so that two nodes known only by instance stay two.
const KindUnknown = "Unknown"

// targets are the labels that name Kubernetes objects, in order of preference:
// the workload that a repair acts on, then what it runs as and on, then the
// rest. job, endpoint, container and instance are missing on purpose: they
// name what Prometheus scraped.
var targets = []struct {
	label, apiVersion, kind string
	clusterScoped           bool
}{
	{label: "deployment", apiVersion: "apps/v1", kind: "Deployment"},
	{label: "statefulset", apiVersion: "apps/v1", kind: "StatefulSet"},
	{label: "daemonset", apiVersion: "apps/v1", kind: "DaemonSet"},
	{label: "cronjob", apiVersion: "batch/v1", kind: "CronJob"},
	{label: "job_name", apiVersion: "batch/v1", kind: "Job"},
	{label: "pod", apiVersion: "v1", kind: "Pod"},
	{label: "node", apiVersion: "v1", kind: "Node", clusterScoped: true},
	{label: "persistentvolumeclaim", apiVersion: "v1", kind: "PersistentVolumeClaim"},
	{label: "persistentvolume", apiVersion: "v1", kind: "PersistentVolume", clusterScoped: true},
	{label: "horizontalpodautoscaler", apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler"},
	{label: "poddisruptionbudget", apiVersion: "policy/v1", kind: "PodDisruptionBudget"},
	{label: "replicaset", apiVersion: "apps/v1", kind: "ReplicaSet"},
	{label: "ingress", apiVersion: "networking.k8s.io/v1", kind: "Ingress"},
	{label: "resourcequota", apiVersion: "v1", kind: "ResourceQuota"},
}

// target reads the object that an alert is about from its labels. Prometheus
// renames a metric's own label to exported_X when the scrape target has X too,
// so exported_X is the subject's.
func target(labels map[string]string, identity string) Target {
	own := func(label string) string {
		if v := labels["exported_"+label]; v != "" {
			return v
		}
		return labels[label]
	}
	namespace := own("namespace")
	for _, t := range targets {
		name := own(t.label)
		if name == "" {
			continue
		}
		if t.clusterScoped {
			return Target{APIVersion: t.apiVersion, Kind: t.kind, Name: name}
		}
		return Target{APIVersion: t.apiVersion, Kind: t.kind, Name: name, Namespace: namespace}
	}
	// With an instance beside it, a plain service is the scrape target's and
	// would fold all nodes of an exporter into one.
	if service := own("service"); service != "" && (labels["instance"] == "" || labels["exported_service"] != "") {
		return Target{APIVersion: "v1", Kind: "Service", Name: service, Namespace: namespace}
	}
	return Target{Kind: KindUnknown, Name: identity, Namespace: namespace}
}
