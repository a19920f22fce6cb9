package verify

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The chart's templates are the manifests of kustomize, with what can be chosen
// put in. They are written from them, so that there is one place where an object
// is described; what follows is all that differs.
var update = flag.Bool("update", false, "write the chart's templates and the table in the chart's README.md anew")

// sources are the manifests that a template is written from.
var sources = map[string][]string{
	"namespace.yaml":       {"base/namespace.yaml"},
	"crd.yaml":             {"crd/remediationrequests.yaml"},
	"function.yaml":        {"base/function.yaml", "components/placement-signal/clusterrole.yaml", "components/owner/clusterrole.yaml", "components/scope/role/clusterrole.yaml", "components/oidc/clusterrole.yaml"},
	"broker.yaml":          {"base/broker.yaml"},
	"plain.yaml":           {"components/plain/function.yaml"},
	"source.yaml":          {"base/source.yaml"},
	"deadletters.yaml":     {"base/deadletters.yaml"},
	"prune.yaml":           {"base/prune.yaml", "components/placement-signal/prune.yaml", "components/kubernaut/prune.yaml"},
	"networkpolicies.yaml": {"base/networkpolicies.yaml"},
	"otlp.yaml":            {"components/otlp/networkpolicy.yaml"},
	"kubernaut.yaml":       {"components/kubernaut/rights.yaml", "components/kubernaut/networkpolicies.yaml"},
	"observability.yaml":   {"observability/podmonitor.yaml", "observability/prometheusrule.yaml"},
	"datastorage.yaml":     {"components/datastorage-reference/sinkbinding.yaml", "components/datastorage-reference/networkpolicy.yaml"},
}

// A choice is what an object's template has that its manifest has not.
type choice struct {
	// when is the condition under which there is the object; empty is always.
	when    string
	changes []change
}

const (
	fixed         = `eq .Values.placement "fixed"`
	signaled      = `eq .Values.placement "signal"`
	owned         = `or (eq .Values.target "owner") .Values.kubernaut.enabled`
	scoped        = `or .Values.scope .Values.kubernaut.enabled`
	preset        = ".Values.kubernaut.enabled"
	pruning       = ".Values.prune.enabled"
	watching      = ".Values.observability.enabled"
	authenticated = `.Values.oidc.enabled`
	plainly       = ".Values.plain.enabled"
	served        = "not " + plainly
)

// keep leaves an object alone when the release is uninstalled.
var keep = replace("metadata:\n", "metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n")

// choices are by kind and name.
var choices = map[string]choice{
	"Namespace onefire": {when: ".Values.namespace.create", changes: []change{
		keep, replace("  name: onefire\n", "  name: {{ .Release.Namespace }}\n"),
	}},
	"CustomResourceDefinition remediationrequests.kubernaut.ai": {when: "and .Values.crd.install (not " + preset + ")", changes: []change{keep}},
	"Role onefire": {when: fixed, changes: []change{
		replace("  - apiGroups: [kubernaut.ai]\n    resources: [remediationrequests]\n", "  {{- if not "+preset+" }}\n  - apiGroups: [kubernaut.ai]\n    resources: [remediationrequests]\n"),
		replace("    verbs: [patch]\n", "    verbs: [patch]\n  {{- end }}\n"),
	}},
	"RoleBinding onefire":                {when: fixed},
	"ClusterRole onefire":                {when: signaled},
	"ClusterRoleBinding onefire":         {when: signaled},
	"ClusterRole onefire-owner":          {when: owned},
	"ClusterRoleBinding onefire-owner":   {when: owned},
	"ClusterRole onefire-scope":          {when: scoped},
	"ClusterRoleBinding onefire-scope":   {when: scoped},
	"ClusterRole onefire-senders":        {when: authenticated},
	"ClusterRoleBinding onefire-senders": {when: authenticated},
	"Service onefire":                    {when: plainly},
	"PodDisruptionBudget onefire":        {when: plainly},
	"KnativeService onefire": {changes: []change{
		either("apiVersion: ", "metadata:\n", "apiVersion: apps/v1\nkind: Deployment\n"),
		either("    # Only what runs in the cluster", "spec:\n  template:\n", ""),
		replace("\nspec:\n  template:\n", "\nspec:\n  {{- if "+plainly+" }}\n"+plainSpec+"  {{- end }}\n  template:\n"),
		either("      annotations:\n", "    spec:\n", ""),
		either("      # More wait in front of it.", "      containers:\n", plainPod),
		either("            - name: http1\n", "          env:\n", plainPorts),
		replace("              path: /health/readiness\n", "              path: /health/readiness\n"+whenPlain("              port: http\n            periodSeconds: 5\n            timeoutSeconds: 4\n")),
		replace("              path: /health/liveness\n", "              path: /health/liveness\n"+whenPlain("              port: http\n")),
		replace(`min-scale: "0"`, "min-scale: {{ .Values.function.scale.min | quote }}"),
		replace(`max-scale: "5"`, "max-scale: {{ .Values.function.scale.max | quote }}"),
		replace(`target: "256"`, "target: {{ .Values.function.scale.target | quote }}"),
		replace("image: onefire\n", `image: {{ include "onefire.image" (list $ "function") }}`+"\n"),
		replace("value: onefire\n", "value: {{ ternary .Values.kubernaut.namespace .Release.Namespace "+preset+" }}\n"),
		replace("value: fixed\n", "value: {{ .Values.placement }}\n"),
		within("env", true, variables("function")),
		within("env", true, `
{{- with .Values.audit.url }}
- name: AUDIT_SINK
  value: {{ . | quote }}
{{- end }}`),
		within("env", true, "\n{{- if not .Values.audit.enabled }}\n- name: AUDIT_SINK\n  value: none\n{{- end }}"),
		within("env", true, functionFileVariables),
		within("env", true, `
{{- if `+owned+` }}
- name: TARGET
  value: owner
{{- end }}`),
		within("env", true, `
{{- if `+scoped+` }}
- name: SCOPE
  value: {{ .Values.scope | default "kubernaut.ai/managed=true" | quote }}
{{- end }}`),
		within("env", true, "\n{{- if "+preset+" }}"+presetVariables+"\n{{- end }}"),
		replace(noFiles, functionFiles),
		within("env", true, collector),
		within("env", true, whenOIDC("\n- name: OIDC_AUDIENCE\n  value: "+audience+"\n- name: OIDC_SUBJECTS\n  value: {{ include \"onefire.senders\" $ | quote }}")),
		within("resources", false, quantities("function")),
	}},
	"ConfigMap onefire-broker": {when: "not (or .Values.broker.config.name " + plainly + ")"},
	"Broker onefire": {when: served, changes: []change{
		replace("MTChannelBasedBroker", "{{ .Values.broker.class | quote }}"),
		replace("    name: onefire-broker\n", `    name: {{ .Values.broker.config.name | default "onefire-broker" | quote }}`+"\n"),
		replace("    namespace: {{ .Release.Namespace }}\n", "    namespace: {{ .Values.broker.config.namespace | default .Release.Namespace | quote }}\n"),
	}},
	"Trigger onefire": {when: served, changes: []change{
		replace("      kind: Service\n      name: onefire\n", "      kind: Service\n      name: onefire\n    {{- if "+authenticated+" }}\n    audience: "+audience+"\n    {{- end }}\n"),
	}},
	"Deployment onefire-source": {changes: []change{
		replace("replicas: 2\n", "replicas: {{ .Values.source.replicas }}\n"),
		replace("image: onefire-source\n", `image: {{ include "onefire.image" (list $ "source") }}`+"\n"),
		within("env", true, variables("source")),
		within("env", true, sourceFileVariables),
		within("env", true, collector),
		within("env", true, whenOIDC("\n- name: SINK_TOKEN_FILE\n  value: /oidc/token")),
		within("env", true, "\n{{- if "+plainly+" }}\n- name: K_SINK\n  value: http://onefire.{{ $.Release.Namespace }}.svc.cluster.local\n{{- end }}"),
		replace(noFiles, sourceFiles),
		replace("              path: /health/readiness\n", "              path: /health/readiness\n"+whenHTTPS("              scheme: HTTPS\n")),
		replace("              path: /health/liveness\n", "              path: /health/liveness\n"+whenHTTPS("              scheme: HTTPS\n")),
		within("resources", false, quantities("source")),
	}},
	"Service onefire-source": {changes: []change{
		replace("    - name: http\n      port: 80\n", whenHTTPS("    - name: https\n      port: 443\n{{- else }}\n    - name: http\n      port: 80\n")),
	}},
	"SinkBinding onefire-source":         {when: served},
	"ServiceAccount onefire-deadletters": {when: served},
	"Role onefire-deadletters":           {when: served},
	"RoleBinding onefire-deadletters":    {when: served},
	"Service onefire-deadletters":        {when: served},
	"ServiceAccount onefire-replay":      {when: served},
	"Role onefire-replay":                {when: served},
	"RoleBinding onefire-replay":         {when: served},
	"Deployment onefire-deadletters": {when: served, changes: []change{
		replace("image: onefire-deadletters\n", `image: {{ include "onefire.image" (list $ "deadletters") }}`+"\n"),
		within("env", true, variables("deadletters")),
		within("env", true, collector),
		within("resources", false, quantities("deadletters")),
	}},
	"CronJob onefire-replay": {when: served, changes: []change{
		replace("image: onefire-deadletters\n", `image: {{ include "onefire.image" (list $ "deadletters") }}`+"\n"),
		replace("http://onefire.onefire.svc", "http://onefire.{{ .Release.Namespace }}.svc"),
		within("env", true, variables("replay")),
		within("env", true, whenOIDC("\n- name: REPLAY_TOKEN_FILE\n  value: /var/run/onefire/token")),
		replace("              args: [replay, all]\n", "              args: [replay, all]\n"+mount),
		replace("          containers:\n", volume+"          containers:\n"),
		within("resources", false, quantities("replay")),
	}},
	"ServiceAccount onefire-prune": {when: pruning},
	"Role onefire-prune": {when: pruning, changes: []change{
		replace("  - apiGroups: [kubernaut.ai]\n    resources: [remediationrequests]\n    verbs: [list, delete]\n",
			"  {{- if and ("+fixed+") (not "+preset+") }}\n  - apiGroups: [kubernaut.ai]\n    resources: [remediationrequests]\n    verbs: [list, delete]\n  {{- end }}\n"),
	}},
	"RoleBinding onefire-prune":           {when: pruning},
	"ClusterRole onefire-prune":           {when: "and " + pruning + " (" + signaled + ")"},
	"ClusterRoleBinding onefire-prune":    {when: "and " + pruning + " (" + signaled + ")"},
	"Role onefire-kubernaut-prune":        {when: "and " + pruning + " " + preset, changes: []change{theirs}},
	"RoleBinding onefire-kubernaut-prune": {when: "and " + pruning + " " + preset, changes: []change{theirs}},
	"CronJob onefire-prune": {when: pruning, changes: []change{
		replace(`schedule: "17 * * * *"`, "schedule: {{ .Values.prune.schedule | quote }}"),
		replace("image: onefire\n", `image: {{ include "onefire.image" (list $ "function") }}`+"\n"),
		replace("value: onefire\n", "value: {{ ternary .Values.kubernaut.namespace .Release.Namespace "+preset+" }}\n"),
		replace("value: fixed\n", "value: {{ .Values.placement }}\n"),
		replace("value: 168h\n", "value: {{ .Values.prune.ttl | quote }}\n"),
		replace("value: 720h\n", "value: {{ .Values.prune.deadLetterTTL | quote }}\n"),
		within("env", true, variables("prune")),
		within("resources", false, quantities("prune")),
	}},
	"NetworkPolicy onefire": {changes: []change{
		monitoring,
		either("    - from:\n        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: knative-serving\n",
			"    - from:\n        - namespaceSelector:\n            matchLabels:\n              kubernetes.io/metadata.name: {{", "    - from:\n"+peer("onefire-source")+"        - {protocol: TCP, port: http}\n"),
	}},
	"NetworkPolicy onefire-source": {changes: []change{
		monitoring, either("    # The Broker's ingress", "", "    - to:\n"+peer("onefire")+"        - {protocol: TCP, port: 8080}\n"),
	}},
	"NetworkPolicy onefire-deadletters": {when: served, changes: []change{monitoring}},
	"NetworkPolicy onefire-replay": {when: served, changes: []change{
		replace("[knative-serving, kourier-system, istio-system, contour-internal]", `{{ prepend .Values.gateways "knative-serving" | toJson }}`),
	}},
	"PodMonitor onefire":         {when: watching, changes: []change{labelled}},
	"PodMonitor onefire-knative": {when: watching, changes: []change{labelled}},
	"PrometheusRule onefire": {when: watching, changes: []change{
		labelled,
		everywhere("https://runbooks.example/", "{{ .Values.observability.runbooksURL }}/"),
		everywhere("trigger:onefire.onefire", "trigger:onefire.{{ .Release.Namespace }}"),
		replace("Broker of namespace onefire", "Broker of namespace {{ .Release.Namespace }}"),
	}},
	"NetworkPolicy onefire-otlp": {when: ".Values.otlp.endpoint", changes: []change{
		replace("from-site-env", "{{ .Values.otlp.namespace | quote }}"),
	}},
	"Role onefire-kubernaut":                  {when: preset, changes: []change{theirs}},
	"RoleBinding onefire-kubernaut":           {when: preset, changes: []change{theirs}},
	"RoleBinding onefire-data-storage-client": {when: preset, changes: []change{theirs}},
	"NetworkPolicy onefire-kubernaut": {when: preset, changes: []change{
		replace("metadata.name: kubernaut-system\n", "metadata.name: {{ .Values.kubernaut.namespace }}\n"),
	}},
	"NetworkPolicy onefire-to-datastorage": {when: preset, changes: []change{
		theirs, replace("metadata.name: onefire\n", "metadata.name: {{ .Release.Namespace }}\n"),
	}},
	"NetworkPolicy onefire-datastorage": {when: "and .Values.audit.enabled (not " + preset + ")", changes: []change{replace("from-site-env", "{{ .Values.audit.namespace | quote }}")}},
	"SinkBinding onefire-datastorage": {when: ".Values.audit.reference.name", changes: []change{
		within("ref", false, `
apiVersion: {{ .Values.audit.reference.apiVersion | quote }}
kind: {{ .Values.audit.reference.kind | quote }}
name: {{ .Values.audit.reference.name | quote }}
namespace: {{ .Values.audit.namespace | quote }}`),
		replace("    uri: /api/v1/audit/events\n", "    {{- with .Values.audit.reference.uri }}\n    uri: {{ . | quote }}\n    {{- end }}\n"),
	}},
}

// theirs puts an object into kubernaut's namespace.
var theirs = replace("\n  namespace: {{ .Release.Namespace }}\n", "\n  namespace: {{ .Values.kubernaut.namespace }}\n")

var monitoring = replace("metadata.name: monitoring\n", "metadata.name: {{ .Values.monitoring.namespace | quote }}\n")

var (
	identity   = regexp.MustCompile(`(?m)^kind: (\S+)\nmetadata:\n  name: (\S+)\n(  namespace: \S+\n)?(  labels:\n)?`)
	namespaces = regexp.MustCompile(`(?m)^( +)namespace: onefire$`)
	subjects   = regexp.MustCompile(`(  - kind: ServiceAccount\n    name: \S+\n)(    namespace: .*\n)?`)
	// cluster are the kinds that have no namespace.
	cluster = regexp.MustCompile(`^(Namespace|CustomResourceDefinition|ClusterRole|ClusterRoleBinding)$`)
)

// template writes the template of an object, and gives its kind and name.
func template(object string) (text, name string, err error) {
	found := identity.FindStringSubmatch(object)
	if found != nil && found[1] == "PrometheusRule" {
		// Its annotations are templates, but Prometheus's.
		object = strings.ReplaceAll(object, "{{", "{{ `{{` }}")
	} else if found == nil || strings.Contains(object, "{{") {
		return "", "", fmt.Errorf("kind, metadata and name must follow each other, and no template may be there:\n%s", object)
	}
	name = found[1] + " " + found[2]
	if strings.Contains("\n"+object, "\napiVersion: serving.knative.dev/") {
		name = "Knative" + name
	}
	head := "kind: " + found[1] + "\nmetadata:\n  name: " + found[2] + "\n"
	if !cluster.MatchString(found[1]) {
		head += "  namespace: {{ .Release.Namespace }}\n"
	}
	head += "  labels:\n" + ownLabels
	text = strings.Replace(object, found[0], head, 1)
	text = namespaces.ReplaceAllString(text, "${1}namespace: {{ .Release.Namespace }}")
	text = subjects.ReplaceAllString(text, "${1}    namespace: {{ .Release.Namespace }}\n")
	for _, change := range choices[name].changes {
		if text, err = change(text); err != nil {
			return "", name, fmt.Errorf("%s: %w", name, err)
		}
	}
	if when := choices[name].when; when != "" {
		text = "{{- if " + when + " }}\n" + text + "{{- end }}\n"
	}
	return text, name, nil
}

// written gives the chart's templates as they follow from the manifests, by
// file, and the objects that are in them.
func written(dir string) (files map[string]string, names []string, err error) {
	panels, err := os.ReadFile(filepath.Join(dir, "observability", "dashboard.json"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the dashboard: %w", err)
	}
	files = map[string]string{"templates/dashboard.yaml": dashboard, "dashboard.json": string(panels)}
	for file, from := range sources {
		text := "{{- /* Written from " + strings.Join(from, " and ") + " by chart_templates_test.go. */}}\n"
		for _, path := range from {
			manifest, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				return nil, nil, fmt.Errorf("reading a manifest: %w", err)
			}
			for object := range strings.SplitSeq(string(manifest), "\n---\n") {
				object, name, err := template(strings.TrimSuffix(object, "\n") + "\n")
				if err != nil {
					return nil, nil, fmt.Errorf("%s: %w", path, err)
				}
				names = append(names, name)
				text += "---\n" + object
			}
		}
		files["templates/"+file] = text
	}
	return files, names, nil
}

func TestTheChartsTemplatesFollowFromTheManifests(t *testing.T) {
	files, names, err := written("..")
	require.NoError(t, err)
	for name := range choices {
		require.Contains(t, names, name, "a choice for what is not there")
	}
	for file, text := range files {
		path := filepath.Join("..", "chart", file)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		there, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(there), "go test ./... -update in knative/verify writes it anew")
	}
	there, err := filepath.Glob("../chart/templates/*.yaml")
	require.NoError(t, err)
	require.Len(t, there, len(files)-1, "templates that come from nowhere")
}

// A manifest that changed where a choice is put in stops the writing.
func TestAManifestThatNoChoiceFitsIsFound(t *testing.T) {
	dir := manifests(t)
	edit(t, filepath.Join(dir, "base", "source.yaml"), "replicas: 2", "replicas: 3")
	_, _, err := written(dir)
	require.ErrorContains(t, err, `base/source.yaml: Deployment onefire-source: "replicas: 2\n" is there 0 times`)
}
