package function

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/dedup"
	"onefire/mapping"
)

func TestTheAuditEventsOfAllAlertsAreDeliveredTogether(t *testing.T) {
	f := newFixture()
	deliveries := 0
	f.sink.before = func() { deliveries++ }
	f.sink.fail = func(e audit.Event) error {
		if e.Subject == "rr-B" {
			return errors.New("not yet")
		}
		return nil
	}
	body := webhook(alert("firing", "alertname=A"), alert("firing", "alertname=B"), alert("firing", "pod=p"), alert("firing", "alertname=A"), alert("firing", "alertname=Watchdog"))
	w := f.serve(binary("1", body))
	requireStatus(t, http.StatusServiceUnavailable, w)
	require.Contains(t, w.Body.String(), "1 of 5 alerts are not settled: not yet")
	require.Equal(t, 1, deliveries)
	require.ElementsMatch(t, []string{mapping.SignalReceived, mapping.RequestCreated, mapping.RequestFailed}, f.types())
	requireStatus(t, http.StatusOK, f.serve(binary("2", webhook(alert("firing", "alertname=Watchdog")))))
	require.Equal(t, 1, deliveries, "nothing to say")
}

func TestAPanicInADeliveryIsAnAnswer(t *testing.T) {
	f := newFixture()
	f.sink.before = func() { panic("the sink") }
	requireStatus(t, http.StatusInternalServerError, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
	require.Contains(t, f.log.String(), `"msg":"event","event_id":"1","event_source":"/test","event_type":"test","status":500`)
}

// An event whose alert was counted before may have been sent before, with the
// same time.
func TestWhatMayHaveBeenSentBeforeIsAskedFor(t *testing.T) {
	for reason, row := range map[string]struct {
		reason mapping.Reason
		again  bool
	}{
		"first seen":         {mapping.FirstSeen, false},
		"recurred":           {mapping.Recurred, false},
		"active":             {mapping.Active, false},
		"replayed new":       {mapping.ReplayedNew, true},
		"replayed duplicate": {mapping.ReplayedDuplicate, true},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFixture()
			f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
				return []dedup.Outcome{{Reason: row.reason, Name: "rr-A", Count: 3, At: noon.Add(-time.Hour)}}, nil
			}
			requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
			require.NotEmpty(t, f.sink.events)
			for i, e := range f.sink.events {
				require.Equal(t, row.again, e.Again)
				require.Equal(t, noon.Add(-time.Hour).Add(time.Duration(5+i)*time.Microsecond), e.Time)
				request := e.Data.(mapping.AuditRequest)
				require.Equal(t, e.Time, request.Timestamp)
				require.Equal(t, audit.EventID(e.Source, e.ID, e.Alert, e.Type), request.Data.SignalAnnotations[mapping.AuditIDKey])
				require.Equal(t, request.CorrelationID, e.Subject)
			}
		})
	}
}

func TestAFailureHasTheTimeOfItsEvent(t *testing.T) {
	for reason, row := range map[string]struct {
		sent string
		want time.Time
		// again tells that a redelivery has the same time.
		again bool
	}{
		"the event's own":                      {noon.Add(-time.Hour).Format(time.RFC3339), noon.Add(-time.Hour), true},
		"in microseconds, as DataStorage has":  {noon.Add(-time.Hour + 1234567).Format(time.RFC3339Nano), noon.Add(-time.Hour + 1234*time.Microsecond), true},
		"six days ago":                         {noon.Add(-maxFailureAge).Format(time.RFC3339), noon.Add(-maxFailureAge), true},
		"too old for DataStorage: now":         {noon.Add(-maxFailureAge - time.Second).Format(time.RFC3339), noon, false},
		"a second ahead, the event's own":      {noon.Add(time.Second).Format(time.RFC3339), noon.Add(time.Second), true},
		"further ahead than clocks are: now":   {noon.Add(time.Hour).Format(time.RFC3339), noon, false},
		"an event without a time: now":         {"", noon, false},
		"a second before now, the event's own": {noon.Add(-time.Second).Format(time.RFC3339), noon.Add(-time.Second), true},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFixture()
			r := binary("1", webhook(alert("firing", "pod=p")))
			if row.sent != "" {
				r.Header.Set("Ce-Time", row.sent)
			}
			requireStatus(t, http.StatusOK, f.serve(r))
			require.Len(t, f.sink.events, 1)
			e := f.sink.events[0]
			require.Equal(t, row.want, e.Time)
			require.Equal(t, row.again, e.Again)
			require.Equal(t, e.Data.(mapping.AuditRequest).CorrelationID, e.PartitionKey)
		})
	}
}

func TestADecisionWithoutATimeIsOfNow(t *testing.T) {
	f := newFixture()
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
	require.Equal(t, []time.Time{noon.Add(time.Microsecond), noon.Add(2 * time.Microsecond)},
		[]time.Time{f.sink.events[0].Time, f.sink.events[1].Time})
	require.False(t, f.sink.events[0].Again)

	f.sink.events = nil
	f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
		return []dedup.Outcome{{Reason: mapping.ReplayedNew, Name: "rr-A", Count: 1}}, nil
	}
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
	require.True(t, f.sink.events[0].Again)
}

func TestAPanicLeavesNoAlertOfItsGroupSettled(t *testing.T) {
	f := newFixture()
	f.service.pipeline.requests = wireDedup()
	requireStatus(t, http.StatusInternalServerError, f.serve(binary("1", webhook(alert("firing", "alertname=Panic", "pod=p", "container=x"), alert("firing", "alertname=Panic", "pod=p", "container=y")))))
	require.Contains(t, f.log.String(), `"decisions":"unsettled=2"`)
}
