package e2e

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/mapping"
	"onefire/test/client"
)

// TestWhatIsWrongIsSeen asks the question of every test about objects and
// audit events that are not as they should be.
func TestWhatIsWrongIsSeen(t *testing.T) {
	object := func(count int64, keys string) unstructured.Unstructured {
		record := map[string]any{"type": "onefire/Record", "message": "2@1768651200 " + keys}
		return unstructured.Unstructured{Object: map[string]any{
			"metadata": map[string]any{"name": "rr", "annotations": map[string]any{"onefire/event": "made"}},
			"status":   map[string]any{"deduplication": map[string]any{"occurrenceCount": count}, "conditions": []any{record}},
		}}
	}
	event := func(id, kind string) client.AuditEvent {
		return client.AuditEvent{AuditID: id, AuditRequest: mapping.AuditRequest{EventType: kind}}
	}
	good := object(2, "second")
	made := []client.AuditEvent{event("1", "gateway.signal.received"), event("2", "gateway.crd.created")}
	whole := slices.Concat(made, []client.AuditEvent{event("3", "gateway.signal.deduplicated")})
	for name, tt := range map[string]struct {
		active []unstructured.Unstructured
		audit  []client.AuditEvent
		want   string
	}{
		"all is well":         {[]unstructured.Unstructured{good}, whole, ""},
		"lost":                {nil, whole, "0 active objects"},
		"twins":               {[]unstructured.Unstructured{good, good}, whole, "2 active objects"},
		"counted too often":   {[]unstructured.Unstructured{object(3, "second third")}, whole, "counts 3"},
		"a count lost":        {[]unstructured.Unstructured{object(1, "")}, whole, "counts 1"},
		"not on record":       {[]unstructured.Unstructured{object(2, "")}, whole, "1 on record"},
		"an audit event lost": {[]unstructured.Unstructured{good}, made, "2 ids"},
		"one too many":        {[]unstructured.Unstructured{good}, slices.Concat(whole, []client.AuditEvent{event("4", "gateway.signal.deduplicated")}), "4 ids"},
		"one twice":           {[]unstructured.Unstructured{good}, slices.Concat(whole, whole[:1]), "received:2"},
	} {
		t.Run(name, func(t *testing.T) {
			difference := compare(tt.active, map[string][]client.AuditEvent{"rr": tt.audit}, 2)
			if tt.want == "" {
				require.Empty(t, difference)
				return
			}
			require.Contains(t, difference, tt.want)
		})
	}
}
