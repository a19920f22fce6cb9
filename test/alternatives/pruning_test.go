package alternatives

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"onefire/knative/crd"
)

var definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// TestOnACRDThatPrunesOneObjectStaysOne is about a CRD of somebody else, which
// knows the count and its times and nothing else of ours, and has no defaults.
func TestOnACRDThatPrunesOneObjectStaysOne(t *testing.T) {
	var ours map[string]any
	require.NoError(t, yaml.Unmarshal(crd.YAML, &ours))
	foreign := (&unstructured.Unstructured{Object: ours}).DeepCopy()
	status := []string{"schema", "openAPIV3Schema", "properties", "status"}
	versions, _, err := unstructured.NestedSlice(foreign.Object, "spec", "versions")
	require.NoError(t, err)
	version := versions[0].(map[string]any)
	unstructured.RemoveNestedField(version, append(status, "default")...)
	require.NoError(t, unstructured.SetNestedField(version, map[string]any{
		"type": "object",
		"properties": map[string]any{
			"firstSeenAt":     map[string]any{"type": "string", "format": "date-time"},
			"lastSeenAt":      map[string]any{"type": "string", "format": "date-time"},
			"occurrenceCount": map[string]any{"type": "integer", "format": "int32"},
		},
	}, append(status, "properties", "deduplication")...))
	require.NoError(t, unstructured.SetNestedSlice(foreign.Object, versions, "spec", "versions"))

	install(t, foreign.Object, 0)
	defer install(t, ours, 1)

	p := newPlace(t, ways[0])
	require.Equal(t, "1", p.race())
	require.GreaterOrEqual(t, p.result(1).counted, int64(10), "each is counted at least once")

	again := newPlace(t, ways[0])
	d := again.process(nil)
	for _, id := range []string{"first", "first", "second", "second"} {
		again.deliver(d, id, 0)
	}
	r := again.result(1)
	require.Equal(t, 1, r.objects)
	require.EqualValues(t, 3, r.counted, "the event that made it is on record, a repeat's redelivery counts again")
}

// install replaces the CRD, and waits until the API server goes by it: until a
// new object has the count that the CRD's defaults give it.
func install(t *testing.T, definition map[string]any, first int64) {
	t.Helper()
	client, err := dynamic.NewForConfig(kube)
	require.NoError(t, err)
	all := client.Resource(definitions)
	require.Eventually(t, func() bool {
		o := (&unstructured.Unstructured{Object: definition}).DeepCopy()
		present, err := all.Get(t.Context(), o.GetName(), metav1.GetOptions{})
		if err != nil {
			return false
		}
		o.SetResourceVersion(present.GetResourceVersion())
		_, err = all.Update(t.Context(), o, metav1.UpdateOptions{})
		return err == nil
	}, patience, 100*time.Millisecond)
	require.Eventually(t, func() bool {
		p := newPlace(t, ways[0])
		p.deliver(p.process(nil), "first", 0)
		return occurrences(p.list()[0]) == first
	}, patience, 100*time.Millisecond)
}
