package function

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"onefire/audit"
	"onefire/config"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/receive"
	"onefire/mapping"
)

// stuckService is an API server that never answers.
type stuckService struct{ fakeDedup }

func (*stuckService) Ready(ctx context.Context, _ string) error {
	<-ctx.Done()
	return ctx.Err()
}

func (*stuckService) Find(ctx context.Context, _ mapping.Signal) (kube.Found, error) {
	<-ctx.Done()
	return kube.Found{}, ctx.Err()
}

// stuckSink is an audit sink that never answers.
type stuckSink struct{ fakeSink }

func (*stuckSink) Send(ctx context.Context, events []audit.Event) func() []error {
	return func() []error {
		<-ctx.Done()
		errs := make([]error, len(events))
		for i := range errs {
			errs[i] = ctx.Err()
		}
		return errs
	}
}

func TestHowLongWhatNeverAnswersIsWaitedFor(t *testing.T) {
	for reason, row := range map[string]struct {
		ask  func(t *testing.T, f *fixture)
		took time.Duration
	}{
		"a readiness probe": {func(t *testing.T, f *fixture) {
			f.service.pipeline.requests = &stuckService{}
			ready, err := f.Ready(t.Context())
			require.NoError(t, err)
			require.False(t, ready)
		}, readyTimeout},
		"the targets of an event": {func(t *testing.T, f *fixture) {
			f.service.pipeline.targets.owners = &stuckService{}
			requireStatus(t, http.StatusServiceUnavailable, f.serve(binary("1", webhook(alert("firing", "alertname=A"), alert("firing", "alertname=B")))))
		}, targetTimeout},
		"audit events that no answer waits for": {func(t *testing.T, f *fixture) {
			f.service.pipeline.audit.mode, f.service.pipeline.audit.sink = config.AuditBestEffort, &stuckSink{}
			requireStatus(t, http.StatusOK, f.serve(binary("1", webhook(alert("firing", "alertname=A")))))
			require.NoError(t, f.service.pipeline.audit.finish(t.Context()))
			require.Contains(t, f.log.String(), "audit event lost")
		}, lateTimeout},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, begun := newFixture(), time.Now()
				row.ask(t, f)
				require.Equal(t, row.took, time.Since(begun))
			})
		})
	}
}

func TestWhatWasSeenOfReadinessStandsForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, asked := newFixture(), 0
		f.dedup.ready = func() error { asked++; return nil }
		for _, step := range []struct {
			later time.Duration
			asked int
		}{{0, 1}, {readyAge, 1}, {1, 2}} {
			pass(step.later)
			ready, err := f.Ready(t.Context())
			require.NoError(t, err)
			require.True(t, ready)
			require.Equal(t, step.asked, asked)
		}
	})
}

func TestWhenARequestIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture()
		f.dedup.settle = func(context.Context, mapping.Signal, []string) ([]dedup.Outcome, error) {
			pass(2 * stuckAfter) // It ignores its context.
			return nil, errors.New("late")
		}
		go f.serve(binary("1", alert("firing", "alertname=A")))
		synctest.Wait()
		pass(stuckAfter - 1)
		alive, err := f.Alive(t.Context())
		require.NoError(t, err)
		require.True(t, alive)
		pass(1)
		alive, err = f.Alive(t.Context())
		require.NoError(t, err)
		require.False(t, alive)
		pass(2 * stuckAfter)
	})
}

func TestAnEventIsTakenUpToItsBounds(t *testing.T) {
	one := structuredEvent("1", alert("firing", "alertname=A"))
	for reason, row := range map[string]struct {
		request *http.Request
		status  int
	}{
		"the largest batch":     {typed(batched, "["+strings.Join(slicesRepeat(one, maxBatch), ",")+"]"), 200},
		"an event more":         {typed(batched, "["+strings.Join(slicesRepeat(one, maxBatch+1), ",")+"]"), 413},
		"the longest id":        {typed(structured, structuredEvent(strings.Repeat("x", maxAttribute), alert("firing", "alertname=A"))), 200},
		"the longest source":    {with(binary("1", alert("firing", "alertname=A")), "Ce-Source", strings.Repeat("x", maxAttribute)), 200},
		"a source a byte more":  {with(binary("1", alert("firing", "alertname=A")), "Ce-Source", strings.Repeat("x", maxAttribute+1)), 400},
		"the largest body":      {binary("1", alert("firing", "alertname=A")+strings.Repeat(" ", maxBody-len(alert("firing", "alertname=A")))), 200},
		"a body of a byte more": {binary("1", alert("firing", "alertname=A")+strings.Repeat(" ", maxBody-len(alert("firing", "alertname=A"))+1)), 413},
	} {
		t.Run(reason, func(t *testing.T) {
			requireStatus(t, row.status, newFixture().serve(row.request))
		})
	}
}

// Dashboards and alert rules read these.
func TestTheBoundsOfDurations(t *testing.T) {
	reader := sdkmetric.NewManualReader()
	m, err := newMetrics(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(""))
	require.NoError(t, err)
	m.request(t.Context(), http.StatusOK, time.Second)
	var all metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &all))
	for _, one := range all.ScopeMetrics[0].Metrics {
		if one.Name == "onefire.request.duration" {
			require.Equal(t, []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25},
				one.Data.(metricdata.Histogram[float64]).DataPoints[0].Bounds)
			return
		}
	}
	require.Fail(t, "nothing was measured")
}

// Other metrics wait no longer for a brake that cannot be read.
func TestABrakeIsReadForItsMetricWithinItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, begun := sdkmetric.NewManualReader(), time.Now()
		require.NoError(t, measurePause(sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter(""), func(ctx context.Context) *dedup.Pause {
			<-ctx.Done()
			return nil
		}))
		var all metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &all))
		require.Equal(t, gaugeTimeout, time.Since(begun))
	})
}

func TestEachDecisionIsInTheLog(t *testing.T) {
	var results []result
	for _, r := range []mapping.Reason{mapping.FirstSeen, mapping.FirstSeen, mapping.Active, mapping.ResolvedNothing, mapping.IgnoredAlertname,
		mapping.TooOld, mapping.BrakeOn, mapping.QuotaExceeded, mapping.Malformed, mapping.Unavailable} {
		results = append(results, result{reason: r})
	}
	require.Equal(t, "new=2 duplicate=1 resolved=1 filtered=1 stale=1 paused=1 capped=1 invalid=1 unsettled=1", decisions(results))
	require.Empty(t, decisions(nil))
}

func TestEachResourceThatIsAskedForIsCountedByItsName(t *testing.T) {
	for _, name := range []string{"remediationrequests", "events", "tokenreviews", "pods", "replicasets", "deployments", "statefulsets", "daemonsets", "jobs", "cronjobs", "namespaces", "nodes", "persistentvolumes"} {
		for _, path := range []string{"/apis/group/v1/namespaces/ns/" + name + "/x", "/api/v1/namespaces/ns/" + name + "/x"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.test"+path, nil)
			require.NoError(t, err)
			require.Equal(t, apiCall{"get", name, "ns"}, apiCallOf(r))
		}
	}
}

// The log has one line of a kind in each pause, and each kind has lines of its own.
func TestHowOftenTheLogSaysTheSame(t *testing.T) {
	unread := func(f *fixture) { f.service.observer.brakeUnread(errors.New("away")) }
	stranger := func(f *fixture) { f.service.observer.notAdmitted(receive.Refuse(401, "no"), "somebody") }
	fault := func(f *fixture) { f.service.observer.notAdmitted(receive.Refuse(503, "no"), "") }
	past := func(f *fixture) { f.service.observer.longPast(dedup.LongPast{Namespace: "ns", Fingerprint: "f"}) }
	for reason, row := range map[string]struct {
		say, other func(*fixture)
		pause      time.Duration
	}{
		"a brake that cannot be read":     {unread, stranger, brakePause},
		"a stranger":                      {stranger, fault, refusalPause},
		"nobody can tell who sends":       {fault, stranger, refusalPause},
		"the long past of one thing":      {past, unread, historyPause},
		"nobody can tell, beside a brake": {fault, unread, refusalPause},
	} {
		t.Run(reason, func(t *testing.T) {
			f, now := newFixture(), noon
			f.clock(func() time.Time { return now })
			lines := func() int { return strings.Count(f.log.String(), "\n") }
			row.say(f)
			row.say(f)
			require.Equal(t, 1, lines())
			row.other(f)
			require.Equal(t, 2, lines(), "another kind is not kept back")
			now = now.Add(row.pause - 1)
			row.say(f)
			require.Equal(t, 2, lines())
			now = now.Add(1)
			row.say(f)
			require.Equal(t, 3, lines())
		})
	}
}

// The log remembers up to maxHistories fingerprints, and no more.
func TestHowManyLongPastsAreRemembered(t *testing.T) {
	var l longPasts
	for i := range maxHistories {
		require.True(t, l.due(dedup.LongPast{Fingerprint: strings.Repeat("a", i)}, noon))
	}
	require.Len(t, l.logged, maxHistories)
	require.False(t, l.due(dedup.LongPast{Fingerprint: ""}, noon))
	require.True(t, l.due(dedup.LongPast{Fingerprint: "another"}, noon))
	require.Len(t, l.logged, 1)
}
