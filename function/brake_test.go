package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"

	"onefire/config"
	"onefire/dedup"
	"onefire/function/kube"
	"onefire/function/receive"
	"onefire/function/telemetry"
	"onefire/mapping"
)

var (
	on     = &dedup.Pause{Namespace: "onefire", Name: "brake", UID: "uid-1", Since: noon.Add(-time.Hour), Reason: "ask Jane"}
	usedUp = &dedup.QuotaError{Quota: "q", Err: errors.New("exceeded quota: q")}
)

// holding is a fixture whose alerts come to an outcome; its Events are told.
func holding(t *testing.T, o dedup.Outcome) (f *fixture, story func() []told) {
	t.Helper()
	f, story = tellingFixture(t)
	f.dedup.settle = func(_ context.Context, _ mapping.Signal, keys []string) ([]dedup.Outcome, error) {
		out := make([]dedup.Outcome, len(keys))
		for i := range keys {
			out[i] = o
		}
		return out, nil
	}
	return f, story
}

func TestAnAlertThatNothingIsMadeForIsSettled(t *testing.T) {
	for reason, row := range map[string]struct {
		outcome dedup.Outcome
		log     string
		audit   []string
		// on, why and note are those of the Event.
		on, why, note string
		kept          string
	}{
		"paused": {dedup.Outcome{Reason: mapping.BrakeOn, Paused: on},
			`"decision":"paused","reason":"brake_on"`, nil,
			"v1 ConfigMap onefire brake uid-1", ReasonPaused, "No new RemediationRequests are made: the brake is on since 2026-01-17T11:00:00Z: ask Jane",
			"1 of 1 alerts are not settled: the brake is on since 2026-01-17T11:00:00Z: ask Jane"},
		"paused, and no reason given": {dedup.Outcome{Reason: mapping.BrakeOn, Paused: &dedup.Pause{Namespace: "onefire", Name: "brake", UID: "uid-2", Since: noon}},
			`"paused_since":"2026-01-17T12:00:00Z","paused_because":""`, nil,
			"v1 ConfigMap onefire brake uid-2", ReasonPaused, "No new RemediationRequests are made: the brake is on since 2026-01-17T12:00:00Z",
			"1 of 1 alerts are not settled: the brake is on since 2026-01-17T12:00:00Z"},
		"capped": {dedup.Outcome{Reason: mapping.QuotaExceeded, Capped: usedUp},
			`"decision":"capped","reason":"quota_exceeded"`, []string{mapping.RequestFailed},
			"v1 ResourceQuota ns q ", ReasonCapped, "No new RemediationRequests are made: the quota is used up",
			"1 of 1 alerts are not settled: exceeded quota: q"},
	} {
		t.Run(reason, func(t *testing.T) {
			f, story := holding(t, row.outcome)
			firing := webhook(alert("firing", "alertname=A"))
			w := f.serve(with(binary("kept", firing), receive.KeptHeader, "somebody"))
			requireStatus(t, http.StatusServiceUnavailable, w)
			require.Contains(t, w.Body.String(), row.kept)
			require.Empty(t, f.sink.events, "it is not settled")

			for i := range 50 { // A storm, that tells one Event.
				requireStatus(t, http.StatusOK, f.serve(binary(fmt.Sprint(i), firing)))
			}
			require.Contains(t, f.log.String(), row.log)
			require.Contains(t, f.log.String(), `"level":"WARN","msg":"alert","event_id":"0"`)
			require.Len(t, f.sink.events, 50*len(row.audit))
			for _, e := range f.sink.events {
				require.Equal(t, mapping.RequestFailed, e.Type)
				failure := e.Data.(mapping.AuditRequest).Data.ErrorDetails
				require.Equal(t, mapping.ErrorDetails{Message: "exceeded quota: q", Code: "ERR_K8S_QUOTA_EXCEEDED", Component: "gateway", RetryPossible: true}, *failure)
			}
			var all []string
			for _, one := range story() {
				r := one.Regarding
				all = append(all, fmt.Sprintf("%s %s %s %s %s|%s|%s|%s|%s|%s|%d", r.APIVersion, r.Kind, r.Namespace, r.Name, r.UID, one.Type, one.Reason, one.Note, one.Action, one.EventTime, one.times))
			}
			require.Equal(t, []string{row.on + "|Warning|" + row.why + "|" + row.note + "|Create|2026-01-17T12:00:00.000000Z|1"}, all)
		})
	}
}

func TestAnAlertThatIsSettledIsSoForASenderThatKeepsIt(t *testing.T) {
	requireStatus(t, http.StatusOK, newFixture().serve(with(binary("1", webhook(alert("firing", "alertname=A"))), receive.KeptHeader, "somebody")))
}

func TestABrakeIsToldAgainWhenItIsForgotten(t *testing.T) {
	var told reminders
	one := kube.Object{Kind: "ConfigMap", UID: "1"}
	require.True(t, told.due(one, noon))
	require.False(t, told.due(one, noon.Add(kube.EventTTL-1)))
	require.True(t, told.due(one, noon.Add(kube.EventTTL)))
	require.True(t, told.due(kube.Object{Kind: "ConfigMap", UID: "2"}, noon), "another pause")
	require.False(t, told.due(one, noon.Add(kube.EventTTL)), "which hides no other")
	for i := range 2 * maxReminders {
		told.due(kube.Object{Name: fmt.Sprint(i)}, noon)
		require.LessOrEqual(t, len(told.last), maxReminders)
	}
}

func TestSinceWhenTheBrakeIsOnIsMeasured(t *testing.T) {
	address := freeAddress(t)
	watch, err := telemetry.Start(t.Context(), telemetry.Options{Address: address})
	require.NoError(t, err)
	defer func() { require.NoError(t, watch.Stop(context.Background())) }()
	var pause atomic.Pointer[dedup.Pause]
	require.NoError(t, measurePause(watch.Meter(), func(ctx context.Context) *dedup.Pause {
		_, bounded := ctx.Deadline()
		require.True(t, bounded, "a scrape does not wait for a brake that cannot be read")
		return pause.Load()
	}))
	require.Contains(t, scraped(t, address), "\nonefire_paused_timestamp_seconds 0\n")
	pause.Store(on)
	require.Contains(t, scraped(t, address), "\nonefire_paused_timestamp_seconds 1.7686476e+09\n")
}

func TestTheBrakeIsBesideTheFunction(t *testing.T) {
	namespace := fromKubeconfig(t)
	for reason, row := range map[string]struct {
		config config.Config
		want   types.NamespacedName
	}{
		"its pod's namespace":    {config.Config{PodNamespace: "ns", Brake: "b"}, types.NamespacedName{Namespace: "ns", Name: "b"}},
		"else where it calls to": {config.Config{Brake: "b", Namespace: "elsewhere"}, types.NamespacedName{Namespace: "from-kubeconfig", Name: "b"}},
		"none":                   {config.Config{PodNamespace: "ns", Brake: config.NoBrake}, types.NamespacedName{}},
	} {
		got, err := brakeOf(row.config, namespace)
		require.NoError(t, err)
		require.Equal(t, row.want, got, reason)
	}
	nowhere := func() (string, error) { return "", errors.New("nowhere") }
	_, err := brakeOf(config.Config{Brake: "b"}, nowhere)
	require.ErrorContains(t, err, "POD_NAMESPACE")
}

// The whole function, with a brake on its API server and one that cannot be read.
func TestAFunctionKeepsToItsBrake(t *testing.T) {
	var status, creates atomic.Int32
	status.Store(http.StatusOK)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Path == "/api/v1/namespaces/ops/configmaps/stop":
			w.WriteHeader(int(status.Load()))
			fmt.Fprint(w, `{"kind":"ConfigMap","metadata":{"uid":"u","creationTimestamp":"2026-01-17T11:00:00Z"},"data":{"reason":"ask Jane"}}`)
		case r.Method == http.MethodPost:
			creates.Add(1)
			w.WriteHeader(http.StatusTeapot)
		default:
			fmt.Fprint(w, `{"kind":"RemediationRequestList","items":[]}`)
		}
	}))
	t.Cleanup(api.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, []byte(`{"clusters":[{"name":"c","cluster":{"server":"`+api.URL+`"}}],
		"contexts":[{"name":"c","context":{"cluster":"c"}}],"current-context":"c"}`), 0o600))
	s, err := newService(t.Context(), config.Config{
		Kubeconfig: kubeconfig, PodNamespace: "ops", Namespace: "ops", Brake: "stop", AuditSink: config.NoAudit, AuditSchema: mapping.Schema202608,
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	f := New()
	f.service.Store(s)
	t.Cleanup(func() { require.NoError(t, f.Stop(context.Background())) })
	serve := func(id string) int {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, binary(id, webhook(alert("firing", "alertname=A"))))
		return w.Code
	}
	require.Equal(t, http.StatusOK, serve("1"))
	require.Zero(t, creates.Load())
	status.Store(http.StatusNotFound)
	require.Eventually(t, func() bool { return serve("2") == http.StatusServiceUnavailable && creates.Load() > 0 }, 10*time.Second, 10*time.Millisecond, "it is let go")
}
