package mapping

// kind is a kind of Kubernetes object.
type kind struct {
	apiVersion, kind string
	clusterScoped    bool
}

var (
	pod     = kind{apiVersion: "v1", kind: "Pod"}
	node    = kind{apiVersion: "v1", kind: "Node", clusterScoped: true}
	service = kind{apiVersion: "v1", kind: "Service"}
)

// labelName is a name by which a label is read.
type labelName struct {
	// plain is the label itself, exported is what Prometheus makes of it when
	// the scrape target has one of that name too: that is the subject's.
	plain, exported string
	// namespace is the label that has the object's namespace; empty for the
	// alert's own.
	namespace string
}

// subject is a kind of object that has labels of its own.
type subject struct {
	names []labelName
	kind
}

// labelNames are all names by which labels are read.
type labelNames struct {
	subjects                            []subject
	namespace, pod, node, service, name []labelName
}

// builtin are the names of labels that are known without configuration: those of
// kube-state-metrics, of annotation-based scrape jobs, of OpenTelemetry with dots
// (Prometheus 3) and without, and of others' dashboards.
//
// The subjects are in the order of preference: what a repair acts on, then the
// rest. No scrape adds them. job, endpoint, container and instance are missing on
// purpose: they name what Prometheus scraped.
var builtinNames = labelNames{
	subjects: []subject{
		{named("deployment", "k8s.deployment.name", "k8s_deployment_name"), kind{apiVersion: "apps/v1", kind: "Deployment"}},
		{named("statefulset", "k8s.statefulset.name", "k8s_statefulset_name"), kind{apiVersion: "apps/v1", kind: "StatefulSet"}},
		{named("daemonset", "k8s.daemonset.name", "k8s_daemonset_name"), kind{apiVersion: "apps/v1", kind: "DaemonSet"}},
		{named("cronjob", "k8s.cronjob.name", "k8s_cronjob_name"), kind{apiVersion: "batch/v1", kind: "CronJob"}},
		{named("job_name", "k8s.job.name", "k8s_job_name"), kind{apiVersion: "batch/v1", kind: "Job"}},
		{append(named("persistentvolumeclaim"), labelName{"pvc", "exported_pvc", "pvc_namespace"}), kind{apiVersion: "v1", kind: "PersistentVolumeClaim"}},
		{named("horizontalpodautoscaler", "k8s.hpa.name", "k8s_hpa_name"), kind{apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler"}},
		{named("poddisruptionbudget"), kind{apiVersion: "policy/v1", kind: "PodDisruptionBudget"}},
		{named("resourcequota", "k8s.resourcequota.name", "k8s_resourcequota_name"), kind{apiVersion: "v1", kind: "ResourceQuota"}},
		{named("ingress"), kind{apiVersion: "networking.k8s.io/v1", kind: "Ingress"}},
		{named("replicaset", "k8s.replicaset.name", "k8s_replicaset_name"), kind{apiVersion: "apps/v1", kind: "ReplicaSet"}},
		{named("persistentvolume"), kind{apiVersion: "v1", kind: "PersistentVolume", clusterScoped: true}},
	},
	namespace: named("namespace", "k8s.namespace.name", "k8s_namespace_name", "kubernetes_namespace", "namespace_name"),
	pod:       named("pod", "k8s.pod.name", "k8s_pod_name", "kubernetes_pod_name", "pod_name"),
	node:      named("node", "k8s.node.name", "k8s_node_name", "kubernetes_node", "nodename", "node_name"),
	service:   named("service"),
	name:      named("name"),
}

// workloadTypes are the kinds that kubernetes-mixin's label workload_type says.
var workloadTypes = map[string]string{
	"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet",
	"job": "Job", "replicaset": "ReplicaSet", "cronjob": "CronJob",
}

// kinds are those of the table, by name.
var kinds = func() map[string]kind {
	all := map[string]kind{pod.kind: pod, node.kind: node, service.kind: service,
		"Namespace": {apiVersion: "v1", kind: "Namespace", clusterScoped: true}}
	for _, s := range builtinNames.subjects {
		all[s.kind.kind] = s.kind
	}
	return all
}()

// named are labels that are read under several names, the first one first.
func named(plain ...string) []labelName {
	all := make([]labelName, len(plain))
	for i, name := range plain {
		all[i] = labelName{plain: name, exported: "exported_" + name}
	}
	return all
}
