package restarter

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"onefire/function"
	"onefire/test/client"
)

// fire posts an event with an alert on a Deployment to a function.
func (w *world) fire(url, id, status, deployment string) {
	w.t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": []any{map[string]any{
		"status": status, "startsAt": "2026-01-17T11:00:00Z", "endsAt": "2026-01-17T11:30:00Z",
		"labels": map[string]string{"alertname": "KubeDeploymentReplicasMismatch", "namespace": w.namespace, "deployment": deployment, "severity": "warning"},
	}}})
	require.NoError(w.t, err)
	code, answer, err := client.Post(w.t.Context(), url, id, body)
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, code, "%s", answer)
}

// serve runs the function until the test ends.
func (w *world) serve() string {
	w.t.Helper()
	f := function.New()
	require.NoError(w.t, f.Start(context.WithoutCancel(w.t.Context()), map[string]string{
		"KUBECONFIG": kubeconfig, "AUDIT_SINK": "none", "REMEDIATION_NAMESPACE": w.namespace, "LOG_LEVEL": "error",
	}))
	server := httptest.NewServer(f)
	w.t.Cleanup(func() {
		server.Close()
		require.NoError(w.t, f.Stop(context.Background()))
	})
	return server.URL
}

// all are the requests, the oldest first.
func (w *world) all() []unstructured.Unstructured {
	w.t.Helper()
	l, err := w.requests.List(w.t.Context(), metav1.ListOptions{})
	require.NoError(w.t, err)
	return l.Items
}

// count is how often an alert came, as a request says.
func (w *world) count(name string) int64 {
	w.t.Helper()
	n, _, err := unstructured.NestedInt64(w.get(name).Object, "status", "deduplication", "occurrenceCount")
	require.NoError(w.t, err)
	return n
}

func TestAnAlertLeadsToARestartAndItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy("api")
	url := w.serve()
	w.fire(url, "1", "firing", "api")
	w.fire(url, "2", "firing", "api")
	require.Len(t, w.all(), 1)
	name := w.all()[0].GetName()
	w.pass()
	require.Equal(t, "Restarting", w.status(name, "overallPhase"))
	require.NotEmpty(t, w.restarted("api"))

	// Onefire's record is what it was: an event that comes again counts nothing.
	w.fire(url, "3", "firing", "api")
	w.fire(url, "2", "firing", "api")
	w.fire(url, "3", "firing", "api")
	require.EqualValues(t, 3, w.count(name))
	w.rollOut("api")
	w.pass()
	require.Equal(t, "Completed", w.status(name, "overallPhase"))

	// The alert still fires: it is given time.
	w.fire(url, "3", "firing", "api")
	w.fire(url, "4", "firing", "api")
	require.Len(t, w.all(), 1, "nextAllowedExecution lies ahead")
	require.EqualValues(t, 4, w.count(name))

	// That time is over, and it fires nevertheless.
	w.set(name, map[string]any{"nextAllowedExecution": w.after(-time.Second)})
	w.fire(url, "5", "firing", "api")
	require.Len(t, w.all(), 2)
	w.now = w.now.Add(time.Hour)
	w.pass()
	require.Equal(t, w.after(0), w.restarted("api"))

	// Now the restart has helped.
	w.fire(url, "6", "resolved", "api")
	w.pass()
	for _, o := range w.all() {
		require.Equal(t, "Completed", w.status(o.GetName(), "overallPhase"))
	}
}

// docs/controllers.md says so: server-side apply keeps the conditions of others, and
// theirs keep it.
func TestAConditionCanBeAppliedBesideOnefires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	url := w.serve()
	w.fire(url, "1", "firing", "api")
	w.fire(url, "2", "firing", "api")
	name := w.all()[0].GetName()
	apply := func(status string) {
		o := &unstructured.Unstructured{Object: map[string]any{"status": map[string]any{"conditions": []any{map[string]any{
			"type": "example.com/Repaired", "status": status, "reason": "Restarted", "message": "", "lastTransitionTime": w.after(0),
		}}}}}
		o.SetAPIVersion("kubernaut.ai/v1alpha1")
		o.SetKind("RemediationRequest")
		_, err := w.requests.ApplyStatus(t.Context(), name, o, metav1.ApplyOptions{FieldManager: "example"})
		require.NoError(t, err)
	}
	types := func() string {
		var all []string
		list, _, err := unstructured.NestedSlice(w.get(name).Object, "status", "conditions")
		require.NoError(t, err)
		for _, c := range list {
			all = append(all, c.(map[string]any)["type"].(string)+"="+c.(map[string]any)["status"].(string))
		}
		return strings.Join(all, " ")
	}
	apply("False")
	require.Equal(t, "onefire/Record=True example.com/Repaired=False", types())
	w.fire(url, "2", "firing", "api")
	w.fire(url, "3", "firing", "api")
	require.EqualValues(t, 3, w.count(name))
	apply("True")
	require.ElementsMatch(t, []string{"onefire/Record=True", "example.com/Repaired=True"}, strings.Fields(types()))
	w.fire(url, "3", "firing", "api")
	require.EqualValues(t, 3, w.count(name))
}
