package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/mapping"
	"onefire/test/client"
)

const targetsData = "../../mapping/testdata/targets/"

// stockRule is an alert of a stock install, as mapping's own tests read it.
type stockRule struct {
	Install, Rule string
	Labels        map[string]string
	Want          struct {
		Kind, Name, Namespace string
		Filtered              bool
	}
	Other map[string]string `json:"other_fire"`
	Same  []struct {
		Labels map[string]string
	} `json:"same_fire"`
}

// schedule makes a pod that a workload controls, on a node.
func (k workloads) schedule(name, node string, owner *unstructured.Unstructured) {
	k.t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"nodeName": node}}}
	o.SetAPIVersion("v1")
	o.SetKind("Pod")
	o.SetName(name)
	o.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(owner, owner.GroupVersionKind())})
	_, err := k.resource("v1", "Pod").Create(k.t.Context(), o, metav1.CreateOptions{})
	require.NoError(k.t, err)
}

// exporters run the pods that report the stock rules' alerts, those of before and
// after their replacement, as both installs name them.
func exporters(t *testing.T) {
	t.Helper()
	k := newWorkloads(t, "monitoring")
	for _, install := range []string{"", "kps-prometheus-"} {
		set := k.make("apps/v1", "DaemonSet", install+"node-exporter", nil)
		for pod, node := range map[string]string{"7xk2f": "worker-2", "c3c3c": "worker-2", "b2b2b": "worker-3"} {
			k.schedule(install+"node-exporter-"+pod, node, set)
		}
	}
	k.deploy("kps-kube-state-metrics", 0)
	replicas, err := k.resource("apps/v1", "ReplicaSet").Get(t.Context(), "kps-kube-state-metrics-5d9c7b8f4", metav1.GetOptions{})
	require.NoError(t, err)
	for _, pod := range []string{"6ngch", "zz9zz"} {
		k.schedule("kps-kube-state-metrics-58474dc949-"+pod, "worker-1", replicas)
	}
}

// asAlert is an alert as Alertmanager sends it.
func asAlert(t *testing.T, labels map[string]string) string {
	t.Helper()
	text, err := json.Marshal(labels)
	require.NoError(t, err)
	return `{"status":"firing","labels":` + string(text) + `,"startsAt":"2026-11-28T10:00:00Z"}`
}

// Every alert rule of the two stock installs has its request on what burns, with
// TARGET=owner too: no two fires share a request because one exporter reported
// both, and the exporter's replacement makes no second one.
func TestStockRulesWithOwners(t *testing.T) {
	t.Parallel()
	exporters(t)
	text, err := os.ReadFile(targetsData + "stock-rules.json")
	require.NoError(t, err)
	var rules []stockRule
	require.NoError(t, json.Unmarshal(text, &rules))
	require.Len(t, rules, 276)
	for _, install := range []string{"kube-prometheus", "kube-prometheus-stack"} {
		for _, fingerprint := range []string{"alert", "resource"} {
			t.Run(install+" by "+fingerprint, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, mapping.Schema202608)
				f := w.start("TARGET=owner", "FINGERPRINT="+fingerprint, "REPLY=summary", "AUDIT_MODE=best-effort")
				by := broker{route: func() string { return f.url }, within: acceptedWithin}
				for i, row := range rules {
					if row.Install != install {
						continue
					}
					alerts := []string{asAlert(t, row.Labels)}
					for _, same := range row.Same {
						alerts = append(alerts, asAlert(t, same.Labels))
					}
					if row.Other != nil {
						alerts = append(alerts, asAlert(t, row.Other))
					}
					name := fmt.Sprintf("%s/%s %s", row.Install, row.Rule, row.Labels["severity"])
					settled, err := by.deliver(t.Context(), client.Binary(fmt.Sprint(i), []byte(webhook(alerts...))))
					require.NoError(t, err, name)
					if row.Want.Filtered {
						require.Equal(t, mapping.Filtered, settled[0].Decision, name)
						continue
					}
					for j := range row.Same {
						require.Equal(t, settled[0].Object, settled[1+j].Object, "%s: one fire, two requests", name)
					}
					if row.Other != nil {
						require.NotEqual(t, settled[0].Object, settled[len(settled)-1].Object, "%s: two fires, one request", name)
					}
					object, err := objects.Namespace(w.namespace).Get(t.Context(), strings.TrimPrefix(settled[0].Object, w.namespace+"/"), metav1.GetOptions{})
					require.NoError(t, err)
					want := []string{row.Want.Kind, row.Want.Name, row.Want.Namespace}
					got := aimedAt(object)
					switch {
					case row.Want.Kind == mapping.KindUnknown:
						want[1] = got[1]
					case row.Want.Name == "": // The labels do not name the node, and the reporter runs on it.
						want[1] = "worker-2"
					}
					require.Equal(t, want, got, name)
				}
			})
		}
	}
}

// aimedAt is the target of a request: kind, name and namespace.
func aimedAt(o *unstructured.Unstructured) []string {
	return []string{field(o, "spec", "targetResource", "kind"), field(o, "spec", "targetResource", "name"), field(o, "spec", "targetResource", "namespace")}
}

// published is what must become of an alert that somebody published, where that is
// more than a list of targets.
type published struct {
	env []string
	// before is posted first.
	before string
	// refused is a part of the source's answer.
	refused string
	// kinds are those of the requests' targets, with names where they matter.
	kinds []string
	// distinct tells that several alerts may be on one target.
	distinct bool
	// fields are of the one request, by path.
	fields map[string]string
}

var publishedCases = map[string]published{
	"08-node-exporter-plain-warning-and-critical": {kinds: []string{"Unknown"}},
	"10-ksm-custom-resource":                      {kinds: []string{"HelmRelease/birdnet-go/automation", "HelmRelease/home-assistant/automation"}},
	"11-exporter-pod-replaced":                    {kinds: []string{"HelmRelease/shop/apps"}},
	"13-cert-manager-certificates":                {kinds: []string{"Unknown", "Unknown"}},
	"14-cnpg-cluster-label":                       {env: []string{"CLUSTER_LABEL="}, kinds: []string{"Cluster/pg-main/db"}, fields: map[string]string{"spec.clusterID": ""}},
	"19-severity-yellow":                          {kinds: []string{"Unknown"}, fields: map[string]string{"spec.severity": "unknown", "spec.signalLabels.severity": "yellow"}},
	"20-grafana-alerting":                         {kinds: []string{"Unknown", "Unknown"}, fields: map[string]string{"spec.firingTime": "2026-11-28T13:50:20Z"}},
	"21-grafana-values-null":                      {},
	"22-grafana-nodata":                           {kinds: []string{"Unknown"}, fields: map[string]string{"spec.signalLabels.rulename": "Service failed"}},
	"23-grafana-test":                             {},
	"24-amp-json-template":                        {kinds: []string{"Pod/shop-1/shop"}, fields: map[string]string{"spec.firingTime": "2026-11-28T10:00:00Z"}},
	"25-amp-json-template-resolved": {before: "24-amp-json-template", kinds: []string{"Pod/shop-1/shop"},
		fields: map[string]string{"status.deduplication.lastResolvedAt": "2026-11-28T10:05:00Z"}},
	"26-sns-envelope":                 {refused: "turn on raw message delivery for the subscription"},
	"27-azure-common-schema":          {refused: "send these alerts through an Alertmanager"},
	"28-alertmanager-api-v2-alerts":   {kinds: []string{"Pod/shop-1/shop"}, fields: map[string]string{"spec.signalName": "V2Active"}},
	"30-startsat-in-the-future":       {kinds: []string{"Pod/shop-1/shop"}, fields: map[string]string{"spec.firingTime": "2027-11-28T10:00:00Z"}},
	"31-endsat-before-startsat":       {},
	"32-vmalert-constant-expression":  {kinds: []string{"Unknown"}},
	"33-ha-replica-label":             {kinds: []string{"Unknown"}},
	"34-error-budget-burn":            {kinds: []string{"Unknown"}},
	"35-argocd-app-status-changes":    {kinds: []string{"Unknown"}},
	"38-job-failed-exporter-replaced": {kinds: []string{"Job/report-29384400/shop"}},
	"39-no-value":                     {kinds: []string{"Unknown"}},
	"40-pod-regex":                    {kinds: []string{"Unknown"}, fields: map[string]string{"spec.targetResource.namespace": "shop"}},
	"43-kube-api-v2-post":             {refused: "point them at an Alertmanager, and its webhook here"},
	"44-owner-two-nodes-full":         {kinds: []string{"Node/metal01/", "Node/metal02/"}},
	"46-volume-moved":                 {kinds: []string{"PersistentVolumeClaim/homeassistant/home"}},
	"48-machine-not-yet-deleted":      {kinds: []string{"Node/ip-10-0-152-225.us-west-1.compute.internal/"}},
	"51-grafana-test-real":            {},
}

// Alerts that people published, as source and function take them: what Grafana,
// Amazon, OpenTelemetry and many exporters send.
func TestPublishedAlerts(t *testing.T) {
	t.Parallel()
	cnpg := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster"}}
	cnpg.SetName("pg-main")
	cnpg.SetUID("3")
	newWorkloads(t, "db").schedule("pg-main-2", "worker-1", cnpg)
	for name, metal := range map[string]string{"bx25z": "metal01", "thvjc": "metal02"} {
		k := newWorkloads(t, "monitoring")
		k.schedule("node-exporter-"+name, metal, k.make("apps/v1", "DaemonSet", "reporter-"+name, nil))
	}
	files, err := os.ReadDir(targetsData + "cases")
	require.NoError(t, err)
	require.Len(t, files, 102)
	left := maps.Clone(publishedCases)
	for _, file := range files {
		name, isExpected := strings.CutSuffix(file.Name(), ".expected.json")
		if !isExpected || name == "52-ce03-illegal-header" {
			continue // That one is about headers alone: TestOneEventHasOneAnswer.
		}
		var expected struct {
			Env  map[string]string
			How  string
			Want any
		}
		text, err := os.ReadFile(targetsData + "cases/" + file.Name())
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &expected))
		row, known := publishedCases[name]
		delete(left, name)
		if targets, ok := expected.Want.([]any); ok {
			require.False(t, known, name)
			row.distinct = true
			for _, one := range targets {
				parts := one.([]any)
				if target := fmt.Sprintf("%s/%s/%s", parts...); !slices.Contains(row.kinds, target) {
					row.kinds = append(row.kinds, target)
				}
			}
		} else {
			require.True(t, known, "%s: %v", name, expected.Want)
		}
		for variable, value := range expected.Env {
			row.env = append(row.env, variable+"="+value)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row.holds(t, name, expected.How)
		})
	}
	require.Empty(t, left, "cases that no file has")
}

// holds posts a case, and asks for what must come of it.
func (p published) holds(t *testing.T, name, how string) {
	w := newWorld(t, mapping.Schema202608)
	f := w.start(p.env...)
	to, status := f.url, http.StatusOK
	if how == "source" {
		to = w.serve(w.prepare(sourceBinary, "K_SINK="+f.url)).url + "/alertmanager"
	}
	if p.refused != "" {
		status = http.StatusBadRequest
	}
	for _, file := range []string{p.before, name} {
		if file == "" {
			continue
		}
		body, err := os.ReadFile(targetsData + "cases/" + file + ".json")
		require.NoError(t, err)
		message := client.Binary(file, body)
		if how == "source" {
			message = client.Webhook(body)
		}
		got, answer, err := message.Post(t.Context(), http.DefaultClient, to)
		require.NoError(t, err)
		require.Equal(t, status, got, answer)
		require.Contains(t, answer, p.refused)
	}
	var kinds []string
	for _, o := range w.list() {
		target := strings.Join(aimedAt(&o), "/")
		if kind := field(&o, "spec", "targetResource", "kind"); kind == mapping.KindUnknown {
			target = kind
		}
		kinds = append(kinds, target)
		for path, want := range p.fields {
			require.Equal(t, want, field(&o, strings.Split(path, ".")...), path)
		}
	}
	if slices.Sort(kinds); p.distinct {
		kinds = slices.Compact(kinds)
	}
	require.ElementsMatch(t, p.kinds, kinds)
}
