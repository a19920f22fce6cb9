package cmd

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"onefire/config"
	"onefire/function/deadletters"
	"onefire/mapping"
)

const day = 24 * time.Hour

func beforeStart(d time.Duration) string { return start.Add(-d).UTC().Format(time.RFC3339) }

// fixture is a run against an API server of its own.
type fixture struct {
	*fakeServer
	*pruner
	config config.Prune
	logged bytes.Buffer
	// waits are the pauses that the run made.
	waits []time.Duration
}

func fix(t *testing.T, o PruneOptions, environment map[string]string) *fixture {
	t.Helper()
	all := map[string]string{"REMEDIATION_NAMESPACE": "onefire", "POD_NAMESPACE": "onefire"}
	for name, value := range environment {
		all[name] = value
	}
	c, err := config.LoadPrune(all)
	require.NoError(t, err)
	f := &fixture{fakeServer: startFakeServer(t), config: c}
	o.Log, o.Notes = &f.logged, &bytes.Buffer{}
	f.pruner = newPruner(c, o)
	f.rate = rate.NewLimiter(rate.Inf, 1)
	f.pause = func(ctx context.Context, d time.Duration) error {
		f.waits = append(f.waits, d)
		return ctx.Err()
	}
	return f
}

func (f *fixture) prune(t *testing.T) error {
	t.Helper()
	return f.run(t.Context(), f.fakeServer.config(t), f.config)
}

// request puts a RemediationRequest that ended so long ago; phase and more are what
// else it says.
func (f *fixture) request(namespace, name, phase string, ended time.Duration, more ...any) {
	status := map[string]any{"overallPhase": phase, "completedAt": beforeStart(ended)}
	for i := 0; i < len(more); i += 2 {
		status[more[i].(string)] = more[i+1]
	}
	f.put(requestsAPI, namespace, "remediationrequests", name, map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"app.kubernetes.io/managed-by": "onefire"}, "creationTimestamp": beforeStart(365 * day)},
		"spec":     map[string]any{"signalFingerprint": strings.Repeat("a", 64)}, "status": status,
	})
}

// letter puts a dead letter that was kept so long ago.
func (f *fixture) letter(name string, kept time.Duration) {
	f.put(lettersAPI, "onefire", "configmaps", name, map[string]any{
		"metadata": map[string]any{
			"labels":            map[string]any{"app.kubernetes.io/managed-by": "onefire-deadletters", "onefire/dead-letter": "true", "onefire/alertname": "DiskFull", "onefire/severity": "critical", "onefire/event-type": "io.prometheus.alert.v1"},
			"annotations":       map[string]any{"onefire/event-id": "7", "onefire/event-source": "urn:onefire:alertmanager:default", "onefire/error": "400: no alerts in it"},
			"creationTimestamp": beforeStart(kept),
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
	f := fix(t, PruneOptions{}, nil)
	f.request("onefire", "old", "Completed", 8*day)
	f.request("onefire", "young", "Completed", 6*day)
	f.request("onefire", "active", "Executing", 8*day)
	f.request("onefire", "review", "Completed", 8*day, "outcome", "ManualReviewRequired")
	f.request("onefire", "quiet", "Failed", 8*day, "nextAllowedExecution", beforeStart(-time.Hour))
	f.request("shop", "elsewhere", "Completed", 8*day)
	f.put(requestsAPI, "onefire", "remediationrequests", "foreign", map[string]any{
		"metadata": map[string]any{"creationTimestamp": beforeStart(365 * day)}, "status": map[string]any{"overallPhase": "Completed"},
	})
	f.letter("dead-letter-1", 31*day)
	f.letter("dead-letter-2", 29*day)
	f.letter("dead-letter-3", 31*day)
	f.put(lettersAPI, "onefire", "configmaps", "kube-root-ca.crt", map[string]any{"metadata": map[string]any{"creationTimestamp": beforeStart(365 * day)}})

	require.NoError(t, f.prune(t))
	require.Equal(t, []string{"onefire/active", "onefire/foreign", "onefire/quiet", "onefire/review", "onefire/young", "shop/elsewhere"}, f.left("remediationrequests"))
	require.Equal(t, []string{"onefire/dead-letter-2", "onefire/kube-root-ca.crt"}, f.left("configmaps"))

	gone := f.said(t, "request deleted")
	require.Len(t, gone, 1)
	require.Subset(t, gone[0], map[string]any{
		"level": "INFO", "namespace": "onefire", "name": "old", "fingerprint": strings.Repeat("a", 64), "phase": "Completed", "age": "192h0m0s",
	})
	require.Equal(t, beforeStart(8*day), gone[0]["ended"])
	letters := f.said(t, "dead letter deleted")
	require.Len(t, letters, 2)
	require.Subset(t, letters[0], map[string]any{
		"level": "WARN", "namespace": "onefire", "name": "dead-letter-1", "id": "7", "source": "urn:onefire:alertmanager:default",
		"type": "io.prometheus.alert.v1", "alertname": "DiskFull", "severity": "critical", "why": "400: no alerts in it",
	})
	require.Contains(t, letters[0]["age"], "744h0m")
	f.requireSummary(t, "prune finished", pruneCounts{read: 5, deleted: 1}, pruneCounts{read: 3, deleted: 2})
}

// requireSummary asks for the last line of the log.
func (f *fixture) requireSummary(t *testing.T, message string, requests, letters pruneCounts) {
	t.Helper()
	all := lines(t, f.logged.String())
	last := all[len(all)-1]
	require.Equal(t, message, last["msg"])
	require.Regexp(t, `^[0-9.]+m?s$`, last["took"])
	for name, want := range map[string]pruneCounts{"requests": requests, "dead_letters": letters} {
		require.Equal(t, map[string]any{
			"read": float64(want.read), "deleted": float64(want.deleted), "gone": float64(want.gone), "changed": float64(want.changed), "failed": float64(want.failed),
		}, last[name], name)
	}
}

func TestADryRunDeletesNothing(t *testing.T) {
	f := fix(t, PruneOptions{DryRun: true}, nil)
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
			f := fix(t, PruneOptions{}, row.environment)
			require.NoError(t, f.prune(t))
			require.Equal(t, row.calls, f.calls)
		})
	}
}

func TestEveryNamespaceIsPrunedWithPlacementSignal(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"REMEDIATION_PLACEMENT": "signal"})
	f.request("onefire", "old", "Completed", 8*day)
	f.request("shop", "old", "Failed", 8*day)
	f.request("shop", "young", "Failed", day)
	require.NoError(t, f.prune(t))
	require.Equal(t, []string{"shop/young"}, f.left("remediationrequests"))
}

func TestTheTimeIsTheAPIServers(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	f.request("onefire", "old", "Completed", 8*day)
	f.letter("dead-letter-1", 31*day)
	f.date = start.Add(-2 * day)
	require.NoError(t, f.prune(t))
	require.Len(t, f.left("remediationrequests"), 1, "it is six days old there")
	require.Len(t, f.left("configmaps"), 1)
}

func TestWithoutTheAPIServersTimeOnesOwnCounts(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"TTL": "0"})
	f.date = time.Time{}
	f.letter("dead-letter-1", 31*day)
	f.letter("dead-letter-2", 29*day)
	require.NoError(t, f.prune(t))
	require.Equal(t, []string{"onefire/dead-letter-2"}, f.left("configmaps"))
}

func TestADeadLetterStaysUntilItsTimeHasPassed(t *testing.T) {
	f := fix(t, PruneOptions{}, nil)
	f.letter("dead-letter-1", 30*day)
	f.letter("dead-letter-2", 30*day+time.Second)
	kept, err := deadletters.OpenLetters(f.fakeServer.config(t), "onefire")
	require.NoError(t, err)
	p, err := pagesOfLetters(kept, func() time.Time { return start }, 30*day)(t.Context(), 10, "")
	require.NoError(t, err)
	require.Len(t, p.old, 1)
	require.Equal(t, "onefire/dead-letter-2", p.old[0].key)
}

func TestDeadLettersAreReadToTheEnd(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"TTL": "0"})
	for i := range prunePage {
		f.letter(fmt.Sprintf("dead-letter-%03d", i), day)
	}
	f.letter("dead-letter-old", 31*day)
	require.NoError(t, f.prune(t))
	require.Len(t, f.left("configmaps"), prunePage)
	require.Len(t, f.said(t, "dead letter deleted"), 1)
}

func TestSomebodyElseIsFaster(t *testing.T) {
	f := fix(t, PruneOptions{}, map[string]string{"LOG_LEVEL": "debug"})
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
			// The same object in another revision.
			f.put(requestsAPI, "onefire", "remediationrequests", "a-changed", o)
		case strings.HasSuffix(path, "b-gone"):
			f.mu.Lock()
			delete(f.objects, path)
			f.mu.Unlock()
		// Deleted, and made again under its name.
		case strings.HasSuffix(path, "c-again"), strings.HasSuffix(path, "dead-letter-1"):
			delete(o["metadata"].(map[string]any), "uid")
			parts := strings.Split(path, "/")
			f.put(strings.Join(parts[:len(parts)-4], "/"), "onefire", parts[len(parts)-2], parts[len(parts)-1], o)
		}
	}
	require.NoError(t, f.prune(t), "none of it is an error")
	require.Equal(t, []string{"onefire/a-changed", "onefire/c-again"}, f.left("remediationrequests"))
	require.Len(t, f.left("configmaps"), 1)
	f.requireSummary(t, "prune finished", pruneCounts{read: 4, deleted: 1, gone: 1, changed: 2}, pruneCounts{read: 1, changed: 1})
	require.Len(t, f.said(t, "request changed meanwhile: it stays"), 2)
	require.Len(t, f.said(t, "request is gone already"), 1)
	for _, message := range []string{"request changed meanwhile: it stays", "request is gone already"} {
		require.Equal(t, "DEBUG", f.said(t, message)[0]["level"])
	}
}
