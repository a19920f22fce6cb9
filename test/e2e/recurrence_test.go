package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"onefire/dedup"
	"onefire/mapping"
	"onefire/test/client"
)

func TestATerminalPhaseLetsANewOneBeMade(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	seen := map[string]bool{}
	// All in a row, so that creation times tie: they have whole seconds.
	for i, phase := range append(dedup.TerminalPhases(), "Completed", "Completed") {
		require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint(i), webhook(firing("Recur", "api-0"))))
		received := w.audit(mapping.SignalReceived)
		require.Len(t, received, i+1, "phase %s", phase)
		received = slices.DeleteFunc(received, func(e client.AuditEvent) bool { return seen[e.CorrelationID] })
		require.Len(t, received, 1, "a new object has a new name")
		name := received[0].CorrelationID
		seen[name] = true
		w.setStatus(name, map[string]any{"overallPhase": phase})
	}
	require.Len(t, w.list(), len(seen))
	require.Empty(t, w.audit(mapping.SignalDeduplicated))
}

func TestATerminalPhaseThatAsksForQuietMakesADuplicate(t *testing.T) {
	t.Parallel()
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	past := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	cases := map[string]struct {
		status  map[string]any
		objects int
	}{
		"manual review":                  {map[string]any{"outcome": "ManualReviewRequired"}, 1},
		"manual review, upstream's":      {map[string]any{"completionStatus": map[string]any{"outcome": "ManualReviewRequired"}}, 1},
		"back-off ahead":                 {map[string]any{"nextAllowedExecution": later}, 1},
		"back-off ahead, upstream's":     {map[string]any{"routingStatus": map[string]any{"nextAllowedExecution": later}}, 1},
		"back-off over":                  {map[string]any{"nextAllowedExecution": past}, 2},
		"another outcome asks for none":  {map[string]any{"outcome": "Remediated"}, 2},
		"nothing that asks for quiet":    {nil, 2},
		"the later of two back-offs":     {map[string]any{"nextAllowedExecution": past, "routingStatus": map[string]any{"nextAllowedExecution": later}}, 1},
		"a time that is none is no wish": {map[string]any{"routingStatus": map[string]any{"nextAllowedExecution": "soon"}}, 2},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mapping.Schema202608)
			f := w.start()
			require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Quiet", "api-0"))))
			status := map[string]any{"overallPhase": "Failed"}
			for k, v := range row.status {
				status[k] = v
			}
			w.setStatus(w.only().GetName(), status)
			require.Equal(t, http.StatusOK, w.post(f, "2", webhook(firing("Quiet", "api-0"))))
			require.Len(t, w.list(), row.objects)
			require.Len(t, w.audit(mapping.SignalDeduplicated), 2-row.objects)
		})
	}
}

func TestAnObjectThatIsBeingDeletedCountsAsTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Going", "api-0"))))
	name := w.only().GetName()
	patch := []byte(`{"metadata":{"finalizers":["test/hold"]}}`)
	_, err := w.objects.Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(t, err)
	require.NoError(t, w.objects.Delete(t.Context(), name, metav1.DeleteOptions{}))
	require.NotNil(t, w.only().GetDeletionTimestamp())

	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(firing("Going", "api-0"))))
	require.Len(t, w.list(), 2)
	require.Len(t, w.audit(mapping.SignalReceived), 2)
}

func TestResolvedAlertsMarkTheActiveObjectAndMakeNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	resolved := webhook(alert("resolved", "alertname=Ends", "namespace=payments", "pod=api-0", "severity=critical"))
	require.Equal(t, http.StatusOK, w.post(f, "0", resolved))
	require.Empty(t, w.list())

	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Ends", "api-0"))))
	require.Equal(t, http.StatusOK, w.post(f, "2", resolved))
	o := w.only()
	require.Equal(t, "2026-01-17T11:30:00Z", field(o, "status", "deduplication", "lastResolvedAt"))
	require.EqualValues(t, 1, count(o))
	require.Equal(t, http.StatusOK, w.post(f, "2", resolved))
	require.Equal(t, o.GetResourceVersion(), w.only().GetResourceVersion(), "saying it again changes nothing")
	require.Len(t, w.audit(""), 2)
}

func TestAForeignObjectIsRespected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	// An object as somebody else would make it: ours, but for its label.
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Foreign", "api-0"))))
	foreign := w.only()
	require.NoError(t, w.objects.Delete(t.Context(), foreign.GetName(), metav1.DeleteOptions{}))
	foreign.SetName("made-by-hand")
	foreign.SetLabels(nil)
	foreign.SetAnnotations(nil)
	foreign.SetResourceVersion("")
	foreign.SetUID("")
	_, err := w.objects.Create(t.Context(), foreign, metav1.CreateOptions{})
	require.NoError(t, err)

	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(firing("Foreign", "api-0"))))
	require.Equal(t, "made-by-hand", w.only().GetName())
	require.EqualValues(t, 2, count(w.only()))
}
