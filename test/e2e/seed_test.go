package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
	"onefire/test/client"
)

// The four failures of the gateway that Onefire replaces, under their names.

// DD-AUDIT-003: a warning arrives in DataStorage as high.
func TestDDAudit003SignalReceivedIsAudited(t *testing.T) {
	t.Parallel()
	for _, schema := range []mapping.Schema{mapping.Schema202601, mapping.Schema202608} {
		t.Run(string(schema), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, schema)
			f := w.start()
			require.Equal(t, http.StatusOK, w.post(f, "1", webhook(alert("firing", "alertname=AuditTestAlert", "namespace=payments", "pod=api-0", "severity=warning"))))

			received := w.audit(mapping.SignalReceived)
			require.Len(t, received, 1)
			e := received[0]
			require.Equal(t, "1.0", e.Version)
			require.Equal(t, mapping.High, e.Data.Severity)
			require.Equal(t, mapping.High, e.Severity)
			require.Equal(t, string(mapping.New), e.Data.DeduplicationStatus)
			require.Len(t, e.ResourceID, 64)
			require.Equal(t, e.Data.Fingerprint, e.ResourceID)
			o := w.only()
			require.Equal(t, o.GetName(), e.CorrelationID)
			require.Equal(t, "high", field(o, "spec", "severity"))
			require.Equal(t, e.ResourceID, field(o, "spec", "signalFingerprint"))
			require.Len(t, w.audit(mapping.RequestCreated), 1)
		})
	}
}

// DD-GATEWAY-009: any phase that is not terminal makes a duplicate and counts.
func TestDDGateway009StateBasedDeduplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202601)
	f := w.start()
	for i, phase := range []string{"", "Pending", "Processing", "Analyzing", "AwaitingApproval", "Executing", "Verifying", "Blocked", "SomethingNew"} {
		t.Run("phase "+phase, func(t *testing.T) {
			w := *w
			w.t = t
			name, pod := fmt.Sprintf("Phase%d", i), "api-0"
			require.Equal(t, http.StatusOK, w.post(f, "first-"+name, webhook(firing(name, pod))))
			request := w.latest(mapping.SignalReceived, name).CorrelationID
			if phase != "" {
				w.setStatus(request, map[string]any{"overallPhase": phase})
			}
			require.Equal(t, http.StatusOK, w.post(f, "again-"+name, webhook(firing(name, pod))))
			last := w.latest(mapping.SignalDeduplicated, name)
			require.Len(t, w.audit(mapping.SignalDeduplicated), i+1)
			require.Equal(t, request, last.CorrelationID)
			require.Equal(t, string(mapping.Duplicate), last.Data.DeduplicationStatus)
			require.EqualValues(t, 2, last.Data.OccurrenceCount)
			require.Len(t, w.list(), i+1)
		})
	}
}

// latest is the only audit event of a type about alerts of a name.
func (w *world) latest(eventType, alertname string) client.AuditEvent {
	w.t.Helper()
	all := slices.DeleteFunc(w.audit(eventType), func(e client.AuditEvent) bool { return e.Data.AlertName != alertname })
	require.Len(w.t, all, 1)
	return all[0]
}

// GW-DEDUP-002: five concurrent first alerts made five objects.
func TestGWDedup002ConcurrentRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202601)
	f := w.start()
	var posts sync.WaitGroup
	for i := range 5 {
		posts.Go(func() { require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint(i), webhook(firing("Race", "api-0")))) })
	}
	posts.Wait()
	require.EqualValues(t, 5, count(w.only()))
}

// Beyond the seed: 20 fingerprints with 10 first alerts each, 4 ms apart,
// through three processes at once.
func TestConcurrentFirstAlertsThroughThreeProcesses(t *testing.T) {
	t.Parallel()
	const fingerprints, alerts = 20, 10
	w := newWorld(t, mapping.Schema202601)
	functions := []*fn{w.start(), w.start(), w.start()}
	var posts sync.WaitGroup
	tick := time.NewTicker(4 * time.Millisecond)
	defer tick.Stop()
	for i := range alerts {
		for p := range fingerprints {
			f := functions[(i+p)%len(functions)]
			posts.Go(func() {
				require.Equal(t, http.StatusOK, w.post(f, fmt.Sprintf("%d-%d", p, i), webhook(firing("Storm", fmt.Sprintf("api-%d", p)))))
			})
		}
		<-tick.C
	}
	posts.Wait()

	all := w.list()
	require.Len(t, all, fingerprints)
	for _, o := range all {
		require.EqualValues(t, alerts, count(&o), o.GetName())
		require.True(t, strings.HasPrefix(o.GetName(), "rr-"))
	}
	require.Len(t, w.audit(mapping.SignalReceived), fingerprints)
	require.Len(t, w.audit(mapping.RequestCreated), fingerprints)
	require.Len(t, w.audit(mapping.SignalDeduplicated), fingerprints*(alerts-1))
	w.requireUniqueAudit()
	requireEachCountOnce(t, w)
}

// requireEachCountOnce asks that the duplicates of each object were told the
// counts 2, 3, 4 … each once.
func requireEachCountOnce(t *testing.T, w *world) {
	t.Helper()
	told := map[string]map[int32]bool{}
	for _, e := range w.audit(mapping.SignalDeduplicated) {
		if told[e.CorrelationID] == nil {
			told[e.CorrelationID] = map[int32]bool{}
		}
		require.False(t, told[e.CorrelationID][e.Data.OccurrenceCount], "%s was told %d twice", e.CorrelationID, e.Data.OccurrenceCount)
		told[e.CorrelationID][e.Data.OccurrenceCount] = true
	}
	for _, o := range w.list() {
		require.Len(t, told[o.GetName()], int(count(&o))-1)
	}
}
