package alternatives

import (
	_ "embed"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"onefire/dedup"
	"onefire/knative/crd"
	"onefire/mapping"
)

//go:embed testdata/kubernaut.yaml
var kubernaut []byte

// TestKubernautsCRDTakesOurObjects is about what the preset for kubernaut makes, on a
// CRD with the fields and limits of kubernaut's own.
func TestKubernautsCRDTakesOurObjects(t *testing.T) {
	var ours, theirs map[string]any
	require.NoError(t, yaml.Unmarshal(crd.YAML, &ours))
	require.NoError(t, yaml.Unmarshal(kubernaut, &theirs))
	install(t, theirs, 0)
	defer install(t, ours, 1)

	p := newPlace(t, ways[0])
	require.Equal(t, "1", p.race(), "ten first alerts at once make one object")

	p = newPlace(t, ways[0])
	d := p.process(nil)
	rules := mapping.Rules{Fingerprint: mapping.ByResource, Severity: mapping.SeverityRaw, Schema: mapping.Schema202608, Namespace: p.namespace, ClusterLabel: "cluster"}
	long := strings.Repeat("é", 1<<10)
	made := 0
	for _, severity := range []string{"", "warning", "P1", long, "\x00\xff"} {
		for _, labels := range []map[string]string{
			{"namespace": "shop", "pod": "api-0"}, {"namespace": "shop", "persistentvolumeclaim": "data"}, {"namespace": "shop", "horizontalpodautoscaler": "api"},
			{"node": "n1"}, {"url": "https://shop"}, {"namespace": "shop", "pod": "api-0", "cluster": long}, {"namespace": "shop", "deployment": "api", long: long},
		} {
			made++
			labels["alertname"], labels["severity"], labels["url"] = long, severity, fmt.Sprint(labels["url"], made)
			if labels["pod"] != "" {
				labels["pod"] = fmt.Sprint("api-", made)
			}
			s, err := rules.Signal(mapping.Alert{Labels: labels, Annotations: map[string]string{long: long}, Raw: []byte(`{"labels":{}}`)}, time.Now())
			require.NoError(t, err)
			require.NoError(t, d(t.Context(), fmt.Sprint(made), s), "%v", labels)
		}
	}
	require.NotEmpty(t, p.list())
	severities := map[string]bool{}
	for _, o := range p.list() {
		severities[o.Object["spec"].(map[string]any)["severity"].(string)] = true
	}
	require.Contains(t, severities, "warning")

	// Each phase that kubernaut knows: only the terminal ones let a new object be made,
	// and a list shows them as ended.
	requests, err := dedup.OpenRequests(kube)
	require.NoError(t, err)
	for phase, terminal := range map[string]bool{
		"Pending": false, "Processing": false, "Analyzing": false, "AwaitingApproval": false, "Executing": false, "Verifying": false, "Blocked": false,
		"Completed": true, "Failed": true, "TimedOut": true, "Skipped": true, "Cancelled": true,
	} {
		p := newPlace(t, ways[0])
		d := p.process(nil)
		p.deliver(d, "first", 0)
		_, err := p.objects.Patch(t.Context(), p.list()[0].GetName(), types.MergePatchType, []byte(`{"status":{"overallPhase":"`+phase+`"}}`), metav1.PatchOptions{}, "status")
		require.NoError(t, err)
		page, err := requests.Page(t.Context(), p.namespace, 10, "")
		require.NoError(t, err)
		require.Len(t, page.Requests, 1)
		shown := page.Requests[0]
		require.Equal(t, map[bool]dedup.State{false: dedup.StateBurning, true: dedup.StateEnded}[terminal], shown.State, phase)
		require.Equal(t, phase, shown.Phase)
		require.EqualValues(t, 1, shown.Count)
		require.Equal(t, signal(p.namespace, 0).Target, shown.Target)
		p.deliver(p.process(nil), "second", 0)
		require.Len(t, p.list(), map[bool]int{false: 1, true: 2}[terminal], phase)
	}
}
