package datastorage

import (
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// No request tells the real server that it has an event already.
func TestSameEventSentAgainIsStoredAgain(t *testing.T) {
	const id = "6e0f5e64-682c-4795-a8dc-4e44bb355b25"
	tests := map[string][]string{
		"as it is":                        nil,
		"as a CloudEvent with an id":      {"Ce-Source", "onefire", "Ce-Id", id},
		"with an idempotency key":         {"Idempotency-Key", id},
		"with the id of the request":      {"X-Request-Id", id},
		"with a condition":                {"If-None-Match", "*"},
		"with the id of a trace":          {"Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		"as the same CloudEvent, renamed": {"Ce-Source", "other", "Ce-Id", id},
	}
	for name, headers := range tests {
		t.Run(name, func(t *testing.T) {
			c := serve(t, Options{Schema: mapping.Schema202608})
			body := event(t, mapping.Schema202608, set("event_id", id), set("id", id), set("idempotency_key", id),
				setData("signal_annotations", object{AuditIDAnnotation: id}))
			ids := map[string]bool{}
			for range 3 {
				ids[requireStored(t, c.must(http.MethodPost, events, body, headers...))] = true
			}
			require.Len(t, ids, 3, "the server makes its own ids")
			require.NotContains(t, ids, id)
			require.Equal(t, 3, c.total())
			perID, err := c.server.RowsPerAuditID()
			require.NoError(t, err)
			require.Equal(t, map[string]int{id: 3}, perID)
		})
	}
}

func TestSameEventSentAtOnceIsStoredEachTime(t *testing.T) {
	const senders = 20
	c := serve(t, Options{})
	body := event(t, mapping.Schema202601)
	var (
		errs [senders]error
		wg   sync.WaitGroup
	)
	for i := range senders {
		wg.Go(func() {
			_, errs[i] = c.do(t.Context(), http.MethodPost, events, body, "Ce-Source", "onefire", "Ce-Id", "one")
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, senders, c.total())
}

func TestRowsTellWhatTheyCameWith(t *testing.T) {
	c := serve(t, Options{})
	requireStored(t, c.must(http.MethodPost, events, event(t, mapping.Schema202601, setData("signal_annotations", object{
		AuditIDAnnotation: "a1", "summary": "It loops.",
	})), "Ce-Source", "onefire", "Ce-Id", "c1"))
	requireStored(t, c.post(event(t, mapping.Schema202601), ""))
	rows := c.rows()
	require.Len(t, rows, 2)
	require.Equal(t, []string{"a1", "c1", "onefire"}, []string{rows[0].AuditID, rows[0].CEID, rows[0].CESource})
	require.Equal(t, []string{"", "", ""}, []string{rows[1].AuditID, rows[1].CEID, rows[1].CESource})
	perID, err := c.server.RowsPerAuditID()
	require.NoError(t, err)
	require.Equal(t, map[string]int{"a1": 1, "": 1}, perID)
}
