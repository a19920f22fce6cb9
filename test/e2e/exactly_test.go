package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
	"onefire/test/child"
	"onefire/test/client"
	"onefire/test/datastorage"
	"onefire/test/kubefault"
)

func TestTheSameEventTenTimesHasOneEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start("REPLY=summary")
	body := webhook(firing("Again", "api-0"), firing("Again", "api-1"))
	var answers []string
	for range 10 {
		status, answer, err := client.Post(t.Context(), f.url, "1", []byte(body))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		answers = append(answers, answer)
	}
	for _, a := range answers {
		require.Equal(t, answers[0], a)
	}
	require.Len(t, w.list(), 2)
	for _, o := range w.list() {
		require.EqualValues(t, 1, count(&o))
	}
	require.Len(t, w.audit(""), 4, "two for each, whatever the number of deliveries")
	w.requireUniqueAudit()
}

func TestOneEventWith200AlertsOf150Fingerprints(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	var alerts []string
	for i := range 200 {
		pod, container := i%150, i/150
		alerts = append(alerts, alert("firing", "alertname=Many", "namespace=payments", fmt.Sprintf("pod=api-%d", pod), fmt.Sprintf("container=c%d", container)))
	}
	for range 2 {
		require.Equal(t, http.StatusOK, w.post(f, "1", webhook(alerts...)))
		all := w.list()
		require.Len(t, all, 150)
		total := int64(0)
		for _, o := range all {
			total += count(&o)
		}
		require.EqualValues(t, 200, total)
		require.Len(t, w.audit(mapping.SignalReceived), 150)
		require.Len(t, w.audit(mapping.SignalDeduplicated), 50)
	}
	w.requireUniqueAudit()
}

func TestDataStorageDown(t *testing.T) {
	t.Parallel()
	faults := map[string]datastorage.Fault{
		"it refuses":                        {Refuse: true},
		"it answers 503":                    {Status: 503},
		"it stores and drops its answer":    {DropAnswer: true},
		"it asks for more time than it has": {Status: 429, RetryAfter: "60"},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mapping.Schema202608)
			f := w.start()
			w.data.Inject(fault)
			body := webhook(firing("Down", "api-0"), firing("Down", "api-1"))
			first := w.post(f, "1", body)
			if fault.DropAnswer {
				require.Equal(t, http.StatusOK, first, "it says that it has them")
			} else {
				require.Equal(t, http.StatusServiceUnavailable, first)
			}
			w.data.Heal()
			// A function that did not answer, or said 503, may still be at it for
			// the 40 s that a batch has.
			require.Eventually(t, func() bool { return w.post(f, "1", body) == http.StatusOK }, time.Minute, time.Second)
			require.Equal(t, http.StatusOK, w.post(f, "1", body))
			require.Len(t, w.list(), 2)
			for _, o := range w.list() {
				require.EqualValues(t, 1, count(&o))
			}
			require.Len(t, w.audit(mapping.SignalReceived), 2)
			require.Len(t, w.audit(mapping.RequestCreated), 2)
			require.Empty(t, w.audit(mapping.SignalDeduplicated))
			w.requireUniqueAudit()
		})
	}
}

func TestDataStorageRefusesOneEventForGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	metrics := child.AddressFor(t)
	f := w.start("METRICS_ADDRESS=" + metrics)
	w.data.Inject(datastorage.Fault{Status: 400, Match: func(b []byte) bool { return strings.Contains(string(b), "poison") }})
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Good", "api-0"), firing("Good", "poison"))))
	require.Len(t, w.audit(mapping.SignalReceived), 1)
	require.Len(t, asideIn(t, f.log.String()), 2)
	resp, err := http.Get("http://" + metrics + "/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `onefire_audit_events_total{result="set_aside"} 2`)
}

func TestTheKubernetesAPIDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	var cut atomic.Bool
	way := newFaulty(t, func(kubefault.Call) kubefault.Fault {
		if cut.Load() {
			return kubefault.Fault{Kind: kubefault.Reset}
		}
		return kubefault.Fault{}
	})
	f := w.start("KUBECONFIG=" + way.kubeconfig)
	body := webhook(firing("Cut", "api-0"), firing("Cut", "api-1"))

	cut.Store(true)
	require.Equal(t, http.StatusServiceUnavailable, w.post(f, "1", body))
	require.Empty(t, w.list())
	require.Empty(t, w.audit(""))
	// The answer of a probe before stands for two seconds.
	require.Eventually(t, func() bool { return status(t, f.url+"/health/readiness") == http.StatusServiceUnavailable }, patience, pollEvery)

	cut.Store(false)
	require.Equal(t, http.StatusOK, w.post(f, "1", body))
	require.Len(t, w.list(), 2)
	for _, o := range w.list() {
		require.EqualValues(t, 1, count(&o))
	}
	require.Len(t, w.audit(""), 4)
	require.Eventually(t, func() bool { return status(t, f.url+"/health/readiness") == http.StatusOK }, patience, pollEvery)
}

func TestABadAlertIsRecordedAndItsNeighboursAreSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	f := w.start()
	body := webhook(firing("Good", "api-0"), alert("firing", "namespace=payments", "pod=api-1"), `"nonsense"`)
	for range 2 {
		require.Equal(t, http.StatusOK, w.post(f, "1", body))
		require.Len(t, w.list(), 1)
		failed := w.audit(mapping.RequestFailed)
		require.Len(t, failed, 2)
		for _, e := range failed {
			require.NotEmpty(t, e.Data.ErrorDetails.Message)
			require.Equal(t, "ERR_INVALID_ALERT", e.Data.ErrorDetails.Code)
			require.False(t, e.Data.ErrorDetails.RetryPossible)
		}
	}
}

func status(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	resp.Body.Close()
	return resp.StatusCode
}
