package restarter

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"onefire/dedup"
)

// world is a namespace with requests and Deployments, and a restarter with a clock
// that the test sets.
type world struct {
	t      *testing.T
	client dynamic.Interface
	// namespace is that of the Deployments, requestNamespace that of the requests.
	namespace, requestNamespace string
	now                         time.Time
	restarter                   *Restarter
	requests                    dynamic.ResourceInterface
	deployments                 dynamic.ResourceInterface
	// statusOf is the subresource with the status of a Deployment, where there is one.
	statusOf []string
}

var worlds atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	namespace := fmt.Sprintf("test-%d", worlds.Add(1))
	w := &world{t: t, client: kube, namespace: namespace, requestNamespace: namespace, now: time.Now().UTC().Truncate(time.Second)}
	w.requests = kube.Resource(dedup.Resource).Namespace(w.namespace)
	w.deployments = kube.Resource(appsv1.SchemeGroupVersion.WithResource("deployments")).Namespace(w.namespace)
	w.restarter = w.another()
	return w
}

// another is a restarter that knows nothing of the others.
func (w *world) another() *Restarter {
	o := Options{
		Namespace: w.requestNamespace, AtOnce: 2, BackOff: 15 * time.Minute, Limit: 10 * time.Minute, Every: time.Hour,
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
	}
	r, err := New(w.client, o)
	require.NoError(w.t, err)
	return r
}

func (w *world) pass() {
	w.t.Helper()
	require.NoError(w.t, w.restarter.Pass(w.t.Context()))
}

// deploy makes a Deployment whose two pods are up.
func (w *world) deploy(name string) {
	w.t.Helper()
	labels := map[string]any{"app": name}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": name},
		"spec": map[string]any{
			"replicas": int64(2), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "x", "image": "x"}}}},
		},
	}}
	_, err := w.deployments.Create(w.t.Context(), o, metav1.CreateOptions{})
	require.NoError(w.t, err)
	w.rollOut(name)
}

// deployment is a Deployment as it is.
func (w *world) deployment(name string) (d appsv1.Deployment) {
	w.t.Helper()
	o, err := w.deployments.Get(w.t.Context(), name, metav1.GetOptions{})
	require.NoError(w.t, err)
	require.NoError(w.t, runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &d))
	return d
}

// rollOut does what the controller of Deployments does, as far as the status shows.
func (w *world) rollOut(name string) {
	w.t.Helper()
	status, err := json.Marshal(map[string]any{"status": appsv1.DeploymentStatus{
		ObservedGeneration: w.deployment(name).Generation, Replicas: 2, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2,
	}})
	require.NoError(w.t, err)
	_, err = w.deployments.Patch(w.t.Context(), name, types.MergePatchType, status, metav1.PatchOptions{}, w.statusOf...)
	require.NoError(w.t, err)
}

// restarted is when a Deployment was restarted; empty if it never was.
func (w *world) restarted(name string) string {
	w.t.Helper()
	return w.deployment(name).Spec.Template.Annotations[restartedAt]
}

// request makes a request on a Deployment, with changes of its spec.
func (w *world) request(name, deployment string, changes map[string]any) {
	w.t.Helper()
	spec := map[string]any{
		"signalFingerprint": strings.Repeat("0", 64), "signalName": "Stuck", "severity": "high", "signalType": "alert", "targetType": "kubernetes",
		"targetResource": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment, "namespace": w.namespace},
		"firingTime":     "2026-01-17T12:00:00Z", "receivedTime": "2026-01-17T12:00:00Z",
	}
	for name, value := range changes {
		spec[name] = value
	}
	o := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubernaut.ai/v1alpha1", "kind": "RemediationRequest", "metadata": map[string]any{"name": name}, "spec": spec,
	}}
	_, err := w.requests.Create(w.t.Context(), o, metav1.CreateOptions{})
	require.NoError(w.t, err)
}

// set merges fields into a request's status, as others do.
func (w *world) set(name string, status map[string]any) {
	w.t.Helper()
	patch, err := json.Marshal(map[string]any{"status": status})
	require.NoError(w.t, err)
	_, err = w.requests.Patch(w.t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	require.NoError(w.t, err)
}

// resolve says that all alerts of a request have ended.
func (w *world) resolve(name string) {
	w.t.Helper()
	w.set(name, map[string]any{"deduplication": map[string]any{"lastResolvedAt": w.now.Format(time.RFC3339)}})
}

func (w *world) get(name string) *unstructured.Unstructured {
	w.t.Helper()
	o, err := w.requests.Get(w.t.Context(), name, metav1.GetOptions{})
	require.NoError(w.t, err)
	return o
}

// status is a text in a request's status; empty where it is not there.
func (w *world) status(name, field string) string {
	w.t.Helper()
	s, _, err := unstructured.NestedString(w.get(name).Object, "status", field)
	require.NoError(w.t, err)
	return s
}

// phases are those of requests, in the order of their names.
func (w *world) phases(names ...string) (all []string) {
	w.t.Helper()
	for _, name := range names {
		all = append(all, w.status(name, "overallPhase"))
	}
	return all
}

// after is a time as an object has it.
func (w *world) after(d time.Duration) string { return w.now.Add(d).Format(time.RFC3339) }
