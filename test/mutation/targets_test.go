package mutation

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each way to break the rules for targets is noticed by the row that is there for
// it.
func TestEveryMutationOfTargetsIsNoticed(t *testing.T) {
	for name, m := range targetMutations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := exec.Command(build(t, "mapping", m.edits), "-test.run", "Target|Stock|Identif|Identity|Labels|Object|Host|Author|Operators")
			run.Dir = filepath.Join("..", "..", "mapping") // Its data lies there.
			out, err := run.CombinedOutput()
			require.Error(t, err, "it survived")
			require.Contains(t, string(out), "--- FAIL: "+strings.ReplaceAll(m.row, " ", "_")+" (", "another row noticed:\n%s", failed.FindString(string(out)))
		})
	}
}

// targetMutation is one way to break the rules for targets, and the row of
// mapping's tests that notices.
type targetMutation struct {
	row   string
	edits []edit
}

var targetMutations = map[string]targetMutation{
	// The order of the rules.
	"pod and node go before what no scrape adds": {"TestTarget/kubelet: a claim, wherever it is mounted", []edit{
		{"target.go", "		l.workload,\n		l.customResource,\n		l.machine,\n		l.podOrNode,\n", "		l.podOrNode,\n		l.workload,\n		l.customResource,\n		l.machine,\n"},
	}},
	"a custom resource comes last": {"TestTarget/kube-state-metrics: a custom resource", []edit{
		{"target.go", "		l.customResource,\n		l.machine,\n		l.podOrNode,\n", "		l.machine,\n		l.podOrNode,\n		l.customResource,\n"},
	}},
	"node-exporter's pod goes before its node": {"TestTarget/node-exporter: an instance that is a node's name", []edit{
		{"target.go", "		l.machine,\n		l.podOrNode,\n", "		l.podOrNode,\n		l.machine,\n"},
	}},
	"a Service goes before a pod": {"TestTarget/a pod beside a Service that it does not report on", []edit{
		{"target.go", "		l.podOrNode,\n		l.service,\n", "		l.service,\n		l.podOrNode,\n"},
	}},
	"operators go before authors": {"TestOperatorsSayWhatAlertsAreAbout", []edit{
		{"target.go", "		func() aim { return l.saidByAuthor(a.Annotations) },\n		func() aim { return r.Targets.saidByOperator(l) },\n", "		func() aim { return r.Targets.saidByOperator(l) },\n		func() aim { return l.saidByAuthor(a.Annotations) },\n"},
	}},
	"annotations go before labels": {"TestTheAuthorOfARuleHasTheLastWord/labels before annotations", []edit{
		{"target.go", "{\"label \", l.values}, {\"annotation \", annotations}", "{\"annotation \", annotations}, {\"label \", l.values}"},
	}},
	"a ReplicaSet goes before a claim": {"TestPreferenceOfLabels/persistentvolumeclaim", []edit{
		{"kinds.go", "		{named(\"replicaset\", \"k8s.replicaset.name\", \"k8s_replicaset_name\"), kind{apiVersion: \"apps/v1\", kind: \"ReplicaSet\"}},\n", ""},
		{"kinds.go", "		{append(named(\"persistentvolumeclaim\")", "		{named(\"replicaset\", \"k8s.replicaset.name\", \"k8s_replicaset_name\"), kind{apiVersion: \"apps/v1\", kind: \"ReplicaSet\"}},\n		{append(named(\"persistentvolumeclaim\")"},
	}},
	"a node goes before the pod on it": {"TestTarget/pod and node alone: the pod", []edit{
		{"target.go", "	if podName != \"\" && !elsewhere {\n", "	if podName != \"\" && !elsewhere && nodeName == \"\" {\n"},
	}},

	// Reporters.
	"a reporter keeps its pod": {"TestTarget/kube-state-metrics: a node, not the reporter's pod", []edit{
		{"target.go", "if renamed || !another || !l.isReporters(podName) {", "if renamed || !another || podName != \"\" {"},
	}},
	"who reports on itself is nobody": {"TestTarget/an application alerts on itself", []edit{
		{"target.go", "if renamed || !another || !l.isReporters(podName) {", "if renamed || another && !another || !l.isReporters(podName) {"},
	}},
	"an exported_pod may be the reporter's": {"TestTarget/an exported_pod is never the reporter's", []edit{
		{"target.go", "if renamed || !another || !l.isReporters(podName) {", "if !another || !l.isReporters(l.values[\"pod\"]) {"},
	}},
	"a Service is nothing to report on": {"TestTarget/a Service beside a pod that the service is the beginning of", []edit{
		{"target.go", "another := nodeName != \"\" || exportedService\n", "another := nodeName != \"\" || exportedService && nodeName != \"\"\n"},
	}},
	"kube-state-metrics is told by its Service alone": {"TestTarget/kube-state-metrics: a pod that is not called like its Service", []edit{
		{"reporter.go", "return strings.Contains(pod, \"kube-state-metrics\") || begins(", "return begins("},
	}},
	"kube-state-metrics is told by its name alone": {"TestTarget/kube-state-metrics: a pod that is called like its Service", []edit{
		{"reporter.go", "strings.Contains(pod, \"kube-state-metrics\") || begins(pod, l.values[\"service\"])\n", "strings.Contains(pod, \"kube-state-metrics\")\n"},
	}},
	"kube-state-metrics is any exporter": {"TestTarget/kube-state-metrics: a pod and the node it runs on", []edit{
		{"reporter.go", "	{\"kube-state-metrics\", kubeStateMetrics},\n", "	{\"kube-state-metrics\", anyExporter},\n"},
	}},
	"the kubelet is any exporter": {"TestTarget/cAdvisor: a pod that is called like its container", []edit{
		{"reporter.go", "	{\"cadvisor\", kubelet},\n", "	{\"cadvisor\", anyExporter},\n"},
	}},
	"the container says who reports, not the job": {"TestTarget/kube-state-metrics: node-exporter's pod, with its container", []edit{
		{"reporter.go", "{\"job\", \"app_kubernetes_io_name\", \"service\", \"metrics_path\", \"container\"}", "{\"container\", \"job\", \"app_kubernetes_io_name\", \"service\", \"metrics_path\"}"},
	}},
	"the Service does not say who reports": {"TestTarget/node-exporter: told by its service, where the job is everybody's", []edit{
		{"reporter.go", "\"app_kubernetes_io_name\", \"service\", ", "\"app_kubernetes_io_name\", "},
		{"target.go", "	case nodeName != \"\":\n		return aim{target: l.object(node, nodeName), chosen: \"node-exporter: ", "	case nodeName != \"\" && podName != \"\":\n		return aim{target: l.object(node, nodeName), chosen: \"node-exporter: "},
		{"target.go", "	if nodeName != \"\" {\n		return aim{target: l.object(node, nodeName), chosen: \"label \"", "	if nodeName != \"\" && podName != \"\" {\n		return aim{target: l.object(node, nodeName), chosen: \"label \""},
	}},
	"a pod is not told by the job": {"TestTarget/an exporter is told by its job", []edit{
		{"reporter.go", " || begins(pod, l.values[\"job\"])", ""},
	}},
	"a pod is not told by the Service": {"TestTarget/an exporter is told by its Service", []edit{
		{"reporter.go", "		return begins(pod, l.values[\"service\"]) || begins(pod, l.values[\"job\"])", "		return begins(pod, l.values[\"job\"])"},
	}},
	"a pod is not told by the container": {"TestTarget/an exporter is told by its container, where that is the scrape's", []edit{
		{"reporter.go", " || l.scraped() && begins(pod, l.values[\"container\"])", ""},
	}},
	"a container is the scrape's after an aggregation too": {"TestTarget/cAdvisor, aggregated: a pod that is called like its container", []edit{
		{"reporter.go", "l.scraped() && begins", "begins"},
	}},
	"any beginning of a pod's name will do": {"TestTarget/part of a name is not the beginning of a pod's", []edit{
		{"reporter.go", "(rest == \"\" || rest[0] == '-')", "(rest == \"\" || rest != \"\")"},
	}},
	"a scrape without an endpoint gives pods": {"TestTarget/exported_namespace is the subject's", []edit{
		{"reporter.go", "	return renamed && l.values[\"endpoint\"] != \"\"\n", "	return renamed\n"},
	}},
	"a renamed namespace says nothing of the pod": {"TestNoObject/a pod that exists nowhere: it is the reporter's", []edit{
		{"reporter.go", "	return renamed && l.values[\"endpoint\"] != \"\"\n", "	return renamed && l.values[\"endpoint\"] == \"-\"\n"},
	}},
	"all instances of node-exporter are one machine": {"TestTarget/node-exporter: all of its instances", []edit{
		{"target.go", "	case instance != \"\":\n		return aim{target: Target{Kind: KindUnknown}}\n	}\n", "	}\n	if l.values[\"job\"] != \"\" {\n		return aim{target: Target{Kind: KindUnknown}}\n	}\n"},
	}},
	"nobody says on which node node-exporter runs": {"TestTheHostIsThePodOfNodeExporterAlone", []edit{
		{"target.go", ", host: l.object(pod, podName)}", "}"},
	}},

	// Names.
	"the plain label goes before the exported_ one": {"TestPreferenceOfLabels/deployment", []edit{
		{"target.go", "		if value = l.values[n.exported]; isName(value) {\n			return value, n, true\n		}\n		if value = l.values[n.plain]; isName(value) {\n			return value, n, false\n		}\n", "		if value = l.values[n.plain]; isName(value) {\n			return value, n, false\n		}\n		if value = l.values[n.exported]; isName(value) {\n			return value, n, true\n		}\n"},
	}},
	"the reporter's namespace goes before the subject's": {"TestTarget/exported_namespace is the subject's", []edit{
		{"target.go", "		if value = l.values[n.exported]; isNamespace(value) {\n			return value, true\n		}\n		if value = l.values[n.plain]; isNamespace(value) {\n			return value, false\n		}\n", "		if value = l.values[n.plain]; isNamespace(value) {\n			return value, false\n		}\n		if value = l.values[n.exported]; isNamespace(value) {\n			return value, true\n		}\n"},
	}},
	"anything is a name": {"TestTarget/a template's <no value> is no name", []edit{
		{"target.go", "return s != \"\" && len(validation.IsDNS1123Subdomain(s)) == 0 }", "return s != \"\" || len(validation.IsDNS1123Subdomain(s)) == 0 && s != \"\" }"},
	}},
	"anything is a namespace": {"TestTarget/<no value> is no namespace", []edit{
		{"target.go", "return s != \"\" && len(validation.IsDNS1123Label(s)) == 0 }", "return s != \"\" || len(validation.IsDNS1123Label(s)) == 0 && s != \"\" }"},
	}},
	"an address is a node": {"TestNoObject/node-exporter, known by an address without a port", []edit{
		{"target.go", "isName(instance) && !isAddress(instance):", "isName(instance) && isAddress(\"1\"):"},
	}},
	"a claim is in the exporter's namespace": {"TestTarget/a Longhorn volume's claim has a namespace of its own", []edit{
		{"kinds.go", "\"exported_pvc\", \"pvc_namespace\"}", "\"exported_pvc\", \"\"}"},
	}},
	"what an author says of nothing is believed": {"TestTheAuthorOfARuleHasTheLastWord/<no value> is no name", []edit{
		{"target.go", "if !isKind(kind) || !isPathSegment(name) || ", "if !isKind(kind) || name == \"\" || "},
	}},

	// The identity of alerts without an object.
	"two severities are two fires": {"TestIdentityOfAlertsWithoutAnObject/another severity", []edit{
		{"reporter.go", "	\"severity\",\n", ""},
	}},
	"two replicas are two fires": {"TestIdentityOfAlertsWithoutAnObject/another replica of a ruler", []edit{
		{"reporter.go", "\"replica\", \"__replica__\", \"receive\", //", "//"},
	}},
	"two windows are two fires": {"TestIdentityOfAlertsWithoutAnObject/another window of a rule", []edit{
		{"reporter.go", "	\"long\", \"short\", \"window\", // of a rule with several windows\n", ""},
	}},
	"two machines are one": {"TestIdentityOfAlertsWithoutAnObject/another machine", []edit{
		{"reporter.go", "case name == \"instance\" && (who == kubeStateMetrics || elsewhere):", "case name == \"instance\":"},
	}},
	"an exporter that is replaced is another fire": {"TestIdentityOfAlertsWithoutAnObject/kube-state-metrics' instance", []edit{
		{"reporter.go", "case name == \"instance\" && (who == kubeStateMetrics || elsewhere):", "case name == \"instance\" && elsewhere:"},
	}},
	"a controller that is replaced is another fire": {"TestIdentityOfAlertsWithoutAnObject/the pod of who reports another namespace", []edit{
		{"reporter.go", "case name == \"instance\" && (who == kubeStateMetrics || elsewhere):", "case name == \"instance\" && who == kubeStateMetrics:"},
	}},
	"node-exporter's new pod is another fire": {"TestIdentityOfAlertsWithoutAnObject/node-exporter's pod", []edit{
		{"reporter.go", "(who == nodeExporter || who == kubeStateMetrics || elsewhere)", "(who == kubeStateMetrics || elsewhere)"},
	}},
	"the reporter's namespace is the alert's": {"TestIdentityOfAlertsWithoutAnObject/kube-state-metrics' namespace", []edit{
		{"reporter.go", "case name == \"namespace\" && renamed && (who == kubeStateMetrics || elsewhere):", "case name == \"namespace\" && renamed && elsewhere && who == nodeExporter:"},
	}},
	"any exporter's container is left out": {"TestIdentityOfAlertsWithoutAnObject/a container of an exporter like any", []edit{
		{"reporter.go", "case reporters[name] && (who == nodeExporter || who == kubeStateMetrics || elsewhere):", "case reporters[name]:"},
	}},
	"labels that operators leave out stay": {"TestLabelsThatIdentifyNothingHere", []edit{
		{"reporter.go", "	for _, name := range ignored {\n		delete(kept, name)\n	}\n", "	_ = ignored\n"},
	}},
}
