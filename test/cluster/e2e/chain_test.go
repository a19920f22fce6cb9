package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/test/cluster/node"
)

// fires is what Prometheus scrapes: what is on fire, by its label.
type fires struct {
	mu     sync.Mutex
	values map[string]int
}

func (f *fires) set(pod string, value int) { f.put("pod", pod, value) }

func (f *fires) put(label, name string, value int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.values[fmt.Sprintf("%s=%q", label, name)] = value
}

func (f *fires) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for label, value := range f.values {
		fmt.Fprintf(w, "fire{namespace=\"shop\",%s} %d\n", label, value)
	}
}

func newFires(t *testing.T) *fires {
	t.Helper()
	f := &fires{values: map[string]int{}}
	listener, err := net.Listen("tcp", node.Address+":9999")
	require.NoError(t, err)
	server := &http.Server{Handler: f, ReadHeaderTimeout: ask}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return f
}

func TestAnAlertRuleBecomesOneObjectAndItsAuditEvents(t *testing.T) {
	w := newWorld(t)
	w.atZero()
	f := newFires(t)
	pod := fresh("api-")
	begin := time.Now()
	f.set(pod, 1)
	var payload struct{ StartsAt time.Time }
	require.Eventually(t, func() bool {
		for _, o := range w.named("Fire") {
			if text(o, "spec", "targetResource", "name") == pod {
				require.Equal(t, "high", text(o, "spec", "severity"))
				require.NoError(t, json.Unmarshal([]byte(text(o, "spec", "originalPayload")), &payload))
				return true
			}
		}
		return false
	}, settled, look)
	t.Logf("with the function at zero, an object %.1f s after its rule fired, %.1f s after the metric; 1 s of both is group_wait",
		time.Since(payload.StartsAt).Seconds(), time.Since(begin).Seconds())
	w.settlesFor("Fire", pod, 1)

	f.set(pod, 0)
	require.Eventually(t, func() bool {
		for _, o := range w.named("Fire") {
			if text(o, "spec", "targetResource", "name") == pod {
				return text(o, "status", "deduplication", "lastResolvedAt") != ""
			}
		}
		return false
	}, 8*time.Minute, look, "Alertmanager says so at the next group_interval, after 5 minutes")
	w.settlesFor("Fire", pod, 1)
}

func TestQuietMeansNoPods(t *testing.T) {
	w := newWorld(t)
	status, err := post(t.Context(), fresh("wake"), body(fresh("Wake"), "api"))
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status)
	begin := time.Now()
	require.NotEmpty(t, w.pods())
	w.atZero()
	t.Logf("no pods %.0f s after the last event", time.Since(begin).Seconds())
}

func TestAFunctionAtZeroAnswersSoon(t *testing.T) {
	w := newWorld(t)
	// Not to wait for a minute and a half each time.
	w.kubectl("-n", "knative-serving", "patch", "configmap", "config-autoscaler", "--type=merge", "-p", `{"data":{"stable-window":"6s","scale-to-zero-grace-period":"6s"}}`)
	t.Cleanup(func() {
		w.kubectl("-n", "knative-serving", "patch", "configmap", "config-autoscaler", "--type=merge", "-p", `{"data":{"stable-window":null,"scale-to-zero-grace-period":null}}`)
	})
	const rounds = 10
	var s sender
	name := fresh("Cold")
	for i := range rounds {
		w.atZero()
		ctx, cancel := context.WithTimeout(t.Context(), settled)
		require.NoError(t, s.send(ctx, fmt.Sprint(name, "-", i), body(name, "api")))
		cancel()
	}
	require.EqualValues(t, rounds, s.posts.Load(), "every event is taken the first time")
	slices.Sort(s.took)
	t.Logf("from zero pods to the Broker's answer, %d times: %d ms (p50), %d ms (longest)", rounds, s.took[rounds/2].Milliseconds(), s.took[rounds-1].Milliseconds())
	w.settles(name, map[string]int{"api": rounds})
}

func TestNoReplyComesBackAsAnEvent(t *testing.T) {
	w := newWorld(t)
	for _, reply := range []string{"none", "summary"} {
		w.setEnv("REPLY", reply)
		name := fresh("Reply" + reply)
		status, err := post(t.Context(), name, body(name, "api"))
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, status, reply)
		w.settles(name, map[string]int{"api": 1})
	}
}
