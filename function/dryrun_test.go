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
	require.Contains(t, f.log.String(), `"msg":"dry run","event_id":"1","event_source":"/test","decisions":"new=1 duplicate=1 resolved=1 filtered=1 invalid=1"`)
	require.Zero(t, writes)
	require.Empty(t, f.sink.events)
}

func TestADryRunSaysWhatTheEventWouldBeAnsweredWith(t *testing.T) {
	f := limited(t)
	status, _ := f.rehearse(t, noon, `{"no":"alerts"}`)
	require.Equal(t, http.StatusBadRequest, status)
	w := f.serve(typed(receive.DryRunType, "no event"))
	requireStatus(t, http.StatusBadRequest, w)
	require.Contains(t, w.Body.String(), "not a valid CloudEvent: it is not a JSON object")
	f.service.pipeline.requests = &blindDedup{}
	status, _ = f.rehearse(t, noon.AddDate(0, 0, -8), webhook(`{"labels":{"alertname":"A"}}`))
	require.Equal(t, http.StatusServiceUnavailable, status)
}

// clouded cannot forecast what becomes of some alerts.
type clouded struct{ fakeDedup }

func (*clouded) Forecast(_ context.Context, s mapping.Signal, _ string, resolved bool) (dedup.Outcome, error) {
	switch s.Name {
	case "Away":
		return dedup.Outcome{}, errors.New("the API server is away")
	case "Panic":
		panic("on purpose")
	}
	return dedup.FirstForecast(s, resolved), nil
}

func TestADryRunForecastsAllOrNothing(t *testing.T) {
	for name, says := range map[string]string{"Away": "of Away cannot be forecast now: the API server is away", "Panic": "of Panic cannot be forecast now: panic"} {
		f := newFixture()
		f.service.pipeline.requests = &clouded{}
		w := f.serve(typed(receive.DryRunType, structuredEvent("1", webhook(alert("firing", "alertname=A"), alert("firing", "alertname="+name)))))
		requireStatus(t, http.StatusServiceUnavailable, w)
		require.Contains(t, w.Body.String(), says)
	}
}

func TestADryRunOfAlertsAboutOneTargetJudgesEach(t *testing.T) {
	f := newFixture()
	f.service.pipeline.targets.owners = fakeOwners(controls)
	status, s := f.rehearse(t, noon, webhook(alert("firing", "alertname=A", "namespace=shop", "pod=api-1"), alert("firing", "alertname=A", "namespace=shop", "pod=api-2")))
	require.Equal(t, http.StatusOK, status)
	require.Len(t, s.Alerts, 2)
	require.Equal(t, s.Alerts[0], s.Alerts[1], "pods of one controller, each as if it came alone")
	require.Equal(t, mapping.New, s.Alerts[0].Decision)
}
