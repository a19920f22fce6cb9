package function

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/audit"
	"onefire/config"
	"onefire/dedup"
	"onefire/mapping"
)

func (f *fixture) types() []string {
	var types []string
	for _, e := range f.sink.events {
		types = append(types, e.Type)
	}
	return types
}

func TestEachDecisionHasItsAuditEvents(t *testing.T) {
	cases := map[string]struct {
		alert string
		want  []string
	}{
		"a new one has two":             {alert("firing", "alertname=A"), []string{mapping.SignalReceived, mapping.RequestCreated}},
		"no alertname has a failure":    {alert("firing", "pod=p"), []string{mapping.RequestFailed}},
		"no alert at all has a failure": {`7`, []string{mapping.RequestFailed}},
		"a rejected one has a failure":  {alert("firing", "alertname=Rejected"), []string{mapping.RequestFailed}},
		"a filtered one has none":       {alert("firing", "alertname=Watchdog"), nil},
		"severity none is filtered":     {alert("firing", "alertname=A", "severity=None"), nil},
		"a resolved one has none":       {alert("resolved", "alertname=A"), nil},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			f.service.pipeline.requests = wireDedup()
			requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(row.alert))))
			require.ElementsMatch(t, row.want, f.types())
		})
	}
}

func TestAResolvedAlertNeverSettles(t *testing.T) {
	f := newFixture()
	f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
		return nil, errors.New("a resolved alert must not come here")
	}
	var at time.Time
	f.dedup.resolve = func(_ mapping.Signal, t time.Time) (dedup.Outcome, error) {
		at = t
		return dedup.Outcome{Reason: mapping.ResolvedActive}, nil
	}
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("resolved", "alertname=A")))))
	require.Equal(t, time.Date(2026, 1, 17, 11, 30, 0, 0, time.UTC), at, "the alert's own end")
}

// Alerts of one fingerprint that end together are told to their object at once, and
// each has a result of its own.
func TestEachAlertThatEndedHasItsOwnResult(t *testing.T) {
	f := newFixture()
	told := &endedDedup{}
	f.service.pipeline.requests = told
	body := strings.Replace(webhook(
		alert("firing", "alertname=A", "pod=p", "container=x"), alert("resolved", "alertname=A", "pod=p", "container=y"), alert("resolved", "alertname=A", "pod=p", "container=z"),
	), "T11:30", "T11:45", 1)
	requireStatus(t, http.StatusOK, f.serve(binary("1", body)))
	require.Equal(t, [][]string{{"y", "z"}}, told.ended)
	require.Contains(t, f.log.String(), `"reason":"resolved_partly"`)
	require.Contains(t, f.log.String(), `"reason":"resolved_nothing"`)

	told.err = errors.New("trouble")
	requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("2", body)))
}

// An event's statement about an alert has the event's time, or if there is none the
// alert's: never that of its handling, which a redelivery would change.
func TestWhatAnEventSaysHasTheSameTimeWhenItIsRedelivered(t *testing.T) {
	start, end := time.Date(2026, 1, 17, 11, 0, 0, 0, time.UTC), time.Date(2026, 1, 17, 11, 30, 0, 0, time.UTC)
	sent := end.Add(10 * time.Second)
	for reason, row := range map[string]struct {
		time          string
		fires, ceased time.Time
	}{
		"the event's":                     {sent.Format(time.RFC3339), sent, sent},
		"without a time, the alert's own": {"", start, end},
		"the year 0, which is none":       {"0000-01-01T00:00:00Z", start, end},
		"before the year 0 in UTC":        {"0000-01-01T00:00:00+01:00", start, end},
		"a little ahead of our clock":     {noon.Add(4 * time.Minute).Format(time.RFC3339), noon.Add(4 * time.Minute), noon.Add(4 * time.Minute)},
		"of next year, which is none":     {noon.AddDate(1, 0, 0).Format(time.RFC3339), start, end},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFixture()
			var said []time.Time
			f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
				said = append(said, s.SaidAt)
				return (&fakeDedup{}).Settle(ctx, s, keys, nil)
			}
			f.dedup.resolve = func(s mapping.Signal, _ time.Time) (dedup.Outcome, error) {
				said = append(said, s.SaidAt)
				return dedup.Outcome{Reason: mapping.ResolvedNothing}, nil
			}
			event := binary("1", webhook(alert("firing", "alertname=A", "pod=p", "container=x"), alert("resolved", "alertname=A", "pod=p", "container=y")))
			if row.time != "" {
				event.Header.Set("Ce-Time", row.time)
			}
			requireStatus(t, http.StatusOK, f.serve(event))
			require.Equal(t, []time.Time{row.fires, row.ceased}, said)
		})
	}
}

// endedDedup notes which containers' alerts have ended, together.
type endedDedup struct {
	fakeDedup
	ended [][]string
	err   error
}

func (d *endedDedup) Resolve(_ context.Context, signals []mapping.Signal) ([]dedup.Outcome, error) {
	var containers []string
	out := make([]dedup.Outcome, len(signals))
	for i, s := range signals {
		containers = append(containers, s.Labels["container"])
		out[i] = dedup.Outcome{Reason: mapping.ResolvedPartly + mapping.Reason(i), Name: "rr-A", Count: 2}
	}
	d.ended = append(d.ended, containers)
	return out, d.err
}

func TestAlertsOfOneFingerprintSettleTogether(t *testing.T) {
	f := newFixture()
	var calls [][]string
	f.dedup.settle = func(_ context.Context, _ mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		calls = append(calls, keys)
		return (&fakeDedup{}).Settle(context.Background(), mapping.Signal{Name: "A"}, keys, nil)
	}
	a, b := alert("firing", "alertname=A", "pod=p", "container=x"), alert("firing", "alertname=A", "pod=p", "container=y")
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(a, b, a))))
	require.Len(t, calls, 1)
	require.Len(t, calls[0], 2, "the same alert twice in one body is one occurrence")
	require.ElementsMatch(t, []string{mapping.SignalReceived, mapping.RequestCreated, mapping.SignalDeduplicated}, f.types())
}

func TestKeysTellOccurrencesApart(t *testing.T) {
	keys := func(id, body string) []string {
		f := newFixture()
		var got []string
		f.dedup.settle = func(_ context.Context, _ mapping.Signal, keys []string) ([]dedup.Outcome, error) {
			got = keys
			return (&fakeDedup{}).Settle(context.Background(), mapping.Signal{}, keys, nil)
		}
		f.serve(binary(id, body))
		return got
	}
	one := webhook(alert("firing", "alertname=A"))
	first := keys("1", one)
	require.Equal(t, first, keys("1", one))
	require.NotEqual(t, keys("1", one), keys("2", one), "another event")
	require.NotEqual(t, keys("1", one), keys("1", strings.Replace(one, "T11:00", "T11:01", 1)), "another start under a constant id")
	require.NotEqual(t, keys("1", one), keys("1", webhook(alert("firing", "alertname=A", "container=x"))), "another alert")
}

func TestOneAlertDoesNotHarmItsNeighbours(t *testing.T) {
	f := newFixture()
	f.service.pipeline.requests = wireDedup()
	body := webhook(alert("firing", "alertname=A"), alert("firing", "alertname=Panic"), `null`, alert("firing", "alertname=Down"), alert("firing", "alertname=B"))
	requireStatus(t, http.StatusInternalServerError, f.serve(binary("1", body)))
	require.ElementsMatch(t, []string{mapping.SignalReceived, mapping.RequestCreated, mapping.SignalReceived, mapping.RequestCreated, mapping.RequestFailed}, f.types())
	requireStatus(t, http.StatusOK, f.serve(binary("2", webhook(alert("firing", "alertname=A")))))
}

func TestAuditModes(t *testing.T) {
	unavailable, refused := errors.New("the sink is down"), &audit.RefusedError{Status: 400, Answer: "no", Event: json.RawMessage(`{"id":"1"}`)}
	cases := map[string]struct {
		mode   config.AuditMode
		fail   error
		status int
		log    string
	}{
		"required waits for the sink":              {config.AuditRequired, unavailable, http.StatusServiceUnavailable, `"decision":"unsettled"`},
		"best effort does not":                     {config.AuditBestEffort, unavailable, http.StatusOK, "audit event lost"},
		"what is refused for good is set aside":    {config.AuditRequired, refused, http.StatusOK, `"audit event rejected by the audit sink"`},
		"set aside means the whole event is there": {config.AuditRequired, refused, http.StatusOK, `"cloudevent":{"id":"1"}`},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			f := newFixture()
			f.service.pipeline.audit.mode = row.mode
			f.sink.fail = func(audit.Event) error { return row.fail }
			requireStatus(t, row.status, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
			require.NoError(t, f.service.pipeline.audit.finish(t.Context()))
			require.Contains(t, f.log.String(), row.log)
		})
	}
}

func TestARedeliverySendsTheSameAuditIDs(t *testing.T) {
	f := newFixture()
	body := webhook(alert("firing", "alertname=A"), alert("firing", "pod=p"), alert("firing", "alertname=B"))
	f.serve(binary("1", body))
	first := f.sink.ids()
	require.Len(t, first, 5)
	f.serve(binary("1", body))
	require.Equal(t, first, f.sink.ids())
}

func TestAClientThatHangsUpDoesNotUndoItsEvent(t *testing.T) {
	f := newFixture()
	ctx, cancel := context.WithCancel(t.Context())
	f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		cancel()
		return (&fakeDedup{}).Settle(ctx, s, keys, nil)
	}
	f.sink.fail = func(audit.Event) error { return nil }
	requireStatus(t, http.StatusOK, f.serve(binary("1", alert("firing", "alertname=A")).WithContext(ctx)))
	require.Len(t, f.sink.ids(), 2)
}

func TestEveryAlertHasOneLogLine(t *testing.T) {
	f := newFixture()
	f.serve(binary("1", `{"truncatedAlerts":3,"alerts":[`+alert("firing", "alertname=A")+","+alert("firing", "alertname=Watchdog")+`]}`))
	lines := map[string][]map[string]any{}
	for line := range strings.Lines(f.log.String()) {
		var l map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		lines[l["msg"].(string)] = append(lines[l["msg"].(string)], l)
	}
	require.Len(t, lines["alert"], 2)
	require.Len(t, lines["event"], 1)
	require.Equal(t, "new=1 filtered=1", lines["event"][0]["decisions"])
	require.EqualValues(t, 3, lines["Alertmanager left out alerts: raise the receiver's max_alerts or group by more labels"][0]["truncated"])
}

func TestParallelWorkWithinOneEventIsBounded(t *testing.T) {
	f := newFixture()
	var mu sync.Mutex
	now, most := 0, 0
	f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		defer func() { mu.Lock(); now--; mu.Unlock() }()
		return (&fakeDedup{}).Settle(ctx, s, keys, nil)
	}
	alerts := make([]string, 500)
	for i := range alerts {
		alerts[i] = alert("firing", "alertname=A", "pod=p"+strings.Repeat("x", i%200))
	}
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alerts...))))
	require.LessOrEqual(t, most, maxParallel)
}

// Some senders have one id for all that they send: what they send later is an
// alert of its own, and so are its audit events.
func TestAConstantEventIDHasAuditEventsForEachAlert(t *testing.T) {
	f := newFixture()
	for _, body := range []string{
		webhook(alert("firing", "alertname=A")),
		webhook(alert("firing", "alertname=B")),
		strings.Replace(webhook(alert("firing", "alertname=A")), "T11:00", "T11:01", 1),
	} {
		requireStatus(t, http.StatusOK, f.serve(binary("constant", body)))
	}
	require.Len(t, f.sink.ids(), 6)
}

func TestASinkThatHangsKeepsNoObjectFromBeingMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		var mu sync.Mutex
		settled, tried := 0, 0
		f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
			mu.Lock()
			defer mu.Unlock()
			settled++
			return (&fakeDedup{}).Settle(ctx, s, keys, nil)
		}
		f.sink.before = func() {
			tried++
			pass(12 * time.Second) // Its own bound.
		}
		f.sink.fail = func(audit.Event) error { return errors.New("the sink hangs") }
		alerts := make([]string, 500)
		for i := range alerts {
			alerts[i] = alert("firing", "alertname=A", "pod=p"+strconv.Itoa(i))
		}
		requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("1", webhook(alerts...))))
		require.Equal(t, 500, settled)
		require.Equal(t, 1, tried, "all audit events are delivered at once")
	})
}

func TestANamespaceThatTakesNothingIsTheAlertsFaultOnlyIfItChoseIt(t *testing.T) {
	for reason, row := range map[string]struct {
		namespace, code string
		status          int
	}{
		"the configured one is the operator's": {"ns", dedup.NamespaceNotFound, http.StatusServiceUnavailable},
		"the alert's own is the alert's":       {"elsewhere", dedup.NamespaceNotFound, http.StatusOK},
		"the configured one goes":              {"ns", dedup.NamespaceTerminating, http.StatusServiceUnavailable},
		"the alert's own goes":                 {"elsewhere", dedup.NamespaceTerminating, http.StatusOK},
	} {
		t.Run(reason, func(t *testing.T) {
			f := newFixture()
			f.service.pipeline.rules.Placement = mapping.PlacementSignal
			f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
				return []dedup.Outcome{{Rejected: &dedup.RejectedError{Code: row.code, Err: errors.New("no such namespace")}}}, nil
			}
			requireStatus(t, row.status, f.serve(binary("1", webhook(alert("firing", "alertname=A", "namespace="+row.namespace)))))
			require.Equal(t, row.status == http.StatusOK, len(f.types()) == 1, "it is on record as gateway.crd.failed")
		})
	}
}

// Alerts of one fingerprint that settle together each have a decision of their own.
func TestARejectedAlertHasADecisionOfItsOwn(t *testing.T) {
	f := newFixture()
	f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		out, err := (&fakeDedup{}).Settle(ctx, s, keys, nil)
		out[1] = dedup.Outcome{Rejected: &dedup.RejectedError{Code: "ERR_K8S_INVALID", Err: errors.New("no")}}
		return out, err
	}
	requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A", "pod=p", "container=x"),
		alert("firing", "alertname=A", "pod=p", "container=y"), alert("firing", "alertname=A", "pod=p", "container=z")))))
	require.ElementsMatch(t, []string{mapping.SignalReceived, mapping.RequestCreated, mapping.RequestFailed, mapping.SignalDeduplicated}, f.types())
}
