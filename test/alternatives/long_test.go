package alternatives

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"onefire/dedup"
	"onefire/knative/crd"
	"onefire/mapping"
)

// TestAPastThatIsLargerThanAnAnswer is about a fingerprint with so many large objects
// that they come in pages, on our CRD, and on one whose phase cannot be selected by.
func TestAPastThatIsLargerThanAnAnswer(t *testing.T) {
	const past, namespace = 561, "long"
	client, err := dynamic.NewForConfig(kube)
	require.NoError(t, err)
	objects := client.Resource(dedup.Resource).Namespace(namespace)
	signal := mapping.Signal{
		Fingerprint: strings.Repeat("ab", 32), Namespace: namespace, Name: "Long", Severity: "high",
		Target: mapping.Target{Kind: "Pod", Name: "p"}, FiringAt: time.Now(), SaidAt: time.Now(),
	}
	complete := func(name string) error {
		_, err := objects.Patch(t.Context(), name, types.MergePatchType, []byte(`{"status":{"overallPhase":"Completed"}}`), metav1.PatchOptions{}, "status")
		return err
	}
	settle := func(key string) (dedup.Outcome, *dedup.LongPast) {
		var told *dedup.LongPast
		d, err := dedup.New(kube, dedup.Options{SignalType: "alert", LongPast: func(p dedup.LongPast) { told = &p }})
		require.NoError(t, err)
		outcomes, err := d.Settle(t.Context(), signal, []string{key}, nil)
		require.NoError(t, err)
		return outcomes[0], told
	}
	first, told := settle("first")
	require.Equal(t, mapping.FirstSeen, first.Reason)
	require.Nil(t, told)
	require.NoError(t, complete(first.Name))
	made, err := objects.Get(t.Context(), first.Name, metav1.GetOptions{})
	require.NoError(t, err)
	require.NoError(t, unstructured.SetNestedField(made.Object, strings.Repeat(`{"a":"b"}`, 60_000/12), "spec", "originalPayload"))
	var all errgroup.Group
	all.SetLimit(8)
	for i := range past {
		all.Go(func() error {
			o := made.DeepCopy()
			o.Object = map[string]any{"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "spec": o.Object["spec"]}
			o.SetName(fmt.Sprintf("rr-past-%d", i))
			if _, err := objects.Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
				return err
			}
			return complete(o.GetName())
		})
	}
	require.NoError(t, all.Wait())

	var ours, theirs map[string]any
	require.NoError(t, yaml.Unmarshal(crd.YAML, &ours))
	require.NoError(t, yaml.Unmarshal(kubernaut, &theirs))
	defer install(t, ours, 1)
	for i, definition := range []map[string]any{ours, theirs} {
		install(t, definition, int64(1-i))
		again, told := settle("first")
		require.Equal(t, mapping.ReplayedNew, again.Reason, "a redelivery gets its first answer")
		require.Equal(t, first.UID, again.UID)
		require.Equal(t, dedup.LongPast{Namespace: namespace, Fingerprint: signal.Fingerprint, Objects: past + 1 + i, Paged: true}, *told)

		next, _ := settle(fmt.Sprint("next", i))
		require.Equal(t, mapping.Recurred, next.Reason)
		repeat, _ := settle(fmt.Sprint("repeat", i))
		require.Equal(t, next.UID, repeat.UID)
		require.Equal(t, mapping.Active, repeat.Reason)
		require.NoError(t, complete(next.Name))
	}
}
