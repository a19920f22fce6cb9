package objects

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/kube-state-metrics/v2/pkg/customresourcestate"
	"k8s.io/kube-state-metrics/v2/pkg/metric"
	"sigs.k8s.io/yaml"
)

// exposed is what kube-state-metrics makes of a RemediationRequest.
func exposed(t *testing.T, object string) string {
	t.Helper()
	config, err := os.ReadFile("../../../knative/observability/kube-state-metrics.yaml")
	require.NoError(t, err)
	var parsed customresourcestate.Metrics
	require.NoError(t, yaml.UnmarshalStrict([]byte(strings.Replace(string(config), "kind: CustomResourceStateMetrics\n", "", 1)), &parsed))
	require.Len(t, parsed.Spec.Resources, 1)
	// As kube-state-metrics does when it reads the file.
	for i := range parsed.Spec.Resources[0].Metrics {
		each := &parsed.Spec.Resources[0].Metrics[i].Each
		each.Type = metric.Type(strings.ToLower(string(each.Type)))
	}
	factory, err := customresourcestate.NewCustomResourceMetrics(parsed.Spec.Resources[0])
	require.NoError(t, err)
	u := &unstructured.Unstructured{}
	require.NoError(t, yaml.Unmarshal([]byte(object), &u.Object))
	var out strings.Builder
	for _, family := range factory.MetricFamilyGenerators() {
		out.Write(family.Generate(u).ByteSlice())
	}
	return out.String()
}

var update = flag.Bool("update", false, "write what is made from other files")

// The module above tries the dashboard's queries on what kube-state-metrics makes of
// these requests.
func TestTheDashboardIsTriedOnWhatKubeStateMetricsMakes(t *testing.T) {
	all, err := os.ReadFile("testdata/requests.yaml")
	require.NoError(t, err)
	var made strings.Builder
	for object := range strings.SplitSeq(string(all), "\n---\n") {
		made.WriteString(exposed(t, object))
	}
	const file = "../testdata/requests.prom"
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(made.String()), 0o600))
	}
	there, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, made.String(), string(there), "go test ./... -update writes it anew")
}

func TestKubeStateMetricsTellsOfARequest(t *testing.T) {
	const begin = `
apiVersion: kubernaut.ai/v1alpha1
kind: RemediationRequest
metadata: {name: rr-1, namespace: onefire, creationTimestamp: "2026-01-02T03:04:05Z"}
spec: {severity: high, signalName: DiskFull}
`
	for name, c := range map[string]struct {
		object string
		want   []string
	}{
		"new: the CRD's default count, no phase, no repeat": {begin + "status: {deduplication: {occurrenceCount: 1}}", []string{
			`onefire_remediationrequest_created{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323045e+09`,
			`onefire_remediationrequest_occurrences{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1`,
		}},
		"alerts that were folded in": {begin + `status: {deduplication: {alerts: [
			{id: 62a93a08465ef471, alertname: DiskGone, severity: critical, firstSeenAt: "2026-01-02T03:05:05Z"}, {id: b807e636403824b5, alertname: DiskFull, severity: low, firstSeenAt: "2026-01-02T03:04:05Z"}]}}`, []string{
			`onefire_remediationrequest_created{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323045e+09`,
			`onefire_remediationrequest_folded{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",folded_alert="DiskGone",folded_id="62a93a08465ef471",folded_severity="critical",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323105e+09`,
			`onefire_remediationrequest_folded{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",folded_alert="DiskFull",folded_id="b807e636403824b5",folded_severity="low",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323045e+09`,
		}},
		"alerts that have ended, and what it is about": {strings.Replace(begin, "spec: {", "spec: {clusterID: eu-1, targetResource: {kind: Node, name: n-1}, ", 1) + `status: {deduplication: {lastResolvedAt: "2026-01-02T03:05:05Z"}}`, []string{
			`onefire_remediationrequest_created{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high",target_cluster="eu-1",target_kind="Node",target_name="n-1"} 1.767323045e+09`,
			`onefire_remediationrequest_resolved{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high",target_cluster="eu-1",target_kind="Node",target_name="n-1"} 1.767323105e+09`,
		}},
		"more alerts than it names": {begin + "status: {deduplication: {alertsOmitted: true}}", []string{
			`onefire_remediationrequest_created{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323045e+09`,
			`onefire_remediationrequest_alerts_omitted{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1`,
		}},
		"a repeat, and a phase": {begin + `status: {overallPhase: Executing, deduplication: {occurrenceCount: 7, lastSeenAt: "2026-01-02T03:05:05Z"}}`, []string{
			`onefire_remediationrequest_created{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",phase="Executing",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323045e+09`,
			`onefire_remediationrequest_last_seen{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",phase="Executing",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 1.767323105e+09`,
			`onefire_remediationrequest_occurrences{customresource_group="kubernaut.ai",customresource_kind="RemediationRequest",customresource_version="v1alpha1",phase="Executing",request="rr-1",request_alert="DiskFull",request_namespace="onefire",request_severity="high"} 7`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ElementsMatch(t, c.want, strings.Split(strings.TrimSpace(exposed(t, c.object)), "\n"))
		})
	}
}
