package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/telemetry"
	"onefire/mapping"
)

func TestALongPastIsCountedEachTimeAndLoggedOnceAnHour(t *testing.T) {
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	defer func() { require.NoError(t, watch.Stop(t.Context())) }()
	var log bytes.Buffer
	now := time.Unix(0, 0)
	o := &observer{log: slog.New(slog.NewJSONHandler(&log, nil)), now: func() time.Time { return now }}
	o.metrics, err = newMetrics(watch.Meter())
	require.NoError(t, err)
	for _, past := range []dedup.LongPast{
		{Namespace: "onefire", Fingerprint: "abc", Objects: 600},
		{Namespace: "onefire", Fingerprint: "abc", Objects: 601, Paged: true},
		{Namespace: "onefire", Fingerprint: "def", Objects: 513},
		{Namespace: "shop", Fingerprint: "abc", Objects: 514},
	} {
		o.longPast(past)
	}
	now = now.Add(historyPause)
	o.longPast(dedup.LongPast{Namespace: "onefire", Fingerprint: "abc", Objects: 602})
	require.Contains(t, scraped(t, address), "onefire_history_long_total 5\n")
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 4)
	require.Contains(t, lines[0], `"namespace":"onefire","fingerprint":"abc","remediationRequests":600,"pages":false`)
	require.Contains(t, lines[1], `"fingerprint":"def"`)
	require.Contains(t, lines[2], `"namespace":"shop","fingerprint":"abc"`)
	require.Contains(t, lines[3], `"remediationRequests":602`)
	for i := range 2 * maxHistories {
		o.longPasts.due(dedup.LongPast{Fingerprint: strings.Repeat("a", i)}, now)
	}
	require.LessOrEqual(t, len(o.longPasts.logged), maxHistories)
}

func TestTheLogSaysOnceThatAdmissionChangesObjects(t *testing.T) {
	f := newFixture()
	f.service.observer.altered("ns", "rr-1", []string{"onefire/event"})
	f.service.observer.altered("ns", "rr-2", []string{"onefire/event"})
	require.Equal(t, 1, strings.Count(f.log.String(), "\n"))
	require.Contains(t, f.log.String(), `"object":"ns/rr-1","changed":["onefire/event"]`)
}

// written are the lines of the log as JSON, without their times.
func (f *fixture) written(t *testing.T) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(f.log.String()) {
		var one map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &one))
		delete(one, "time")
		text, err := json.Marshal(one)
		require.NoError(t, err)
		all = append(all, string(text))
	}
	return all
}

func TestTheLogSaysWhatBecameOfAnAlert(t *testing.T) {
	const decided = `"msg":"alert","alertname":"A","fingerprint":"f"`
	for want, r := range map[string]result{
		`{"level":"INFO",` + decided + `,"decision":"new","reason":"first_seen","object":"ns/rr-1","count":2}`:                                       {reason: mapping.FirstSeen, name: "rr-1", count: 2},
		`{"level":"INFO",` + decided + `,"decision":"filtered","reason":"ignored_severity"}`:                                                         {reason: mapping.IgnoredSeverity},
		`{"level":"WARN",` + decided + `,"decision":"stale","reason":"too_old"}`:                                                                     {reason: mapping.TooOld},
		`{"level":"WARN",` + decided + `,"decision":"unsettled","reason":"unavailable","error":"away"}`:                                              {reason: mapping.Unavailable, err: errors.New("away")},
		`{"level":"WARN",` + decided + `,"decision":"paused","reason":"brake_on","paused_since":"2026-01-17T11:00:00Z","paused_because":"ask Jane"}`: {reason: mapping.BrakeOn, pause: on},
		`{"level":"INFO",` + decided + `,"decision":"new","reason":"first_seen","target":"Pod/p","owner":"resolved"}`:                                {reason: mapping.FirstSeen, owner: kube.Resolved},
		`{"level":"WARN",` + decided + `,"decision":"new","reason":"first_seen","target":"Pod/p","owner":"forbidden"}`:                               {reason: mapping.FirstSeen, owner: kube.Forbidden},
		`{"level":"WARN",` + decided + `,"decision":"new","reason":"first_seen","target":"Pod/p","owner":"refused"}`:                                 {reason: mapping.FirstSeen, owner: kube.Refused},
		`{"level":"WARN",` + decided + `,"decision":"new","reason":"first_seen","scope":"forbidden"}`:                                                {reason: mapping.FirstSeen, unread: kube.Forbidden},
	} {
		f := newFixture()
		r.signal = mapping.Signal{Name: "A", Namespace: "ns", Fingerprint: "f", Target: mapping.Target{Kind: "Pod", Name: "p"}}
		r.log(t.Context(), f.service.observer.log)
		require.Len(t, f.written(t), 1)
		require.JSONEq(t, want, f.written(t)[0])
	}
}

func TestTheLogHasALineForEachEvent(t *testing.T) {
	for want, body := range map[string]string{
		`{"level":"INFO","msg":"event","event_id":"1","event_source":"/test","event_type":"test","status":200,"alerts":2,"decisions":"new=1 filtered=1","duration_ms":1500}`:                                          webhook(alert("firing", "alertname=A"), alert("firing", "alertname=Watchdog")),
		`{"level":"WARN","msg":"event","event_id":"1","event_source":"/test","event_type":"test","status":503,"alerts":1,"decisions":"unsettled=1","duration_ms":1500,"error":"1 of 1 alerts are not settled: away"}`: webhook(alert("firing", "alertname=Down")),
	} {
		f := newFixture()
		f.dedup.settle = func(ctx context.Context, s mapping.Signal, keys []string) ([]dedup.Outcome, error) {
			if s.Name == "Down" {
				return nil, errors.New("away")
			}
			return (&fakeDedup{}).Settle(ctx, s, keys, nil)
		}
		f.service.observer.now = func() time.Time { return noon.Add(1500 * time.Millisecond) }
		f.serve(binary("1", body))
		lines := f.written(t)
		require.JSONEq(t, want, lines[len(lines)-1])
	}
}

func TestAlertsThatWereLeftOutAreCountedWithinReason(t *testing.T) {
	for left, want := range map[string]int64{"0": 0, "1": 1, "18446744073709551615": 1 << 32} {
		f := newFixture()
		reader := sdkmetric.NewManualReader()
		var err error
		f.service.observer.metrics, err = newMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("onefire"))
		require.NoError(t, err)
		requireStatus(t, http.StatusOK, f.serve(binary("1", `{"truncatedAlerts":`+left+`,"alerts":[`+alert("firing", "alertname=A")+`]}`)))
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		counted := int64(0)
		for _, m := range all.ScopeMetrics[0].Metrics {
			if m.Name == "onefire.truncated" {
				counted = m.Data.(metricdata.Sum[int64]).DataPoints[0].Value
			}
		}
		require.Equal(t, want, counted)
		require.Equal(t, want > 0, strings.Contains(f.log.String(), "Alertmanager left out alerts"))
	}
}
