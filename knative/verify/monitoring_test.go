package verify

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// watched is with the Prometheus Operator's kinds.
var watched = variants["the Prometheus Operator"]

// trigger is how Knative's Broker calls a Trigger in its metrics.
var trigger = regexp.MustCompile(`trigger:([a-z-]+)\.([a-z-]+)`)

// monitoringProblems are metrics that nobody reads, and alerts about what is not
// there.
func monitoringProblems(all objects, v variant) []string {
	var found []string
	wrong := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	running, err := pods(all)
	if err != nil {
		return []string{err.Error()}
	}
	monitors, rules := every[*monitoringv1.PodMonitor](all), every[*monitoringv1.PrometheusRule](all)
	panels, ok := named[*corev1.ConfigMap](all, "onefire-dashboard")
	if ok != v.has(operator) || (len(monitors) == 2) != v.has(operator) || (len(rules) == 1) != v.has(operator) {
		wrong("PodMonitors %d, PrometheusRules %d, dashboard %t", len(monitors), len(rules), ok)
	}
	for name, p := range running {
		endpoint := environment(all, p)["OTEL_EXPORTER_OTLP_ENDPOINT"]
		if (endpoint == "http://collector.telemetry:4318") != (v.has(otlp) && !endsByItself(name)) {
			wrong("%s sends telemetry to %q", name, endpoint)
		}
		_, port, err := net.SplitHostPort(environment(all, p)["METRICS_ADDRESS"])
		switch {
		case endsByItself(name):
			continue
		case err != nil:
			wrong("%s serves no metrics: %v", name, err)
			continue
		case !v.has(operator):
			continue
		}
		var addresses []string
		for _, m := range monitors {
			addresses = append(addresses, scraped(m, p)...)
		}
		if len(addresses) != 1 {
			wrong("%s is scraped %d times", name, len(addresses))
		} else if want := "10.1.2.3:" + port; addresses[0] != want {
			wrong("%s is scraped at %s and listens at %s", name, addresses[0], want)
		}
	}
	_, store := running["onefire-deadletters"]
	for _, r := range rules {
		groups, err := json.Marshal(r.Spec.Groups)
		if about := strings.Contains(string(groups), "onefire_deadletters_"); err != nil || about != store {
			wrong("alerts on the dead-letter store: %t; a dead-letter store: %t", about, store)
		}
	}
	if !ok || v.has(unserved) { // No Trigger is there for alerts to be about.
		return found
	}
	if panels.Labels["grafana_dashboard"] != "1" || !json.Valid([]byte(panels.Data["dashboard.json"])) {
		wrong("Grafana does not find the dashboard")
	}
	text, recorded := "", 0
	for _, r := range rules {
		for _, group := range r.Spec.Groups {
			for _, rule := range group.Rules {
				if rule.Record == "onefire:runbooks" {
					if url := rule.Labels["url"]; url != runbooks {
						wrong("the dashboard sends people to %q", url)
					}
					recorded++
					continue
				}
				text += rule.Expr.String() + "\n"
				page := rule.Alert + ".md"
				if url := rule.Annotations["runbook_url"]; url != runbooks+"/"+page {
					wrong("%s sends people to %q", rule.Alert, url)
				} else if _, err := os.Stat("../../docs/runbooks/" + page); err != nil {
					wrong("%s has no page: %v", rule.Alert, err)
				}
			}
		}
	}
	if recorded != 1 {
		wrong("the dashboard knows no address of runbooks")
	}
	if !strings.Contains(panels.Data["dashboard.json"], "trigger:onefire.$namespace") {
		wrong("no panel is about the Trigger of the namespace that is chosen")
	}
	triggers := trigger.FindAllStringSubmatch(text, -1)
	if len(triggers) < 2 {
		wrong("no alert is about the Trigger")
	}
	for _, match := range triggers {
		if object, ok := all["Trigger "+match[1]]; !ok || object.GetNamespace() != match[2] {
			wrong("there is no %s", match[0])
		}
	}
	return found
}

// scraped is where Prometheus asks a pod at 10.1.2.3 for metrics: at each port
// of a name that the monitor knows, after its relabelings.
func scraped(m *monitoringv1.PodMonitor, p pod) (addresses []string) {
	selector, err := metav1.LabelSelectorAsSelector(&m.Spec.Selector)
	if err != nil || len(m.Spec.NamespaceSelector.MatchNames) > 0 || !selector.Matches(labels.Set(p.Labels)) {
		return nil
	}
	for _, endpoint := range m.Spec.PodMetricsEndpoints {
		for _, c := range p.Spec.Containers {
			for _, port := range c.Ports {
				if endpoint.Port == nil || port.Name != *endpoint.Port {
					continue
				}
				address := fmt.Sprint("10.1.2.3:", port.ContainerPort)
				for _, r := range endpoint.RelabelConfigs {
					if slices.Equal(r.SourceLabels, []monitoringv1.LabelName{"__address__"}) && r.TargetLabel == "__address__" {
						address = regexp.MustCompile("^(?:"+r.Regex+")$").ReplaceAllString(address, *r.Replacement)
					}
				}
				addresses = append(addresses, address)
			}
		}
	}
	return addresses
}
