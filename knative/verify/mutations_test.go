package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each of these is a mistake that somebody could make in a manifest; the checks
// must see it.
func TestMistakesAreFound(t *testing.T) {
	mistakes := 0
	for name, mistake := range map[string]struct {
		file, from, to string
		v              variant
		want           string
	}{
		"a field that does not exist": {
			file: "function.yaml", from: "containerConcurrency:", to: "containerConcurency:", want: "unknown field",
		},
		"a field that Knative does not let through": {
			file: "function.yaml", from: "      enableServiceLinks: false\n", to: "      enableServiceLinks: false\n      hostNetwork: true\n",
			want: "knative: ",
		},
		"an annotation with a slip": {
			file: "function.yaml", from: "autoscaling.knative.dev/max-scale", to: "autoscaling.knative.dev/max-scales", want: "knative: ",
		},
		"a pod that always runs": {
			file: "function.yaml", from: `min-scale: "0"`, to: `min-scale: "1"`, want: "at rest",
		},
		"a verb too few": {
			file: "function.yaml", from: "[get, list, create, delete]", to: "[get, list, create]", want: "rights: onefire may",
		},
		"a verb too many": {
			file: "function.yaml", from: "verbs: [patch]", to: "verbs: [patch, update]", want: "rights: onefire may",
		},
		"a right to tell that is missing": {
			file: "function.yaml", from: "resources: [events]", to: "resources: [eventses]", want: "rights: onefire may",
		},
		"a brake of another name": {
			file: "function.yaml", from: "resourceNames: [onefire-brake]", to: "resourceNames: [onefire-stop]", want: "rights: onefire may",
		},
		"a right to read all that lies beside the brake": {
			file: "function.yaml", from: "    resourceNames: [onefire-brake]\n", to: "", want: "rights: onefire may",
		},
		"a verb too few for the store": {
			file: "deadletters.yaml", from: "[get, list, create]", to: "[get, create]", want: "rights: onefire-deadletters may",
		},
		"a verb too many in the whole cluster": {
			file: "../components/placement-signal/clusterrole.yaml", from: "[get, list, create, delete]", to: "['*']",
			v: variant{on: []string{signal}}, want: "rights: onefire may",
		},
		"a workload that may be listed": {
			file: "../components/owner/clusterrole.yaml", from: "resources: [jobs, cronjobs]\n    verbs: [get]", to: "resources: [jobs, cronjobs]\n    verbs: [get, list]",
			v: variant{on: []string{owners}}, want: "rights: onefire may",
		},
		"a workload that is forgotten": {
			file: "../components/owner/clusterrole.yaml", from: ", daemonsets", to: "",
			v: variant{on: []string{owners}}, want: "rights: onefire may",
		},
		"rights to owners that nobody asks for": {
			file: "../components/owner/kustomization.yaml", from: "value: owner", to: "value: labels",
			v: variant{on: []string{owners}}, want: "the target is labels",
		},
		"a namespace that may be listed": {
			file: "../components/scope/role/clusterrole.yaml", from: "pods]\n    verbs: [get]", to: "pods]\n    verbs: [get, list]",
			v: variant{on: []string{scope}}, want: "rights: onefire may",
		},
		"a scope whose labels cannot be read": {
			file: "../components/scope/role/clusterrole.yaml", from: "[namespaces, ", to: "[", v: variant{on: []string{scope}}, want: "rights: onefire may",
		},
		"a scope that is no selector": {
			file: "../components/kubernaut/kustomization.yaml", from: "value: kubernaut.ai/managed=true", to: "value: kubernaut.ai/managed true",
			v: variants["kubernaut"], want: "SCOPE",
		},
		"objects where kubernaut does not look": {
			file: "../components/kubernaut/kustomization.yaml", from: "[name=REMEDIATION_NAMESPACE]", to: "[name=REMEDIATION_PLACEMENT]",
			v: variants["kubernaut"], want: "REMEDIATION_PLACEMENT",
		},
		"rights where no object is made": {
			file: "../components/kubernaut/kustomization.yaml", from: "      - {op: test, path: /rules/0/resources, value: [remediationrequests]}\n      - {op: remove, path: /rules/0}\n      - {op: test, path: /rules/0/resources, value: [remediationrequests/status]}\n      - {op: remove, path: /rules/0}\n",
			to: "      - {op: test, path: /rules/0/resources, value: [remediationrequests]}\n", v: variants["kubernaut"], want: "no rights",
		},
		"a role of kubernaut's for more than its DataStorage": {
			file: "../components/kubernaut/rights.yaml", from: "name: data-storage-client", to: "name: cluster-admin", v: variants["kubernaut"], want: "roles of others are bound",
		},
		"a DataStorage that the function cannot reach": {
			file: "../components/kubernaut/networkpolicies.yaml", from: "port: 8080", to: "port: 8443", v: variants["kubernaut"],
			want: "network: Egress of onefire with healing at port 8080",
		},
		"a token for DataStorage that is somewhere else": {
			file: "../components/kubernaut/kustomization.yaml", from: "value: /var/run/onefire/token", to: "value: /var/run/onefire/jwt", v: variants["kubernaut"], want: "AUDIT_TOKEN_FILE",
		},
		"raw severities with the schema that lists five": {
			file: "../components/kubernaut/kustomization.yaml", from: "value: 2026-08", to: "value: 2026-01", v: variants["kubernaut"], want: "SEVERITY",
		},
		"a right that reviewing tokens does not need": {
			file: "../components/oidc/clusterrole.yaml", from: "verbs: [create]", to: "verbs: [create, get]",
			v: variant{on: []string{oidc}}, want: "rights: onefire may",
		},
		"a Trigger with tokens for somebody else": {
			file: "../components/oidc/kustomization.yaml", from: "        value: serving.knative.dev/service/onefire/onefire\n",
			to: "        value: serving.knative.dev/service/onefire/other\n", v: variant{on: []string{oidc}}, want: "senders: the function asks",
		},
		"a Trigger that may not send": {
			file: "../components/oidc/kustomization.yaml", from: "onefire-oidc-eventing.knative.dev-trigger", to: "onefire-oidc-trigger",
			v: variant{on: []string{oidc}}, want: "may send, and it should be",
		},
		"a token that is somewhere else": {
			file: "../components/oidc/kustomization.yaml", from: "value: /oidc/token", to: "value: /oidc/jwt",
			v: variant{on: []string{oidc}}, want: "SINK_TOKEN_FILE",
		},
		"a replay that has no token": {
			file: "../components/oidc/kustomization.yaml", from: "mountPath: /var/run/onefire", to: "mountPath: /var/run/tokens",
			v: variant{on: []string{oidc}}, want: "REPLAY_TOKEN_FILE",
		},
		"a token that nobody needs": {
			file: "source.yaml", from: "      automountServiceAccountToken: false\n", to: "", want: "has a token",
		},
		"a root that can be written to": {
			file: "source.yaml", from: "            readOnlyRootFilesystem: true\n", to: "", want: "can write to its root",
		},
		"a container that may run as root": {
			file: "deadletters.yaml", from: "runAsNonRoot: true", to: "runAsNonRoot: false", want: "pods: onefire-deadletters",
		},
		"a function with capabilities": {
			file: "function.yaml", from: "              drop: [ALL]", to: "              drop: [NET_RAW]", want: "pods: onefire",
		},
		"a namespace that lets anything run": {
			file: "namespace.yaml", from: "enforce: restricted", to: "enforce: baseline", want: "not restricted",
		},
		"a probe at another port": {
			file: "source.yaml", from: "              path: /health/readiness\n              port: http", to: "              path: /health/readiness\n              port: metrics",
			want: "another port",
		},
		"a probe of another path": {
			file: "function.yaml", from: "path: /health/liveness", to: "path: /healthz", want: "nothing asks /health/liveness",
		},
		"a variable with a slip": {
			file: "source.yaml", from: "name: METRICS_ADDRESS", to: "name: METRIC_ADDRESS", want: "nothing reads METRIC_ADDRESS",
		},
		"a value that stops the start": {
			file: "deadletters.yaml", from: `value: ":9464"`, to: `value: "9464"`, want: "METRICS_ADDRESS",
		},
		"a namespace without rights": {
			file: "function.yaml", from: "              value: onefire", to: "              value: elsewhere", want: "no rights",
		},
		"a Trigger of another type": {
			file: "broker.yaml", from: "type: io.prometheus.alert.v1", to: "type: io.prometheus.alert", want: "the source sends",
		},
		"a dead-letter sink that is not there": {
			file: "broker.yaml", from: "name: onefire-deadletters", to: "name: dead-letters", want: "there is no Service dead-letters",
		},
		"retries without a pause": {
			file: "broker.yaml", from: "    backoffDelay: PT0.5S\n", to: "", want: "how to try again",
		},
		"a delay that is no duration": {
			file: "broker.yaml", from: "PT0.5S", to: "500ms", want: "backoffDelay",
		},
		"a Broker that gives up before the function": {
			file: "broker.yaml", from: "timeout: PT100S", to: "timeout: PT20S", want: "the Broker gives up",
		},
		"a field that a default installation refuses": {
			file: "broker.yaml", from: "    timeout: PT100S\n", to: "    timeout: PT100S\n    retryAfterMax: PT10S\n", want: "retryAfterMax",
		},
		"a pod that has no time to end": {
			file: "function.yaml", from: "timeoutSeconds: 90", to: "timeoutSeconds: 30", want: "a pod that ends",
		},
		"more requests than the function takes": {
			file: "function.yaml", from: "containerConcurrency: 256", to: "containerConcurrency: 1000", want: "the function takes",
		},
		"a selector that selects nothing": {
			file: "source.yaml", from: "  selector:\n    app.kubernetes.io/name: onefire-source", to: "  selector:\n    app.kubernetes.io/name: source",
			want: "Service onefire-source: wrong about",
		},
		"a budget for others": {
			file: "source.yaml", from: "  maxUnavailable: 1\n  selector:\n    matchLabels:\n      app.kubernetes.io/name: onefire-source",
			to: "  maxUnavailable: 1\n  selector: {}", want: "PodDisruptionBudget onefire-source: wrong about",
		},
		"a policy for pods that are not there": {
			file: "networkpolicies.yaml", from: "  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: onefire\n",
			to: "  podSelector:\n    matchLabels:\n      app: onefire\n", want: "network: Ingress of onefire",
		},
		"no default": {
			file: "networkpolicies.yaml", from: "policyTypes: [Ingress, Egress]", to: "policyTypes: [Egress]", want: "network: Ingress of stranger",
		},
		"a door left open": {
			file: "networkpolicies.yaml", from: "              kubernetes.io/metadata.name: monitoring", to: "              kubernetes.io/os: linux",
			want: "network: Ingress of onefire with monitoring at port 9464",
		},
		"a queue-proxy that the autoscaler cannot ask": {
			file: "networkpolicies.yaml", from: "        - {protocol: TCP, port: 9090}\n", to: "", want: "network: Ingress of onefire",
		},
		"a function that the whole world reaches": {
			file: "function.yaml", from: "    networking.knative.dev/visibility: cluster-local\n", to: "    a: b\n", want: "from outside",
		},
		"metrics that nobody reaches": {
			file: "networkpolicies.yaml", from: "        - {protocol: TCP, port: 9464}\n", to: "        - {protocol: TCP, port: 9465}\n",
			want: "network: Ingress of onefire with monitoring at port 9464",
		},
		"a function that nobody scrapes": {
			file: "../observability/podmonitor.yaml", from: "[onefire, onefire-source", to: "[onefire-source", v: watched,
			want: "monitoring: onefire is scraped 0 times",
		},
		"a function that is scraped where it does not listen": {
			file: "../observability/podmonitor.yaml", from: "$1:9464", to: "$1:9091", v: watched, want: "monitoring: onefire is scraped at 10.1.2.3:9091",
		},
		"a port that Knative does not name so": {
			file: "../observability/podmonitor.yaml", from: "port: user-port", to: "port: http1", v: watched, want: "monitoring: onefire is scraped 0 times",
		},
		"an alert whose page has another name": {
			file: "../observability/prometheusrule.yaml", from: "/OnefireAPIErrors.md", to: "/OnefireApiErrors.md", v: watched, want: "monitoring: OnefireAPIErrors sends people to",
		},
		"an alert without a page": {
			file: "../observability/prometheusrule.yaml", from: "alert: OnefireAPIErrors", to: "alert: OnefireErrors", v: watched, want: "monitoring: OnefireErrors sends people to",
		},
		"pages that stay where nobody is": {
			file: "../observability/kustomization.yaml", from: "index: 0", to: "index: 1", v: watched, want: "monitoring: OnefireWatchdogMissing sends people to",
		},
		"metrics that are somewhere else": {
			file: "function.yaml", from: `value: ":9464"`, to: `value: ":9465"`, v: watched, want: "monitoring: onefire is scraped at 10.1.2.3:9464",
		},
		"a function without metrics": {
			file: "function.yaml", from: "            - name: METRICS_ADDRESS\n              value: \":9464\"\n", to: "", want: "monitoring: onefire serves no metrics",
		},
		"a field that the Operator does not have": {
			file: "../observability/podmonitor.yaml", from: "relabelings:", to: "relabelConfigs:", v: watched, want: "unknown field",
		},
		"a program that sends nothing to the Collector": {
			file: "../components/otlp/kustomization.yaml", from: "onefire-source|onefire-deadletters", to: "onefire-source",
			v: variants["an OpenTelemetry Collector"], want: "unable to find field",
		},
		"a Collector that nobody reaches": {
			file: "../components/otlp/networkpolicy.yaml", from: "port: 4318", to: "port: 4317",
			v: variants["an OpenTelemetry Collector"], want: "network: Egress of onefire with telemetry at port 4318",
		},
		"a prune that may do more than it does": {
			file: "prune.yaml", from: "verbs: [list, delete]", to: "verbs: [list, delete, patch]", want: "rights: onefire-prune may",
		},
		"a prune that looks elsewhere than the function writes": {
			file: "prune.yaml", from: "value: onefire\n", to: "value: onefire-requests\n", want: "prune: it looks for requests in onefire-requests (fixed)",
		},
		"a prune that looks in one namespace of all": {
			file: "../components/placement-signal/kustomization.yaml", from: "containers/0/env/2/value, value: signal", to: "containers/0/env/2/value, value: fixed",
			v: variants["objects in alert namespaces"], want: "prune: it looks for requests in onefire (fixed)",
		},
		"a prune without rights where kubernaut looks": {
			file: "../components/kubernaut/prune.yaml", from: "  - kind: ServiceAccount\n    name: onefire-prune", to: "  - kind: ServiceAccount\n    name: onefire",
			v: variants["kubernaut"], want: "rights: onefire-prune may",
		},
		"a prune that is killed on its way": {
			file: "prune.yaml", from: "activeDeadlineSeconds: 3060", to: "activeDeadlineSeconds: 600", want: "prune: the Job does not end",
		},
		"two prunes at once": {
			file: "prune.yaml", from: "concurrencyPolicy: Forbid", to: "concurrencyPolicy: Allow", want: "prune: it runs twice",
		},
		"a prune that reaches no API server": {
			file: "networkpolicies.yaml", from: ", onefire-prune]", to: "]", want: "network: Egress of onefire-prune",
		},
		"no audit, and a sink": {
			file: "../components/no-audit/kustomization.yaml", from: "value: none", to: "value: http://store.example",
			v: variants["no audit"], want: "environment: audit events go to http://store.example",
		},
		"without Knative, a source that posts elsewhere": {
			file: "../components/plain/kustomization.yaml", from: "http://onefire.onefire.svc", to: "http://onefire.svc",
			v: variants["without Knative"], want: "delivery: the source posts to http://onefire.svc",
		},
		"without Knative, something of it": {
			file: "../components/plain/kustomization.yaml", from: "target: {group: eventing.knative.dev}", to: "target: {group: eventing.knative.dev, kind: Broker}",
			v: variants["without Knative"], want: "knative: Trigger onefire is Knative's",
		},
		"without Knative, a function that others reach": {
			file: "../components/plain/kustomization.yaml", from: "          from: [{podSelector: {matchLabels: {app.kubernetes.io/name: onefire-source}}}]", to: "          from: [{podSelector: {}}]",
			v: variants["without Knative"], want: "network: Ingress of onefire with pod:onefire-prune",
		},
		"without Knative, a pod that has no time to end": {
			file: "../components/plain/kustomization.yaml", from: "terminationGracePeriodSeconds, value: 45", to: "terminationGracePeriodSeconds, value: 30",
			v: variants["without Knative"], want: "delivery: onefire is killed",
		},
		"without Knative, a probe without a port": {
			file: "../components/plain/kustomization.yaml", from: "livenessProbe/httpGet/port, value: http}", to: "livenessProbe/httpGet/port, value: metrics}",
			v: variants["without Knative"], want: "pods: onefire: /health/liveness is asked at another port",
		},
		"without Knative, alerts on what it has": {
			file: "../components/plain/kustomization.yaml", from: "      - {op: remove, path: /spec/groups/1}\n", to: "",
			v: variants["all without Knative"], want: "monitoring: alerts on the dead-letter store: true; a dead-letter store: false",
		},
		"a secret that is mounted elsewhere": {
			file: "../components/source-token/kustomization.yaml", from: "mountPath: /var/run/onefire/token,", to: "mountPath: /var/run/secrets,",
			v: variants["a token for the source"], want: "files: onefire-source reads",
		},
		"a token for somebody else": {
			file: "../components/audit-token/kustomization.yaml", from: "data.AUDIT_AUDIENCE", to: "data.DATASTORAGE_SERVICE",
			v: variants["a token for the sink"], want: "files: onefire reads",
		},
		"certificates that nothing reads": {
			file: "../components/audit-ca/kustomization.yaml", from: "name: AUDIT_CA_FILE", to: "name: K_CA_CERTS",
			v: variants["a sink's own certificates"], want: "files: onefire: nothing reads /var/run/onefire/audit-ca/ca.crt",
		},
		"a key that can be written to": {
			file: "../components/source-tls/kustomization.yaml", from: "mountPath: /var/run/onefire/tls, readOnly: true", to: "mountPath: /var/run/onefire/tls",
			v: variants["a source that serves HTTPS"], want: "or can be written to",
		},
		"a probe by HTTP where HTTPS is served": {
			file: "../components/source-tls/kustomization.yaml", from: "      - {op: add, path: /spec/template/spec/containers/0/livenessProbe/httpGet/scheme, value: HTTPS}\n", to: "",
			v: variants["a source that serves HTTPS"], want: "files: onefire-source is not asked by HTTPS",
		},
		"an alert about a Trigger that is not there": {
			file: "broker.yaml", from: "kind: Trigger\nmetadata:\n  name: onefire\n", to: "kind: Trigger\nmetadata:\n  name: alerts\n", v: watched,
			want: "monitoring: there is no trigger:onefire.onefire",
		},
	} {
		mistakes++
		t.Run(name, func(t *testing.T) {
			dir := manifests(t)
			mistake.v.choose(t, dir)
			edit(t, filepath.Join(dir, "base", mistake.file), mistake.from, mistake.to)
			found := problems(t, dir, mistake.v)
			require.Condition(t, func() bool { return contains(found, mistake.want) }, "want %q in %q", mistake.want, found)
		})
	}

	page, err := os.ReadFile("../../docs/evidence.md")
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(strings.Join(strings.Fields(string(page)), " "), fmt.Sprintf(" %d mistakes ", mistakes)), "docs/evidence.md says how many: %d", mistakes)
}
