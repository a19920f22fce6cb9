//go:build kube

package admission

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"onefire/function"
	"onefire/test/client"
	"onefire/test/wholekube"
)

// decide posts an alert about a pod of its own, and returns what became of it.
func decide(t *testing.T, url, pod string) string {
	t.Helper()
	body := `{"alerts":[{"status":"firing","labels":{"alertname":"A","namespace":"shop","pod":"` + pod + `"},"startsAt":"2026-01-17T11:00:00Z"}]}`
	status, answer, err := client.Post(t.Context(), url, pod, []byte(body))
	require.NoError(t, err)
	if status == http.StatusServiceUnavailable {
		return answer // A quota's use may not be known for a moment.
	}
	require.Equal(t, http.StatusOK, status, answer)
	var s function.Summary
	require.NoError(t, json.Unmarshal([]byte(answer), &s), answer)
	return string(s.Alerts[0].Decision)
}

// The function reads its brake with the rights of its Role, and takes a quota's refusal
// for what it is.
func TestABrakeAndAQuotaOnAWholeAPIServer(t *testing.T) {
	c := wholekube.Deploy(t, *binaries)
	_, url := c.Serve(wholekube.Function, map[string]string{"REPLY": "summary"})
	requests := c.Resource(wholekube.Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").Namespace(wholekube.Namespace)
	count := func() int {
		all, err := requests.List(t.Context(), metav1.ListOptions{})
		require.NoError(t, err)
		return len(all.Items)
	}
	probes := 0
	becomes := func(want string) { // Each about a pod of its own.
		require.Eventually(t, func() bool {
			probes++
			return decide(t, url, fmt.Sprint("probe-", probes)) == want
		}, wholekube.StartTimeout, wholekube.PollEvery, want)
	}
	becomes("new")

	c.Create("", "v1", "configmaps", wholekube.Namespace, []byte(`{apiVersion: v1, kind: ConfigMap, metadata: {name: onefire-brake}, data: {reason: ask Jane}}`))
	becomes("paused")
	made := count()
	for i := range 20 {
		require.Equal(t, "paused", decide(t, url, fmt.Sprint("p", i)))
	}
	require.Equal(t, made, count())
	require.NoError(t, c.Resource(wholekube.Admin, "", "v1", "configmaps").Namespace(wholekube.Namespace).Delete(t.Context(), "onefire-brake", metav1.DeleteOptions{}))
	becomes("new")

	const room = 3
	quotas := c.Resource(wholekube.Admin, "", "v1", "resourcequotas").Namespace(wholekube.Namespace)
	c.Create("", "v1", "resourcequotas", wholekube.Namespace, []byte(`{apiVersion: v1, kind: ResourceQuota, metadata: {name: onefire}, spec: {hard: {count/remediationrequests.kubernaut.ai: "0"}}}`))
	allow := func(n string) { // A controller would do that.
		q, err := quotas.Get(t.Context(), "onefire", metav1.GetOptions{})
		require.NoError(t, err)
		q.Object["status"] = map[string]any{"hard": map[string]any{"count/remediationrequests.kubernaut.ai": n}, "used": map[string]any{"count/remediationrequests.kubernaut.ai": "0"}}
		_, err = quotas.UpdateStatus(t.Context(), q, metav1.UpdateOptions{})
		require.NoError(t, err)
	}
	allow("0")
	becomes("capped")
	made = count()
	allow(fmt.Sprint(room))
	becomes("new")
	var posting sync.WaitGroup
	var mu sync.Mutex
	became := map[string]int{"new": 1}
	for i := range 20 {
		posting.Go(func() {
			d := decide(t, url, fmt.Sprint("q", i))
			mu.Lock()
			defer mu.Unlock()
			became[d]++
		})
	}
	posting.Wait()
	require.Equal(t, map[string]int{"new": room, "capped": 21 - room}, became)
	require.Equal(t, made+room, count())
}
