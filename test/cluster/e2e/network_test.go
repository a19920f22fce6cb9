package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reach runs a pod in a namespace that tries addresses, and says which answered.
func (w *world) reach(from string, addresses ...string) map[string]string {
	w.t.Helper()
	pods := w.kube.CoreV1().Pods(from)
	ctx := w.t.Context()
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "probe-"},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{
			{Name: "probe", Image: "dev.local/probe:dev", Args: addresses}}},
	}, metav1.CreateOptions{})
	require.NoError(w.t, err)
	defer func() { _ = pods.Delete(ctx, pod.Name, metav1.DeleteOptions{}) }()
	require.Eventually(w.t, func() bool {
		now, err := pods.Get(ctx, pod.Name, metav1.GetOptions{})
		return err == nil && now.Status.Phase == corev1.PodSucceeded
	}, settled, look)
	answers := map[string]string{}
	for line := range strings.Lines(w.kubectl("-n", from, "logs", pod.Name)) {
		if address, answer, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			answers[address] = answer
		}
	}
	return answers
}

func TestAPodOfAnotherNamespaceReachesTheFunctionThroughTheGatewayOnly(t *testing.T) {
	w := newWorld(t)
	name := fresh("Network")
	status, err := post(t.Context(), name, body(name, "api"))
	require.NoError(t, err)
	require.Equal(t, 202, status)
	pods := w.pods()
	require.NotEmpty(t, pods)
	function := pods[0].Status.PodIP
	const (
		source      = "onefire-source.onefire.svc.cluster.local:80"
		letters     = "onefire-deadletters.onefire.svc.cluster.local:80"
		datastorage = "datastorage.kubernaut-system.svc.cluster.local:8080"
		prometheus  = "prometheus.monitoring.svc.cluster.local:9090"
		// No policy of ours guards the gateway, which hands requests to the activator.
		gateway = "onefire.onefire.svc.cluster.local:80"
	)
	direct, proxy, metrics := fmt.Sprint(function, ":8080"), fmt.Sprint(function, ":8012"), fmt.Sprint(function, ":9464")
	for from, want := range map[string]map[string]string{
		"default":         {source: "closed", letters: "closed", datastorage: "closed", direct: "closed", proxy: "closed", metrics: "closed", prometheus: "open", gateway: "open"},
		"monitoring":      {source: "open", letters: "closed", datastorage: "closed", direct: "closed", proxy: "closed", metrics: "open", prometheus: "open", gateway: "open"},
		"knative-serving": {source: "closed", letters: "closed", datastorage: "closed", direct: "closed", proxy: "open", metrics: "closed", prometheus: "open", gateway: "open"},
	} {
		var addresses []string
		for address := range want {
			addresses = append(addresses, address)
		}
		require.Equal(t, want, w.reach(from, addresses...), "from %s", from)
	}

	// Without OIDC the function takes what comes that way from anybody (SECURITY.md);
	// TestWhoeverSendsShowsWhoItIs is the same with OIDC, and there it is a 401.
	stranger := fresh("Stranger")
	status, _ = w.straight("", stranger, body(stranger, "api"))
	require.Equal(t, http.StatusOK, status)
	w.settles(stranger, map[string]int{"api": 1})
}
