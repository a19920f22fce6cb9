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

// TestOnTheCRDOfOthers is about CRDs that know of status.deduplication the count and
// its times, and have no defaults. One keeps conditions, as kubernaut's does, and so
// our record; the other one keeps nothing of it.
func TestOnTheCRDOfOthers(t *testing.T) {
	text := map[string]any{"type": "string"}
	at := map[string]any{"type": "string", "format": "date-time"}
	conditions := map[string]any{
		"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"type"},
		"items": map[string]any{
			"type": "object", "required": []any{"type", "status", "reason", "message", "lastTransitionTime"},
			"properties": map[string]any{
				"type":    map[string]any{"type": "string", "maxLength": int64(316), "pattern": `^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$`},
				"status":  map[string]any{"type": "string", "enum": []any{"True", "False", "Unknown"}},
				"reason":  map[string]any{"type": "string", "minLength": int64(1), "maxLength": int64(1024), "pattern": `^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`},
				"message": map[string]any{"type": "string", "maxLength": int64(32768)}, "lastTransitionTime": at,
			},
		},
	}
	for name, row := range map[string]struct {
		conditions map[string]any
		counted    int64 // of two events, each delivered twice
	}{
		"one that keeps conditions": {conditions, 2},
		// The event that made the object is on record, a repeat's redelivery counts again.
		"one that does not": {nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			var ours map[string]any
			require.NoError(t, yaml.Unmarshal(crd.YAML, &ours))
			theirs := (&unstructured.Unstructured{Object: ours}).DeepCopy()
			versions, _, err := unstructured.NestedSlice(theirs.Object, "spec", "versions")
			require.NoError(t, err)
			properties := map[string]any{
				"overallPhase": text, "outcome": text, "nextAllowedExecution": at,
				"deduplication": map[string]any{"type": "object", "properties": map[string]any{
					"firstSeenAt": at, "lastSeenAt": at, "occurrenceCount": map[string]any{"type": "integer", "format": "int32"},
				}},
			}
			if row.conditions != nil {
				properties["conditions"] = row.conditions
			}
			require.NoError(t, unstructured.SetNestedField(versions[0].(map[string]any), map[string]any{"type": "object", "properties": properties},
				"schema", "openAPIV3Schema", "properties", "status"))
			require.NoError(t, unstructured.SetNestedSlice(theirs.Object, versions, "spec", "versions"))
			install(t, theirs.Object, 0)
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
			require.Equal(t, row.counted, r.counted)
			require.Equal(t, row.conditions == nil, again.unrecorded.Load() > 0, "the API server warns where nothing is kept")
		})
	}
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
