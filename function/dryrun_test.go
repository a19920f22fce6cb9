package function

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/dedup"
	"onefire/function/receive"
	"onefire/mapping"
)

// rehearse asks what would become of an event of that time.
func (f *fixture) rehearse(t *testing.T, at time.Time, body string) (int, Summary) {
	t.Helper()
	e := event.New()
	e.SetID("1")
	e.SetSource("/test")
	e.SetType("test")
	e.SetTime(at)
	require.NoError(t, e.SetData(event.ApplicationJSON, json.RawMessage(body)))
	text, err := json.Marshal(e)
	require.NoError(t, err)
	w := f.serve(typed(receive.DryRunType, string(text)))
	var s Summary
	if w.Code == http.StatusOK {
		require.Equal(t, SummaryType, w.Header().Get("Ce-Type"))
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &s))
	}
	return w.Code, s
}

func TestADryRunSaysWhatWouldHappenAndDoesNothing(t *testing.T) {
	f := limited(t)
	writes := 0
	f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
		writes++
		return nil, errors.New("a dry run settles nothing")
	}
	f.dedup.resolve = func(mapping.Signal, time.Time) (dedup.Outcome, error) {
		writes++
		return dedup.Outcome{}, errors.New("a dry run marks nothing")
	}
	f.sink.fail = func(audit.Event) error { return errors.New("a dry run sends no audit event") }
	known, err := mapping.Parse([]byte(webhook(alert("firing", "alertname=Known"))), noon)
	require.NoError(t, err)
	f.dedup.recorded = map[string]dedup.Outcome{
		dedup.Key("/test", "1", known.Alerts[0].Identity(), known.Alerts[0].Start): {Reason: mapping.ReplayedDuplicate, Name: "rr-known", Count: 3}}
	old := `{"status":"firing","labels":{"alertname":"Old"},"startsAt":"2026-01-09T12:00:00Z"}`
	alerts := webhook(old, alert("firing", "alertname=Known"), alert("firing", "alertname=Watchdog"), alert("firing", "pod=p"), alert("resolved", "alertname=A"))
	for at, first := range map[time.Time]string{noon: "new first_seen", noon.AddDate(0, 0, -8): "stale too_old"} {
		status, s := f.rehearse(t, at, alerts)
		require.Equal(t, http.StatusOK, status)
		var said []string
		for _, a := range s.Alerts {
			said = append(said, string(a.Decision)+" "+a.Reason)
		}
		require.Equal(t, []string{first, "duplicate replayed_duplicate", "filtered ignored_alertname", "invalid malformed", "resolved resolved_nothing"}, said)
		require.Equal(t, "ns/rr-known", s.Alerts[1].Object)
	}
	require.Zero(t, writes)
	require.Empty(t, f.sink.events)
}

func TestADryRunSaysWhatTheEventWouldBeAnsweredWith(t *testing.T) {
	f := limited(t)
	status, _ := f.rehearse(t, noon, `{"no":"alerts"}`)
	require.Equal(t, http.StatusBadRequest, status)
	requireStatus(t, http.StatusBadRequest, f.serve(typed(receive.DryRunType, "no event")))
	f.service.pipeline.requests = &blindDedup{}
	status, _ = f.rehearse(t, noon.AddDate(0, 0, -8), webhook(`{"labels":{"alertname":"A"}}`))
	require.Equal(t, http.StatusServiceUnavailable, status)
}
