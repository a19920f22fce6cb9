package e2e

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// letters counts the dead letters, by what is selected.
func (w *world) letters(selector string) int {
	w.t.Helper()
	return strings.Count(w.kubectl("-n", namespace, "get", "configmaps", "-l", "onefire/dead-letter=true"+selector, "-o", "name"), "configmap/")
}

func TestDeadLettersAreKeptAndReplayed(t *testing.T) {
	w := newWorld(t)
	w.kubectl("-n", namespace, "delete", "configmaps", "-l", "onefire/dead-letter=true")

	status, err := post(t.Context(), fresh("poison"), []byte(`{"this is": "no alert"}`))
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status, "the Broker took it, and kept it")
	require.Eventually(t, func() bool { return w.letters(",onefire/error-code=400") == 1 }, settled, look)

	// The store also keeps an event that fails until the retries end, here because
	// the function has no rights. While no pod is ready each try waits for the
	// whole timeout, so they are made few and short.
	w.setDelivery(map[string]any{"retry": 1, "timeout": "PT10S"})
	binding := w.kubectl("-n", namespace, "get", "rolebinding", "onefire", "-o", "yaml")
	kube, _ := w.as("onefire")
	creates := func() bool { return slices.Contains(w.grants(kube), "create remediationrequests") }
	restore := func() {
		apply := exec.CommandContext(t.Context(), w.p.Bin("kubectl"), "apply", "-f", "-")
		apply.Stdin = strings.NewReader(strings.Join(withoutLines(binding, "uid:", "resourceVersion:", "creationTimestamp:"), "\n"))
		out, err := apply.CombinedOutput()
		require.NoError(t, err, string(out))
		require.Eventually(t, creates, settled, look, "the API server gives no rights")
	}
	w.kubectl("-n", namespace, "delete", "rolebinding", "onefire")
	defer func() {
		if t.Failed() {
			restore()
		}
	}()
	require.Eventually(t, func() bool { return !creates() }, settled, look, "the API server takes no rights away")
	name := fresh("Letter")
	begin := time.Now()
	status, err = post(t.Context(), name, body(name, "api"))
	require.NoError(t, err)
	t.Logf("the Broker answered %d after %.0f s of retries", status, time.Since(begin).Seconds())
	require.Eventually(t, func() bool { return w.letters(",onefire/alertname="+name) == 1 || w.letters("") == 2 }, settled, look)
	require.Empty(t, w.named(name))
	restore()

	w.kubectl("-n", namespace, "create", "job", strings.ToLower(fresh("replay-")), "--from=cronjob/onefire-replay")
	w.settles(name, map[string]int{"api": 1})
	require.Eventually(t, func() bool { return w.letters("") == 1 }, settled, look, "what was taken is deleted, what can never be taken stays")
	require.Equal(t, 1, w.letters(",onefire/error-code=400"))
}

func ready(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

func withoutLines(text string, beginnings ...string) (kept []string) {
	for line := range strings.Lines(text) {
		drop := false
		for _, beginning := range beginnings {
			drop = drop || strings.HasPrefix(strings.TrimSpace(line), beginning)
		}
		if !drop {
			kept = append(kept, strings.TrimSuffix(line, "\n"))
		}
	}
	return kept
}

func TestAPodThatEndsFinishesWhatItHasBegun(t *testing.T) {
	w := newWorld(t)
	warm := fresh("Warm")
	status, err := post(t.Context(), warm, body(warm, "api"))
	require.NoError(t, err)
	require.Equal(t, http.StatusAccepted, status)
	w.settles(warm, map[string]int{"api": 1})
	// Without DataStorage no pod becomes ready.
	var pod string
	require.Eventually(t, func() bool {
		pods := w.pods()
		if len(pods) != 1 || !ready(pods[0]) {
			return false
		}
		pod = pods[0].Name
		return true
	}, zero, look)
	var log strings.Builder
	follow := exec.CommandContext(t.Context(), w.p.Bin("kubectl"), "-n", namespace, "logs", "-f", pod, "-c", "onefire")
	follow.Stdout = &log
	require.NoError(t, follow.Start())

	// The event is under way for as long as DataStorage does not answer.
	require.Equal(t, 1, w.signal(datastorageProgram, syscall.SIGSTOP))
	t.Cleanup(func() { w.signal(datastorageProgram, syscall.SIGCONT) })
	name := fresh("Drain")
	answer := make(chan int, 1)
	go func() {
		status, _ := post(t.Context(), name, body(name, "api"))
		answer <- status
	}()
	require.Eventually(t, func() bool { return len(w.named(name)) == 1 }, settled, look)
	w.kubectl("-n", namespace, "delete", "pod", pod, "--wait=false")
	pass(t, 3*time.Second)
	require.Empty(t, answer)
	w.signal(datastorageProgram, syscall.SIGCONT)
	select {
	case status := <-answer:
		require.Equal(t, http.StatusAccepted, status)
	case <-time.After(settled):
		require.FailNow(t, "no answer")
	}
	_ = follow.Wait() // It ends with the pod.
	require.Contains(t, log.String(), name, "the pod that was told to end has settled the event itself")
	w.settles(name, map[string]int{"api": 1})
}
