package e2e

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"onefire/test/client"
)

// recording is an object with that UID and those lines of a record.
func recording(uid string, lines ...string) unstructured.Unstructured {
	return unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"uid": uid},
		"status": map[string]any{"conditions": []any{
			map[string]any{"type": "onefire/Record", "message": strings.Join(lines, "\n")},
		}},
	}}
}

func TestWhatATwinAndItsSurvivorHoldIsCountedOnce(t *testing.T) {
	for reason, row := range map[string]struct {
		objects []unstructured.Unstructured
		want    map[string][]types.UID
	}{
		"a twin whose record was taken over": {
			[]unstructured.Unstructured{recording("twin", "1@0 b"), recording("old", "1@0 a b", "absorbed twin 1")},
			map[string][]types.UID{"a": {"old"}, "b": {"old"}},
		},
		"one that counted another alert since": {
			[]unstructured.Unstructured{recording("old", "1@0 a b", "absorbed twin 1"), recording("twin", "1@0 b c")},
			map[string][]types.UID{"a": {"old"}, "b": {"old"}, "c": {"twin"}},
		},
		"two that took over each other's records": {
			[]unstructured.Unstructured{recording("old", "1@0 a b", "absorbed twin 1"), recording("twin", "1@0 b a", "absorbed old 1")},
			map[string][]types.UID{"a": {"twin"}, "b": {"twin"}},
		},
		"no twins: the alert counts twice": {
			[]unstructured.Unstructured{recording("old", "1@0 a b"), recording("new", "1@0 b")},
			map[string][]types.UID{"a": {"old"}, "b": {"old", "new"}},
		},
	} {
		t.Run(reason, func(t *testing.T) {
			holdings := map[string][]holding{}
			for i := range row.objects {
				for key, n := range client.RecordOf(&row.objects[i]).Counts {
					holdings[key] = append(holdings[key], holding{object: row.objects[i].GetUID(), made: n})
				}
			}
			merged(row.objects, holdings)
			got := map[string][]types.UID{}
			for key, all := range holdings {
				for _, h := range all {
					got[key] = append(got[key], h.object)
				}
			}
			require.Equal(t, row.want, got)
		})
	}
}
