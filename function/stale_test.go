package function

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/dedup"
	"onefire/mapping"
)

// sentAt is a request with an event that has a time.
func sentAt(at time.Time, body string) *http.Request {
	return with(binary("1", body), "Ce-Time", at.Format(time.RFC3339Nano))
}

func limited(t *testing.T) *fixture {
	t.Helper()
	f := newFixture()
	f.service.pipeline.rules.MaxEventAge = 6 * time.Hour
	return f
}

// A dead letter of the day before is about a fire that may be over.
func TestAnEventThatIsTooOldMakesNothingNew(t *testing.T) {
	yesterday := noon.AddDate(0, 0, -1)
	started := `{"status":"firing","labels":{"alertname":"A"},"startsAt":"` + noon.AddDate(0, 0, -8).Format(time.RFC3339) + `"}`
	for reason, row := range map[string]struct {
		event *http.Request
		stale bool
	}{
		"an event of yesterday":                   {event: sentAt(yesterday, webhook(started)), stale: true},
		"an alert of last week, sent just now":    {event: sentAt(noon, webhook(started))},
		"no time at all":                          {event: binary("1", webhook(started))},
		"a Broker took it just now":               {event: with(sentAt(yesterday, webhook(started)), "Ce-Knativearrivaltime", noon.Format(time.RFC3339Nano))},
		"no time, and a Broker took it yesterday": {event: with(binary("1", webhook(started)), "Ce-Knativearrivaltime", yesterday.Format(time.RFC3339Nano)), stale: true},
		"an arrival that is no time":              {event: with(sentAt(yesterday, webhook(started)), "Ce-Knativearrivaltime", "yesterday"), stale: true},
	} {
		t.Run(reason, func(t *testing.T) {
			f := limited(t)
			settled := 0
			f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
				settled++
				return (&fakeDedup{}).Settle(ctx, s, keys, nil)
			}
			requireStatus(t, http.StatusOK, f.serve(row.event))
			if !row.stale {
				require.Equal(t, 1, settled)
				return
			}
			require.Zero(t, settled)
			require.Empty(t, f.sink.events)
			require.Contains(t, f.log.String(), `"level":"WARN","msg":"alert","event_id":"1","event_source":"/test","alertname":"A","decision":"stale","reason":"too_old"`)
			require.Contains(t, f.log.String(), `"decisions":"stale=1"`)
		})
	}
}

func TestOtherDecisionsGoBeforeStale(t *testing.T) {
	f := limited(t)
	requireStatus(t, http.StatusOK, f.serve(sentAt(noon.AddDate(0, 0, -1), webhook(
		alert("firing", "alertname=Watchdog"), alert("resolved", "alertname=A"), alert("firing", "pod=p")))))
	require.Contains(t, f.log.String(), `"decisions":"resolved=1 filtered=1 invalid=1"`)
}

// While DataStorage was away objects were made, and their events were not
// acknowledged. Their audit events follow, however late.
func TestAnEventThatWasCountedIsNeverTooOldForItsAuditEvents(t *testing.T) {
	f := limited(t)
	body := `{"alerts":[{"status":"firing","labels":{"alertname":"A"}}]}`
	n, err := mapping.Parse([]byte(body), noon)
	require.NoError(t, err)
	key := dedup.Key("/test", "1", n.Alerts[0].Identity(), n.Alerts[0].Start)
	f.dedup.recorded = map[string]dedup.Outcome{key: {Reason: mapping.ReplayedNew, Name: "rr-a", Count: 1, At: noon.AddDate(0, 0, -1)}}
	requireStatus(t, http.StatusOK, f.serve(sentAt(noon.AddDate(0, 0, -1), body)))
	require.ElementsMatch(t, []string{mapping.SignalReceived, mapping.RequestCreated}, f.types())
	var line map[string]any
	require.NoError(t, json.NewDecoder(strings.NewReader(f.log.String())).Decode(&line))
	require.Equal(t, "replayed_new", line["reason"])
}

func TestAnOldEventWaitsForTheAPIServerToo(t *testing.T) {
	f := limited(t)
	f.service.pipeline.requests = &blindDedup{}
	requireStatus(t, http.StatusServiceUnavailable, f.serve(sentAt(noon.AddDate(0, 0, -1), webhook(`{"status":"firing","labels":{"alertname":"A"}}`))))
}

func TestOldAlertsOfOneTargetAreToldTogether(t *testing.T) {
	const two = `[{"labels":{"alertname":"A","pod":"p","container":"x"}},{"labels":{"alertname":"A","pod":"p","container":"y"}}]`
	n, err := mapping.Parse([]byte(two), noon)
	require.NoError(t, err)
	f := limited(t)
	f.dedup.recorded = map[string]dedup.Outcome{
		dedup.Key("/test", "1", n.Alerts[1].Identity(), n.Alerts[1].Start): {Reason: mapping.ReplayedDuplicate, Name: "rr-a", Count: 2, At: noon.AddDate(0, 0, -1)}}
	requireStatus(t, http.StatusOK, f.serve(sentAt(noon.AddDate(0, 0, -1), two)))
	require.Contains(t, f.log.String(), `"decisions":"duplicate=1 stale=1"`)

	f.service.pipeline.requests = &blindDedup{}
	w := f.serve(sentAt(noon.AddDate(0, 0, -1), two))
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.Contains(t, w.Body.String(), "2 of 2 alerts are not settled")
}

// blindDedup cannot say what was counted.
type blindDedup struct{ fakeDedup }

func (*blindDedup) Recall(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
	return nil, errors.New("the API server is away")
}
