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
		"status":   map[string]any{"overallPhase": "Failed", "nextAllowedExecution": formatTime(allowed)},
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
				w.WriteHeader(http.StatusInternalServerError) // The test needs no more than the request.
			}))
			defer server.Close()
			d, err := New(&rest.Config{Host: server.URL}, Options{SignalType: "alert"})
			require.NoError(t, err)
			_, err = d.Settle(t.Context(), s, []string{"k"}, nil)
			require.Error(t, err)
			require.Equal(t, []string{http.MethodGet, row.call}, calls)
			text, err := json.Marshal(body)
			require.NoError(t, err)
			require.Contains(t, string(text), formatTime(row.now), "times on objects are the API server's too")
		})
	}
}

// An event's statement about an alert has the event's time, and not that of a
// clock: its redelivery, hours later, says the same.
func TestARedeliveredEndSaysWhatTheFirstDeliverySaid(t *testing.T) {
	s := newStore()
	name := made(s, "a", "b")
	d, err := newDeduplicator(s, Options{SignalType: "alert"})
	require.NoError(t, err)
	for _, want := range []mapping.Reason{mapping.ResolvedPartly, mapping.ResolvedNothing} {
		o, err := d.Resolve(t.Context(), []mapping.Signal{signalOf("-b")})
		require.NoError(t, err)
		require.Equal(t, []Outcome{{Reason: want, Name: name, Count: 2}}, o)
		s.now = s.now.Add(3 * time.Hour)
	}
	require.Equal(t, state{saidAt("b"), saidAt("-b"), endedAt("-b")}, s.seen[name].states[alertOf("b").id])
}
