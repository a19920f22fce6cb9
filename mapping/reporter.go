package mapping

import "strings"

// reporter is the exporter that an alert's labels come from, as far as that
// decides what they mean.
type reporter int

const (
	anyExporter reporter = iota
	kubeStateMetrics
	nodeExporter
	kubelet
)

// exporters are what the labels of a scrape call the exporters that report on
// other objects than themselves.
var exporters = []struct {
	text string
	reporter
}{
	{"kube-state-metrics", kubeStateMetrics},
	{"kube_state_metrics", kubeStateMetrics},
	{"node-exporter", nodeExporter},
	{"node_exporter", nodeExporter},
	{"windows-exporter", nodeExporter},
	{"windows_exporter", nodeExporter},
	{"kubelet", kubelet},
	{"cadvisor", kubelet},
}

// reporterLabels are the labels of a scrape that say who was asked, the surest
// first: container may be a metric's own.
var reporterLabels = []string{"job", "app_kubernetes_io_name", "service", "metrics_path", "container"}

// reporter tells who reports an alert.
func (l labels) reporter() reporter {
	for _, label := range reporterLabels {
		for _, e := range exporters {
			if strings.Contains(l.values[label], e.text) {
				return e.reporter
			}
		}
	}
	return anyExporter
}

// isReporters tells whether a pod belongs to the scrape: it is the exporter's own
// and not what the exporter reports on.
func (l labels) isReporters(pod string) bool {
	switch l.reporter() {
	case kubelet:
		return false // It is asked without a pod.
	case kubeStateMetrics:
		return strings.Contains(pod, "kube-state-metrics") || begins(pod, l.values["service"])
	default:
		return begins(pod, l.values["service"]) || begins(pod, l.values["job"]) || l.scraped() && begins(pod, l.values["container"])
	}
}

// subjectIsElsewhere tells that the metric had a namespace and no pod: Prometheus
// had to rename the one, and the scrape, which adds both, gave the other.
func (l labels) subjectIsElsewhere() bool {
	_, renamed := l.namespace()
	return renamed && l.values["endpoint"] != ""
}

// scraped tells that the labels of the scrape are still there: an aggregation
// leaves out what it does not group by.
func (l labels) scraped() bool { return l.values["instance"] != "" || l.values["endpoint"] != "" }

// begins tells whether a pod's name begins with that of what made it.
func begins(pod, name string) bool {
	rest, ok := strings.CutPrefix(pod, name)
	return ok && name != "" && (rest == "" || rest[0] == '-')
}

// changing are the labels that differ between two alerts of one fire: what the
// rule and Prometheus say of the alert, not of its subject.
var changing = set(
	"severity",
	"prometheus", "prometheus_replica", "replica", "__replica__", "receive", // who evaluates the rule
	"long", "short", "window", // of a rule with several windows
	"alertgroup", "openshift_io_alert_source", // where the rule stands
	"uid", "container_id", "endpoint",
	"sync_status", "health_status", // how Argo CD sees it this moment
)

// reporters are the labels of the reporter's own pod, which change with it.
var reporters = set("pod", "container", "service")

// identity are the labels by which an alert without an object is told from others.
// instance is among them, two machines are two, unless it is the reporter's.
func (l labels) identity(ignored []string) map[string]string {
	who, elsewhere := l.reporter(), l.subjectIsElsewhere()
	_, renamed := l.namespace()
	kept := make(map[string]string, len(l.values))
	for name, value := range l.values {
		switch {
		case value == "" || changing[name]:
		case reporters[name] && (who == nodeExporter || who == kubeStateMetrics || elsewhere):
		case name == "instance" && (who == kubeStateMetrics || elsewhere):
		case name == "namespace" && renamed && (who == kubeStateMetrics || elsewhere):
		default:
			kept[name] = value
		}
	}
	for _, name := range ignored {
		delete(kept, name)
	}
	return kept
}

func set(names ...string) map[string]bool {
	all := make(map[string]bool, len(names))
	for _, name := range names {
		all[name] = true
	}
	return all
}
