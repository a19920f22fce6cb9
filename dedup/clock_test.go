package dedup

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

// The API server's clock decides, whatever a replica's own one says: here it is
// months behind ours.
func TestTheClockIsTheAPIServers(t *testing.T) {
	allowed := time.Date(2026, 1, 17, 12, 0, 0, 0, time.UTC)
	s := mapping.Signal{Fingerprint: digest("fingerprint"), Namespace: "ns", Name: "A"}
	terminal := map[string]any{
		"apiVersion": Resource.GroupVersion().String(), "kind": "RemediationRequest",
		"metadata": map[string]any{"name": "rr-old", "namespace": "ns", "uid": "u", "resourceVersion": "1"},
		"spec":     map[string]any{"signalFingerprint": s.Fingerprint},
		"status":   map[string]any{"overallPhase": "Failed", "nextAllowedExecution": stamp(allowed)},
	}
	for name, row := range map[string]struct {
		now  time.Time
		call string
	}{
		"a second before it may": {allowed.Add(-time.Second), http.MethodPatch},
		"the second it may":      {allowed, http.MethodPost},
	} {
		t.Run(name, func(t *testing.T) {
			var calls []string
			var body map[string]any
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", row.now.Format(http.TimeFormat))
				w.Header().Set("Content-Type", "application/json")
				calls = append(calls, r.Method)
				if r.Method == http.MethodGet {
					_ = json.NewEncoder(w).Encode(map[string]any{
						"apiVersion": Resource.GroupVersion().String(), "kind": "RemediationRequestList", "items": []any{terminal},
					})
					return
				}
				b, _ := io.ReadAll(r.Body)
				_ = json.Unmarshal(b, &body)
				w.WriteHeader(http.StatusInternalServerError) // What was asked for is all we want to know.
			}))
			defer server.Close()
			d, err := New(&rest.Config{Host: server.URL}, "alert")
			require.NoError(t, err)
			_, err = d.Settle(t.Context(), s, []string{"k"}, nil)
			require.Error(t, err)
			require.Equal(t, []string{http.MethodGet, row.call}, calls)
			text, err := json.Marshal(body)
			require.NoError(t, err)
			require.Contains(t, string(text), stamp(row.now), "times on objects are the API server's too")
		})
	}
}

func TestAnEndThatIsStillAheadIsNotKept(t *testing.T) {
	s := newStore()
	_, err := settle(t, s, "a")
	require.NoError(t, err)
	d, err := newDeduplicator(s, "alert")
	require.NoError(t, err)
	signal := mapping.Signal{Fingerprint: digest("fingerprint"), Name: "A"}
	o, err := d.Resolve(t.Context(), signal, epoch.AddDate(1, 0, 0))
	require.NoError(t, err)
	require.Equal(t, mapping.ResolvedActive, o.Reason)
	require.Equal(t, epoch, s.all()[0].lastResolved)
}
