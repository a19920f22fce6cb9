package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"onefire/mapping"
	"onefire/test/kubefault"
)

// inScope are the labels of what may be repaired.
var inScope = map[string]string{"kubernaut.ai/managed": "true"}

// label makes an object without a namespace, with labels.
func (k workloads) label(kind, resource, name string, labels map[string]string) {
	k.t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind}}
	o.SetName(name)
	o.SetLabels(labels)
	_, err := k.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Create(k.t.Context(), o, metav1.CreateOptions{})
	require.NoError(k.t, err)
}

func TestOnlyWhatIsInScopeBecomesAnObject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	k := newWorkloads(t, w.namespace)
	pods := k.deploy("api", 2)
	node := func(name string) string { return alert("firing", "alertname=NotReady", "node="+name) }
	k.label("Node", "nodes", w.namespace+"-in", inScope)
	k.label("Node", "nodes", w.namespace+"-out", map[string]string{"kubernaut.ai/managed": "false"})
	settings := []string{"TARGET=owner", "SCOPE=kubernaut.ai/managed=true"}

	// Nothing of the namespace is in the scope.
	f := w.start(settings...)
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(k.crash("firing", pods[0]), k.crash("resolved", pods[1]), node(w.namespace+"-in"), node(w.namespace+"-out"))))
	require.Equal(t, "v1 Node "+w.namespace+"-in", target(w.only()))
	require.Contains(t, f.log.String(), `"reason":"unmanaged"`)
	require.Len(t, w.audit(""), 2, "what is filtered is not audited")

	// Its Namespace is, to a process that has not read it yet.
	k.label("Namespace", "namespaces", w.namespace, inScope)
	f = w.start(settings...)
	require.Equal(t, http.StatusOK, w.post(f, "2", webhook(k.crash("firing", pods[0]), k.crash("firing", pods[1]))))
	require.Len(t, w.list(), 2)
	w.requireUniqueAudit()
}

// An API server that does not answer makes an alert wait, whether it is in the scope
// or not.
func TestAScopeThatCannotBeReadNowIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range append(kubefault.Kinds(), kubefault.Hang) {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mapping.Schema202608)
			k := newWorkloads(t, w.namespace)
			k.label("Node", "nodes", w.namespace, inScope)
			var failed atomic.Bool
			way := newFaulty(t, func(c kubefault.Call) kubefault.Fault {
				if c.Verb == "get" && failed.CompareAndSwap(false, true) {
					return kubefault.Fault{Kind: kind}
				}
				return kubefault.Fault{}
			})
			f := w.start("SCOPE=kubernaut.ai/managed=true", "KUBECONFIG="+way.kubeconfig)
			body := webhook(alert("firing", "alertname=NotReady", "node="+w.namespace))
			if w.post(f, "1", body) != http.StatusOK { // client-go may have asked again itself.
				require.Empty(t, w.list())
				require.Equal(t, http.StatusOK, w.post(f, "1", body))
			}
			require.EqualValues(t, 1, count(w.only()))
		})
	}
}
