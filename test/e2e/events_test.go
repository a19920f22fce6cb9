package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"onefire/mapping"
	"onefire/test/kubefault"
)

// told returns the Events of this world that a field selector finds.
func (w *world) told(selector string) []unstructured.Unstructured {
	w.t.Helper()
	kube, err := dynamic.NewForConfig(kubeConfig)
	require.NoError(w.t, err)
	l, err := kube.Resource(schema.GroupVersionResource{Group: "events.k8s.io", Version: "v1", Resource: "events"}).
		Namespace(w.namespace).List(w.t.Context(), metav1.ListOptions{FieldSelector: selector})
	require.NoError(w.t, err)
	return l.Items
}

func TestEachNewObjectIsToldOnceByWhomever(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	functions := []*fn{w.start(), w.start()}
	var posting sync.WaitGroup
	for range 3 {
		for _, f := range functions {
			for i := range 5 {
				body := webhook(firing("Told", fmt.Sprintf("api-%d", i)), firing("Told", fmt.Sprintf("web-%d", i)))
				posting.Go(func() { require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint(i), body)) })
			}
		}
	}
	posting.Wait()
	for _, f := range functions {
		w.stop(f) // It tells what waits.
	}
	require.Len(t, w.list(), 10)
	for _, o := range w.list() {
		require.Len(t, w.told("reason=RemediationRequested,regarding.uid="+string(o.GetUID())), 1, o.GetName())
	}
	require.Len(t, w.told(""), 10)
}

func TestARedeliveryTellsWhatACrashLeftUntold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	untold := newFaulty(t, func(c kubefault.Call) kubefault.Fault {
		if c.Verb == "event" {
			return kubefault.Fault{Kind: kubefault.Hang}
		}
		return kubefault.Fault{}
	})
	body := webhook(firing("Told", "api-0"))
	first := w.start("KUBECONFIG=" + untold.kubeconfig)
	require.Equal(t, http.StatusOK, w.post(first, "1", body))
	require.NoError(t, first.process.Process.Kill())
	require.Error(t, first.process.Wait())
	require.Empty(t, w.told(""))
	second := w.start()
	for range 3 {
		require.Equal(t, http.StatusOK, w.post(second, "1", body))
	}
	w.stop(second)
	require.Len(t, w.told("regarding.uid="+string(w.only().GetUID())), 1)
}

// The function settles alerts as ever, whatever becomes of Events. The faults leave the
// connection alone: alerts go over the same one, and would be sent again.
func TestEventsThatFailTouchNoAlert(t *testing.T) {
	t.Parallel()
	for _, kind := range []kubefault.Kind{kubefault.Hang, kubefault.Throttled, kubefault.Error, kubefault.Abort} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mapping.Schema202608)
			var failed atomic.Int64
			way := newFaulty(t, func(c kubefault.Call) kubefault.Fault {
				if c.Verb != "event" {
					return kubefault.Fault{}
				}
				failed.Add(1)
				return kubefault.Fault{Kind: kind}
			})
			f := w.start("KUBECONFIG=" + way.kubeconfig)
			const events = 30
			for i := range events {
				require.Equal(t, http.StatusOK, w.post(f, fmt.Sprint(i), webhook(firing("Told", fmt.Sprintf("api-%d", i)))))
			}
			require.Eventually(t, func() bool { return failed.Load() > 0 }, patience, pollEvery)
			begun := time.Now()
			w.stop(f)
			require.Less(t, time.Since(begun), 10*time.Second)
			require.Len(t, w.list(), events)
			require.Len(t, w.audit(mapping.RequestCreated), events)
			require.Less(t, failed.Load(), int64(events), "they are not all tried")
			require.Equal(t, 1, strings.Count(f.log.String(), "Kubernetes Events are left out"), "%s", f.log)
		})
	}
}

func TestEventsCanBeOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	way := newFaulty(t, func(kubefault.Call) kubefault.Fault { return kubefault.Fault{} })
	f := w.start("KUBERNETES_EVENTS=off", "KUBECONFIG="+way.kubeconfig)
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(firing("Told", "api-0"))))
	w.stop(f)
	require.Len(t, w.list(), 1)
	require.Zero(t, way.Tally()["event calls"])
}
