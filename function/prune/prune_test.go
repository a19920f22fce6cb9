package prune

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"onefire/config"
	"onefire/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const day = 24 * time.Hour

func before(d time.Duration) string { return time.Now().Add(-d).UTC().Format(time.RFC3339) }

// fixture is a run against an API server of its own.
type fixture struct {
	*kube
	*runner
	config config.Prune
	logged bytes.Buffer
	// waits are the pauses that the run made.
	waits []time.Duration
}

func fix(t *testing.T, o Options, environment map[string]string) *fixture {
	t.Helper()
	all := map[string]string{"REMEDIATION_NAMESPACE": "onefire", "POD_NAMESPACE": "onefire"}
	for name, value := range environment {
		all[name] = value
	}
	c, err := config.LoadPrune(all)
	require.NoError(t, err)
	f := &fixture{kube: startKube(t), config: c}
	o.Log, o.Notes = &f.logged, &bytes.Buffer{}
	f.runner = newRunner(c, o)
	f.rate = rate.NewLimiter(rate.Inf, 1)
	f.pause = func(ctx context.Context, d time.Duration) error {
		f.waits = append(f.waits, d)
		return ctx.Err()
	}
	return f
}

func (f *fixture) prune(t *testing.T) error {
	t.Helper()
	return f.run(t.Context(), f.kube.config(t), f.config)
}

// request puts a RemediationRequest that ended so long ago; phase and more are what
// else it says.
func (f *fixture) request(namespace, name, phase string, ended time.Duration, more ...any) {
	status := map[string]any{"overallPhase": phase, "completedAt": before(ended)}
	for i := 0; i < len(more); i += 2 {
		status[more[i].(string)] = more[i+1]
	}
	f.put(requestsAPI, namespace, "remediationrequests", name, map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "onefire"}, "creationTimestamp": before(365 * day)},
		"spec":     map[string]any{"signalFingerprint": strings.Repeat("a", 64)}, "status": status,
	})
}

// letter puts a dead letter that was kept so long ago.
func (f *fixture) letter(name string, kept time.Duration) {
	f.put(lettersAPI, "onefire", "configmaps", name, map[string]any{
		"metadata": map[string]any{
			"labels":            map[string]any{"onefire/dead-letter": "true", "onefire/alertname": "DiskFull", "onefire/severity": "critical", "onefire/event-type": "io.prometheus.alert.v1"},
			"annotations":       map[string]any{"onefire/event-id": "7", "onefire/event-source": "urn:onefire:alertmanager:default", "onefire/error": "400: no alerts in it"},
			"creationTimestamp": before(kept),
		},
	})
}

// said are the lines of the log with a message.
func (f *fixture) said(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	for _, line := range lines(t, f.logged.String()) {
		if line["msg"] == message {
			found = append(found, line)
		}
	}
	return found
}

func TestWhatIsOldGoesAndTheRestStays(t *testing.T) {
	f := fix(t, Options{}, nil)
	f.request("onefire", "old", "Completed", 8*day)
	f.request("onefire", "young", "Completed", 6*day)
	f.request("onefire", "active", "Executing", 8*day)
	f.request("onefire", "review", "Completed", 8*day, "outcome", "ManualReviewRequired")
	f.request("onefire", "quiet", "Failed", 8*day, "nextAllowedExecution", before(-time.Hour))
	f.request("shop", "elsewhere", "Completed", 8*day)
	f.put(requestsAPI, "onefire", "remediationrequests", "foreign", map[string]any{
		"metadata": map[string]any{"creationTimestamp": before(365 * day)}, "status": map[string]any{"overallPhase": "Completed"},
	})
	f.letter("dead-letter-1", 31*day)
	f.letter("dead-letter-2", 29*day)
	f.put(lettersAPI, "onefire", "configmaps", "kube-root-ca.crt", map[string]any{"metadata": map[string]any{"creationTimestamp": before(365 * day)}})

	require.NoError(t, f.prune(t))
	require.Equal(t, []string{"onefire/active", "onefire/foreign", "onefire/quiet", "onefire/review", "onefire/young", "shop/elsewhere"}, f.left("remediationrequests"))
	require.Equal(t, []string{"onefire/dead-letter-2", "onefire/kube-root-ca.crt"}, f.left("configmaps"))

	gone := f.said(t, "request deleted")
	require.Len(t, gone, 1)
	require.Subset(t, gone[0], map[string]any{
		"level": "INFO", "namespace": "onefire", "name": "old", "fingerprint": strings.Repeat("a", 64), "phase": "Completed", "age": "192h0m0s",
	})
	require.Equal(t, before(8 * day)[:16], gone[0]["ended"].(string)[:16])
	letters := f.said(t, "dead letter deleted")
	require.Len(t, letters, 1)
	require.Subset(t, letters[0], map[string]any{
		"level": "WARN", "namespace": "onefire", "name": "dead-letter-1", "id": "7", "source": "urn:onefire:alertmanager:default",
		"type": "io.prometheus.alert.v1", "alertname": "DiskFull", "severity": "critical", "why": "400: no alerts in it", "age": "744h0m0s",
	})
	f.requireSummary(t, "prune finished", counts{read: 5, deleted: 1}, counts{read: 2, deleted: 1})
}

// requireSummary asks for the last line of the log.
func (f *fixture) requireSummary(t *testing.T, message string, requests, letters counts) {
	t.Helper()
	all := lines(t, f.logged.String())
	last := all[len(all)-1]
	require.Equal(t, message, last["msg"])
	for name, want := range map[string]counts{"requests": requests, "dead_letters": letters} {
		require.Equal(t, map[string]any{
			"read": float64(want.read), "deleted": float64(want.deleted), "gone": float64(want.gone), "changed": float64(want.changed), "failed": float64(want.failed),
		}, last[name], name)
	}
}

func TestADryRunDeletesNothing(t *testing.T) {
	f := fix(t, Options{DryRun: true}, nil)
	f.request("onefire", "old", "Completed", 8*day)
	f.letter("dead-letter-1", 31*day)
	require.NoError(t, f.prune(t))
	require.Len(t, f.left("remediationrequests"), 1)
	require.Len(t, f.left("configmaps"), 1)
	require.Zero(t, f.count("delete"))
	require.Len(t, f.said(t, "request would be deleted"), 1)
	require.Len(t, f.said(t, "dead letter would be deleted"), 1)
	last := f.said(t, "prune finished")[0]
	require.Equal(t, true, last["dry_run"])
	require.Equal(t, map[string]any{"read": 1.0, "would_be_deleted": 1.0}, last["requests"])
}

func TestWhereItLooks(t *testing.T) {
	for name, row := range map[string]struct {
		environment map[string]string
		calls       []string
	}{
		"one namespace":    {nil, []string{"list /api/v1/namespaces/onefire/configmaps", "list /apis/kubernaut.ai/v1alpha1/namespaces/onefire/remediationrequests"}},
		"all of them":      {map[string]string{"REMEDIATION_PLACEMENT": string(mapping.PlacementSignal)}, []string{"list /api/v1/namespaces/onefire/configmaps", "list /apis/kubernaut.ai/v1alpha1/remediationrequests"}},
		"kubernaut's":      {map[string]string{"REMEDIATION_NAMESPACE": "healing"}, []string{"list /api/v1/namespaces/onefire/configmaps", "list /apis/kubernaut.ai/v1alpha1/namespaces/healing/remediationrequests"}},
		"no requests":      {map[string]string{"TTL": "0"}, []string{"list /api/v1/namespaces/onefire/configmaps"}},
		"no dead letters":  {map[string]string{"DEAD_LETTER_TTL": "0"}, []string{"list /apis/kubernaut.ai/v1alpha1/namespaces/onefire/remediationrequests"}},
		"neither of these": {map[string]string{"TTL": "0", "DEAD_LETTER_TTL": "0"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := fix(t, Options{}, row.environment)
			require.NoError(t, f.prune(t))
			require.Equal(t, row.calls, f.calls)
		})
	}
}

func TestEveryNamespaceIsPrunedWithPlacementSignal(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"REMEDIATION_PLACEMENT": "signal"})
	f.request("onefire", "old", "Completed", 8*day)
	f.request("shop", "old", "Failed", 8*day)
	f.request("shop", "young", "Failed", day)
	require.NoError(t, f.prune(t))
	require.Equal(t, []string{"shop/young"}, f.left("remediationrequests"))
}

func TestTheTimeIsTheAPIServers(t *testing.T) {
	f := fix(t, Options{}, nil)
	f.request("onefire", "old", "Completed", 8*day)
	f.letter("dead-letter-1", 31*day)
	f.meet = func(string, string) {}
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(-2*day).UTC().Format(http.TimeFormat))
		f.kube.ServeHTTP(w, r)
	})
	f.Server.Config.Handler = server
	require.NoError(t, f.prune(t))
	require.Len(t, f.left("remediationrequests"), 1, "it is six days old there")
	require.Len(t, f.left("configmaps"), 1)
}

func TestSomebodyElseIsFaster(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"LOG_LEVEL": "debug"})
	f.request("onefire", "a-changed", "Completed", 8*day)
	f.request("onefire", "b-gone", "Completed", 8*day)
	f.request("onefire", "c-again", "Completed", 8*day)
	f.request("onefire", "d-old", "Completed", 8*day)
	f.letter("dead-letter-1", 31*day)
	done := map[string]bool{}
	f.meet = func(verb, path string) {
		if verb != "delete" || done[path] {
			return
		}
		done[path] = true
		f.mu.Lock()
		o := f.objects[path]
		f.mu.Unlock()
		switch {
		case strings.HasSuffix(path, "a-changed"):
			f.put(requestsAPI, "onefire", "remediationrequests", "a-changed", o) // The same object in another revision.
		case strings.HasSuffix(path, "b-gone"):
			f.mu.Lock()
			delete(f.objects, path)
			f.mu.Unlock()
		case strings.HasSuffix(path, "c-again"), strings.HasSuffix(path, "dead-letter-1"): // Deleted, and made again under its name.
			delete(o["metadata"].(map[string]any), "uid")
			parts := strings.Split(path, "/")
			f.put(strings.Join(parts[:len(parts)-4], "/"), "onefire", parts[len(parts)-2], parts[len(parts)-1], o)
		}
	}
	require.NoError(t, f.prune(t), "none of it is an error")
	require.Equal(t, []string{"onefire/a-changed", "onefire/c-again"}, f.left("remediationrequests"))
	require.Len(t, f.left("configmaps"), 1)
	f.requireSummary(t, "prune finished", counts{read: 4, deleted: 1, gone: 1, changed: 2}, counts{read: 1, changed: 1})
	require.Len(t, f.said(t, "request changed meanwhile: it stays"), 2)
	require.Len(t, f.said(t, "request is gone already"), 1)
}

// many puts requests that are old, and n-1 that are not before each.
func (f *fixture) many(olds, n int) {
	for i := range olds * n {
		f.request("onefire", fmt.Sprintf("rr-%05d", i), "Completed", map[bool]time.Duration{true: 8 * day, false: 6 * day}[i%n == n-1])
	}
}

func TestPagesAreReadToTheEnd(t *testing.T) {
	f := fix(t, Options{}, nil)
	f.many(11, 100)
	require.NoError(t, f.prune(t))
	require.Len(t, f.left("remediationrequests"), 11*99)
	require.Equal(t, []string{"500", "500", "500", "500"}, f.limits, "one of dead letters, three of requests")
	f.requireSummary(t, "prune finished", counts{read: 1100, deleted: 11}, counts{})
}

func TestAStateThatTheAPIServerNoLongerHasBeginsAgain(t *testing.T) {
	for _, dry := range []bool{false, true} {
		f := fix(t, Options{DryRun: dry}, nil)
		f.many(11, 100)
		lists := 0
		f.meet = func(verb, path string) {
			if verb != "list" || !strings.HasSuffix(path, "remediationrequests") {
				return
			}
			// The second page, and the third one of the second reading.
			if lists++; lists == 2 || lists == 5 {
				f.fail("list", fault{status: http.StatusGone, reason: metav1.StatusReasonExpired})
			}
		}
		require.NoError(t, f.prune(t))
		verb := map[bool]string{false: "deleted", true: "would be deleted"}[dry]
		require.Len(t, f.said(t, "request "+verb), 11, "each once")
		require.Equal(t, 8, lists)
	}
}

func TestAStateThatIsNeverThereEndsTheRun(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	for i := range pageSize + 1 {
		f.request("onefire", fmt.Sprintf("rr-%05d", i), "Completed", day)
	}
	first := true
	f.meet = func(string, string) {
		if !first {
			f.fail("list", fault{status: http.StatusGone, reason: metav1.StatusReasonExpired})
		}
		first = !first
	}
	require.ErrorContains(t, f.prune(t), "reading requests")
	require.Equal(t, 2*(maxRestarts+1), f.count("list"))
}

func TestAPageThatIsTooLargeIsReadInHalves(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.padding = 500_000
	f.many(40, 1) // 20 MB of 8 MiB at most.
	require.NoError(t, f.prune(t))
	require.Empty(t, f.left("remediationrequests"))
	require.Equal(t, []string{"500", "250", "125", "62", "31", "15", "15", "15"}, f.limits)
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	for name, row := range map[string]struct {
		verb   string
		faults []fault
		waits  []time.Duration
		ok     bool
	}{
		"a List is refused for now":           {"list", []fault{{status: 429, retryAfter: "7"}}, []time.Duration{7 * time.Second}, true},
		"and again":                           {"list", []fault{{status: 503}, {status: 500}}, []time.Duration{time.Second, 2 * time.Second}, true},
		"it asks for an hour":                 {"list", []fault{{status: 503, retryAfter: "3600"}}, []time.Duration{maxPause}, true},
		"no answer":                           {"list", []fault{{}}, []time.Duration{time.Second}, true},
		"a delete is refused for now":         {"delete", []fault{{status: 429, retryAfter: "3"}, {status: 502}}, []time.Duration{3 * time.Second, 2 * time.Second}, true},
		"a delete without an answer":          {"delete", []fault{{}}, []time.Duration{time.Second}, true},
		"a delete whose answer is lost":       {"delete", []fault{{after: true}}, []time.Duration{time.Second}, true},
		"a List that is never answered":       {"list", slices.Repeat([]fault{{status: 503}}, maxTries), []time.Duration{1e9, 2e9, 4e9, 8e9}, false},
		"a delete that is never answered":     {"delete", []fault{{}, {}, {status: 503}, {}, {}}, []time.Duration{1e9, 2e9, 4e9, 8e9}, false},
		"a List that is forbidden":            {"list", []fault{{status: 403, reason: metav1.StatusReasonForbidden}}, nil, false},
		"a delete that is forbidden":          {"delete", []fault{{status: 403, reason: metav1.StatusReasonForbidden}}, nil, false},
		"a first page that is gone, never so": {"list", []fault{{status: 410, reason: metav1.StatusReasonExpired}}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
			f.many(1, 1)
			f.fail(row.verb, row.faults...)
			err := f.prune(t)
			require.Equal(t, row.waits, f.waits)
			if row.ok {
				require.NoError(t, err)
				require.Empty(t, f.left("remediationrequests"))
				require.Len(t, f.said(t, "request deleted"), 1, "and it is said")
				return
			}
			require.Error(t, err)
			require.Len(t, f.left("remediationrequests"), 1)
			last := lines(t, f.logged.String())
			require.Equal(t, "ERROR", last[len(last)-1]["level"])
			require.Equal(t, "prune failed: the next run goes on", last[len(last)-1]["msg"])
		})
	}
}

func TestOneThatCannotBeDeletedDoesNotKeepTheOthers(t *testing.T) {
	f := fix(t, Options{}, nil)
	f.many(3, 1)
	f.letter("dead-letter-1", 31*day)
	forbidden := fault{status: 403, reason: metav1.StatusReasonForbidden}
	f.fail("delete", forbidden, forbidden)
	require.EqualError(t, f.prune(t), "2 could not be deleted: the log says why")
	require.Equal(t, []string{"onefire/rr-00000"}, f.left("remediationrequests"))
	require.Len(t, f.left("configmaps"), 1)
	f.requireSummary(t, "prune failed: the next run goes on", counts{read: 3, deleted: 2, failed: 1}, counts{read: 1, failed: 1})
	require.Equal(t, "as the test wants it", f.said(t, "request could not be deleted")[0]["error"])
}

func TestManyThatCannotBeDeletedEndTheRun(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(2*maxFailures, 1)
	for range maxFailures {
		f.fail("delete", fault{status: 403, reason: metav1.StatusReasonForbidden})
	}
	require.ErrorContains(t, f.prune(t), "deleting requests: 5 failed in a row")
	require.Equal(t, maxFailures, f.count("delete"))
}

func TestFailuresThatAreNotInARowDoNotEndTheRun(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(2*maxFailures, 1)
	f.meet = func(verb, _ string) {
		if verb == "delete" && f.count("delete")%2 == 0 {
			f.fail("delete", fault{status: 403, reason: metav1.StatusReasonForbidden})
		}
	}
	require.EqualError(t, f.prune(t), fmt.Sprintf("%d could not be deleted: the log says why", maxFailures))
	require.Len(t, f.left("remediationrequests"), maxFailures)
}

// A kind that cannot be read does not keep the other.
func TestWithoutRightsOnConfigMapsRequestsArePruned(t *testing.T) {
	f := fix(t, Options{}, nil)
	f.many(1, 1)
	f.fail("list", fault{status: 403, reason: metav1.StatusReasonForbidden})
	require.ErrorContains(t, f.prune(t), "reading dead_letters")
	require.Empty(t, f.left("remediationrequests"))
}

func TestARunThatIsEndedStops(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(9, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.meet = func(verb, _ string) {
		if verb == "delete" && f.count("delete") == 3 {
			cancel()
		}
	}
	require.ErrorIs(t, f.run(ctx, f.kube.config(t), f.config), context.Canceled)
	require.GreaterOrEqual(t, len(f.left("remediationrequests")), 5)
}

// shelves of these tests make no calls, so time can be the test's own.
func TestCallsAreBoundedInRateAndARunInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		r := newRunner(config.Prune{}, Options{Log: &log, Notes: &bytes.Buffer{}})
		var all page
		for i := range 100_000 {
			all.old = append(all.old, old{key: fmt.Sprintf("%09d", i), delete: func(context.Context) error { return nil }})
		}
		ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
		defer cancel()
		began := time.Now()
		did, err := r.sweep(ctx, shelf{name: "requests", page: func(context.Context, int, string) (page, error) { return all, nil }})
		require.ErrorIs(t, err, errLate)
		require.InDelta(t, runTimeout.Seconds()*callsPerSecond, did.deleted, 2)
		require.LessOrEqual(t, time.Since(began), runTimeout)
	})
}

func TestARunThatIsLateIsNoFailure(t *testing.T) {
	f := fix(t, Options{}, map[string]string{"DEAD_LETTER_TTL": "0"})
	f.many(1, 1)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	require.NoError(t, f.run(ctx, f.kube.config(t), f.config))
	require.Len(t, f.said(t, "prune stopped after 50m0s: the next run goes on"), 1)
}

func TestACallThatHangsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRunner(config.Prune{}, Options{Log: &bytes.Buffer{}, Notes: &bytes.Buffer{}})
		began := time.Now()
		_, tries, err := try(t.Context(), r, func(ctx context.Context) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		require.True(t, errors.Is(err, context.DeadlineExceeded))
		require.Equal(t, maxTries, tries)
		require.Equal(t, maxTries*callTimeout+15*time.Second, time.Since(began).Round(time.Second))
	})
}

func TestTheProgressIsForATerminal(t *testing.T) {
	var screen bytes.Buffer
	p := newProgress(&screen)
	p.say("dead_letters", counts{read: 500, deleted: 7}, false)
	p.end()
	require.Empty(t, screen.String(), "it is none")
	p.w = &screen
	p.say("dead_letters", counts{read: 500, deleted: 7}, false)
	p.say("dead_letters", counts{read: 501, deleted: 7}, false)
	p.end()
	p.end()
	require.Equal(t, "\ronefire: dead letters: 500 read, 7 deleted\x1b[K\r\x1b[K", screen.String())
}
