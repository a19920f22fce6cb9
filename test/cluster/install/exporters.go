package install

import (
	"context"
	"fmt"
	"strings"
)

// Install is one of the usual ways to install kube-state-metrics, node-exporter
// and a Prometheus that scrapes both and the kubelet. The names become labels of
// the scrape.
type Install struct {
	// Name ends the names of the alerts, and in lower case that of Prometheus.
	Name string
	// PrometheusLabel is the external label that the Prometheus Operator sets.
	PrometheusLabel string
	// Kubelet is the Service that the Prometheus Operator makes for the kubelet.
	Kubelet                    string
	StateMetrics, NodeExporter Exporter
}

// Exporter is one program of an install.
type Exporter struct {
	// Service is the name of its Service, and of its Deployment or DaemonSet.
	Service string
	// Container is the container that the port belongs to.
	Container  string
	PortName   string
	PortNumber string
	// Relabeling is what its ServiceMonitor adds to the Operator's relabelings.
	Relabeling string
}

// Installs are the two that differ the most: the chart kube-prometheus-stack, here
// with the release name kps, drops no label; kube-prometheus, written in jsonnet,
// drops and rewrites some. Its ports are those of kube-rbac-proxy, which is left out
// here: the exporters bear the names of the proxy's containers.
var Installs = []Install{
	{
		Name: "Chart", PrometheusLabel: "monitoring/kps-prometheus", Kubelet: "kps-kubelet",
		StateMetrics: Exporter{Service: "kps-kube-state-metrics", Container: "kube-state-metrics", PortName: "http", PortNumber: "8080"},
		NodeExporter: Exporter{Service: "kps-prometheus-node-exporter", Container: "node-exporter", PortName: "http-metrics", PortNumber: "9100"},
	},
	{
		Name: "Jsonnet", PrometheusLabel: "monitoring/k8s", Kubelet: "kubelet",
		StateMetrics: Exporter{
			Service: "kube-state-metrics", Container: "kube-rbac-proxy-main", PortName: "https-main", PortNumber: "8443",
			Relabeling: "- {regex: (pod|service|endpoint|namespace), action: labeldrop}",
		},
		NodeExporter: Exporter{
			Service: "node-exporter", Container: "kube-rbac-proxy", PortName: "https", PortNumber: "9101",
			Relabeling: "- {source_labels: [__meta_kubernetes_pod_node_name], target_label: instance}",
		},
	},
}

// Prometheus is the name of the install's Prometheus in namespace monitoring.
func (i Install) Prometheus() string { return "prometheus-" + strings.ToLower(i.Name) }

// values are what stands for the install in its manifests.
func (i Install) values() map[string]string {
	values := map[string]string{
		"INSTALL": i.Name, "PROMETHEUS": i.Prometheus(), "PROMETHEUS_LABEL": i.PrometheusLabel, "KUBELET": i.Kubelet,
	}
	for prefix, e := range map[string]Exporter{"STATE_METRICS": i.StateMetrics, "NODE_EXPORTER": i.NodeExporter} {
		values[prefix] = e.Service
		values[prefix+"_CONTAINER"] = e.Container
		values[prefix+"_PORT"] = e.PortName
		values[prefix+"_NUMBER"] = e.PortNumber
		values[prefix+"_RELABELING"] = e.Relabeling
	}
	return values
}

// exporters installs every install.
func (in *installer) exporters(ctx context.Context) error {
	if err := in.own(ctx, "exporters.yaml"); err != nil {
		return err
	}
	for _, i := range Installs {
		texts := map[string]string{}
		for _, name := range []string{"exporters.yml", "exporters.rules", "exporters-install.yaml"} {
			text, err := manifests.ReadFile("manifests/" + name)
			if err != nil {
				return err
			}
			texts[name] = string(in.expand(text, i.values()))
		}
		if err := in.configMap(ctx, i.Prometheus(), map[string]string{
			"prometheus.yml": texts["exporters.yml"], "exporters.rules": texts["exporters.rules"],
		}); err != nil {
			return err
		}
		if err := in.apply(ctx, fmt.Sprintf("exporters of %s", i.Name), []byte(texts["exporters-install.yaml"])); err != nil {
			return err
		}
	}
	return nil
}
