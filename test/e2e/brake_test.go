package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"onefire/mapping"
	"onefire/test/kubefault"
	"onefire/test/runbook"
)

// kubectl does what a command of docs/brake.md does to a ConfigMap, in this world's
// namespace.
func (w *world) kubectl(command string) {
	w.t.Helper()
	kube, err := dynamic.NewForConfig(kubeConfig)
	require.NoError(w.t, err)
	words := runbook.Words(command)
	require.Equal(w.t, []string{"kubectl", "-n", "onefire"}, words[:3])
	require.Equal(w.t, "configmap", words[4])
	all, name := kube.Resource(schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}).Namespace(w.namespace), words[5]
	switch words[3] {
	case "create":
		key, value, ok := strings.Cut(strings.TrimPrefix(words[6], "--from-literal="), "=")
		require.True(w.t, ok)
		_, err = all.Create(w.t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": map[string]any{key: value},
		}}, metav1.CreateOptions{})
	case "delete":
		err = all.Delete(w.t.Context(), name, metav1.DeleteOptions{})
	default:
		err = fmt.Errorf("no such command: %s", command)
	}
	require.NoError(w.t, err)
}

// counts are how many alerts each decision was made for, as a function's log says.
func counts(functions ...*fn) map[string]int {
	all := map[string]int{}
	for _, f := range functions {
		for line := range strings.Lines(f.log.String()) {
			if _, after, ok := strings.Cut(line, `"decision":"`); ok {
				decision, _, _ := strings.Cut(after, `"`)
				all[decision]++
			}
		}
	}
	return all
}

// From two seconds after the brake nothing is made, by either process, and nothing is
// missing when the alerts came again after it.
func TestTheBrakeStopsAStormAndLosesNothing(t *testing.T) {
	t.Parallel()
	const alerts = 500
	w := newWorld(t, mapping.Schema202608)
	functions := []*fn{w.start("POD_NAMESPACE=" + w.namespace), w.start("POD_NAMESPACE=" + w.namespace)}
	storm := func(round string, pace time.Duration, each func(i int)) {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		var posting sync.WaitGroup
		for i := range alerts {
			<-tick.C
			posting.Go(func() {
				require.Equal(t, http.StatusOK, w.post(functions[i%2], fmt.Sprint(round, i), webhook(firing("Storm", fmt.Sprint("pod-", i)))))
			})
			each(i)
		}
		posting.Wait()
	}
	var stopped time.Time
	made := 0
	storm("first", 15*time.Millisecond, func(i int) {
		switch {
		case i == alerts/5:
			w.kubectl(runbook.Stop)
			stopped = time.Now()
		case made == 0 && !stopped.IsZero() && time.Since(stopped) >= 2*time.Second:
			made = len(w.list())
		}
	})
	require.NotZero(t, made, "the storm went on for two seconds")
	require.Len(t, w.list(), made, "and nothing was made after those")
	decided := counts(functions...)
	require.Equal(t, map[string]int{"new": made, "paused": alerts - made}, decided)
	t.Logf("of %d alerts %d were paused; %d objects", alerts, decided["paused"], made)
	require.Contains(t, functions[0].log.String(), `"paused_because":"`+runbook.Reason+`"`)

	// An active object still counts, and ends.
	known := w.list()[0]
	pod := field(&known, "spec", "targetResource", "name")
	require.Equal(t, http.StatusOK, w.post(functions[0], "again", webhook(firing("Storm", pod))))
	require.Equal(t, http.StatusOK, w.post(functions[0], "over", webhook(strings.Replace(firing("Storm", pod), `"firing"`, `"resolved"`, 1))))
	now, err := w.objects.Get(t.Context(), known.GetName(), metav1.GetOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 2, count(now))
	require.NotEmpty(t, field(now, "status", "deduplication", "lastResolvedAt"))

	list := exec.CommandContext(t.Context(), functionBinary, "list")
	list.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "REMEDIATION_NAMESPACE="+w.namespace)
	said, err := list.CombinedOutput()
	require.NoError(t, err)
	require.Contains(t, string(said), "if the function runs in namespace "+w.namespace+", it makes no new requests: "+runbook.Reason)

	w.kubectl(runbook.Start)
	require.Eventually(t, func() bool {
		require.Equal(t, http.StatusOK, w.post(functions[0], fmt.Sprint("probe", time.Now()), webhook(firing("Probe", "probe"))))
		require.Equal(t, http.StatusOK, w.post(functions[1], fmt.Sprint("probe", time.Now()), webhook(firing("Probe", "probe"))))
		return len(w.list()) == made+1
	}, patience, pollEvery)
	storm("repeat", time.Millisecond, func(int) {})
	require.Len(t, w.list(), alerts+1)
	w.requireUniqueAudit()
	for _, f := range functions {
		w.stop(f) // It tells what waits.
	}
	told := w.told("reason=RemediationPaused")
	require.Len(t, told, 1, "one Event for one pause, whoever tells it")
	require.Contains(t, told[0].Object["note"], runbook.Reason)
	require.Equal(t, "onefire-brake", field(&told[0], "regarding", "name"))
}

// The brake fails in each way, on a process that never knew it and on one that does.
func TestABrakeThatFailsHoldsUpNobody(t *testing.T) {
	t.Parallel()
	for _, kind := range append(kubefault.Kinds(), kubefault.Hang) {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mapping.Schema202608)
			var mu sync.Mutex
			fails := false
			way := newFaulty(t, func(c kubefault.Call) kubefault.Fault {
				mu.Lock()
				defer mu.Unlock()
				if c.Verb == "brake" && fails {
					return kubefault.Fault{Kind: kind}
				}
				return kubefault.Fault{}
			})
			fail := func(on bool) {
				mu.Lock()
				defer mu.Unlock()
				fails = on
			}
			environment := []string{"POD_NAMESPACE=" + w.namespace, "KUBECONFIG=" + way.kubeconfig}
			knows := w.start(environment...)
			w.kubectl(runbook.Stop)
			tries := 0
			require.Eventually(t, func() bool {
				tries++
				name := fmt.Sprint("Known", tries) // Another each time: one that was made would be counted on.
				return w.post(knows, name, webhook(firing(name, "a"))) == http.StatusOK && counts(knows)["paused"] > 0
			}, patience, pollEvery)
			made := len(w.list()) // Before it knew, it may have made one.
			fail(true)
			settle := func(f *fn, name string) { // A connection that breaks takes the List with it.
				require.Eventually(t, func() bool { return w.post(f, name, webhook(firing(name, "b"))) == http.StatusOK }, patience, pollEvery)
			}
			settle(knows, "Still")
			require.Len(t, w.list(), made, "what is known holds")
			if kind == kubefault.Delay {
				return // That is no failure.
			}
			never := w.start(environment...)
			settle(never, "Never")
			require.Len(t, w.list(), made+1, "what never was known is off")
		})
	}
}
