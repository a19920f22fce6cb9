package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestExplainSaysWhatTheFunctionThenDoes(t *testing.T) {
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	body := webhook(firing("DiskFull", "db-0"))
	type explanation struct {
		Decision, Reason, Object string
		Count                    int64
	}
	explained := func() explanation {
		command := exec.CommandContext(t.Context(), functionBinary, "explain", "-o", "json", "-kubeconfig", kubeconfig, "-")
		command.Env = append(os.Environ(), "REMEDIATION_NAMESPACE="+w.namespace)
		command.Stdin = strings.NewReader(body)
		var problems bytes.Buffer
		command.Stderr = &problems
		out, err := command.Output()
		require.NoError(t, err, "%s", problems.String())
		var all []explanation
		require.NoError(t, json.Unmarshal(out, &all))
		require.Len(t, all, 1)
		return all[0]
	}
	first := explained()
	require.Empty(t, w.list(), "it only reads")
	require.Equal(t, 200, w.post(f, "1", body))
	object := w.only()
	require.Equal(t, explanation{"new", "first_seen", first.Object, 1}, first)
	w.requireForecast(first.Object, object.GetName())

	again := explained()
	require.Equal(t, 200, w.post(f, "2", body))
	require.EqualValues(t, 2, count(w.only()))
	require.Equal(t, explanation{"duplicate", "active", w.namespace + "/" + object.GetName(), 2}, again)

	w.setStatus(object.GetName(), map[string]any{"overallPhase": "Completed"})
	recurred := explained()
	require.Equal(t, 200, w.post(f, "3", body))
	require.Equal(t, explanation{"new", "recurred", recurred.Object, 1}, recurred)
	require.Len(t, w.list(), 2)
	for _, o := range w.list() {
		w.requireForecast(recurred.Object, o.GetName())
	}
}

// requireForecast asks that an object is the one that was forecast: the end of its
// name followed from when it was made.
func (w *world) requireForecast(forecast, name string) {
	w.t.Helper()
	known, unknown := strings.CutSuffix(forecast, "…")
	require.True(w.t, unknown)
	require.True(w.t, strings.HasPrefix(w.namespace+"/"+name, known), "%s is not %s", name, forecast)
}
