package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// The API server accepts the object of an alert, and DataStorage its audit events,
// whatever the alert holds.
func TestHostileAlertsBecomeObjects(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 10_000 {
		many[fmt.Sprintf("label_%d", i)] = "v"
	}
	cases := map[string]map[string]string{
		"NUL and control characters": {"a\u0000b": "c\u0000d\u001b[31m", "alertname": "x\u0000\r\ny"},
		"a label name of no kind":    {"": "empty", "odd / : name": "odd", strings.Repeat("n", 5000): "long"},
		"10,000 labels":              many,
		"a huge value":               {"description": strings.Repeat("ä", 300_000)},
		"a huge alertname":           {"alertname": strings.Repeat("n", 100_000)},
		"a huge target":              {"pod": strings.Repeat("p", 100_000), "namespace": strings.Repeat("n", 100_000)},
		"text that looks like JSON":  {"summary": `{"a":[}"'\`},
		"text in other scripts":      {"alertname": "警报🔥", "pod": "под"},
	}
	for _, schema := range []mapping.Schema{mapping.Schema202601, mapping.Schema202608} {
		t.Run(string(schema), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, schema)
			f := w.start()
			made := 0
			for name, labels := range cases {
				full := map[string]string{"alertname": name, "severity": "page"}
				for k, v := range labels {
					full[k] = v
				}
				body, err := json.Marshal(map[string]any{"alerts": []any{map[string]any{"status": "firing", "labels": full, "annotations": labels}}})
				require.NoError(t, err)
				for id := range 2 {
					require.Equal(t, http.StatusOK, w.post(f, fmt.Sprintf("%s %d", name, id), string(body)), name)
				}
				made++
				require.Len(t, w.list(), made, name)
			}
			require.Empty(t, w.audit(mapping.RequestFailed))
			require.Len(t, w.audit(mapping.SignalReceived), made)
			require.Len(t, w.audit(mapping.SignalDeduplicated), made)
			require.NotContains(t, f.log.String(), "rejected by the audit sink")
		})
	}
}
