package kube

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// reported is a signal of node-exporter whose labels name its pod and no node.
func reported(pod string) mapping.Signal {
	return mapping.Signal{
		Target: mapping.Target{Kind: mapping.KindUnknown, Name: "4ecf03d7addd9ee5", Namespace: "shop"},
		Host:   mapping.Target{APIVersion: "v1", Kind: "Pod", Name: pod, Namespace: "shop"},
	}
}

// onNode answers with a whole pod, which is what a host is asked for as.
func onNode(node string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "application/json" {
			http.Error(w, "metadata has no node", http.StatusTeapot)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"kind":"Pod","apiVersion":"v1","metadata":{"name":%q,"ownerReferences":%s},"spec":{"nodeName":%q}}`,
			r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:], controlled("apps/v1 DaemonSet node-exporter"), node)
	}
}

func TestTheNodeOfWhatNodeExporterReports(t *testing.T) {
	node := func(name string) mapping.Target {
		return mapping.Target{APIVersion: "v1", Kind: "Node", Name: name}
	}
	own := reported("ne-1").Target
	for reason, row := range map[string]struct {
		signal mapping.Signal
		answer http.HandlerFunc
		want   Found
		calls  int
	}{
		"the node that its pod runs on, not what made the pod": {reported("ne-1"), onNode("worker-2"), Found{node("worker-2"), Resolved}, 1},
		"a pod on no node":           {reported("ne-1"), onNode(""), Found{own, Unscheduled}, 1},
		"a node that none can be":    {reported("ne-1"), onNode("../../secrets"), Found{own, Unscheduled}, 1},
		"a pod that is gone":         {reported("ne-1"), nil, Found{own, Gone}, 1},
		"a pod that may not be read": {reported("ne-1"), status(http.StatusForbidden, "Forbidden"), Found{own, Forbidden}, 2},
		"a pod of another cluster":   {mapping.Signal{Target: own, Host: reported("ne-1").Host, Cluster: "there"}, onNode("worker-2"), Found{own, OtherCluster}, 0},
		"a pod without a namespace":  {mapping.Signal{Target: own, Host: mapping.Target{APIVersion: "v1", Kind: "Pod", Name: "ne-1"}}, onNode("worker-2"), Found{own, Unnamed}, 0},
	} {
		t.Run(reason, func(t *testing.T) {
			api := &fakeAPI{}
			if row.answer != nil {
				api.answer("pods/ne-1", row.answer)
			}
			r := api.resolver(t)
			found, err := r.Find(t.Context(), row.signal)
			require.NoError(t, err)
			require.Equal(t, row.want, found)
			require.Len(t, api.called(), row.calls)
			again, err := r.Find(t.Context(), row.signal)
			require.NoError(t, err)
			require.Equal(t, row.want, again)
			require.Len(t, api.called(), row.calls, "an answer is good for a while")
		})
	}
}

func TestANodeThatCannotBeToldNowIsAnError(t *testing.T) {
	api := &fakeAPI{}
	api.answer("pods/ne-1", status(http.StatusServiceUnavailable, "ServiceUnavailable"))
	r := api.resolver(t)
	_, err := r.Find(t.Context(), reported("ne-1"))
	require.Error(t, err)
	api.answer("pods/ne-1", onNode("worker-2"))
	found, err := r.Find(t.Context(), reported("ne-1"))
	require.NoError(t, err)
	require.Equal(t, "worker-2", found.Target.Name)
}

// The node of a pod that was asked for stays known when the pod is gone, so that
// the end of an alert meets its beginning.
func TestTheNodeOfAPodThatIsGoneIsRemembered(t *testing.T) {
	for node, want := range map[string]Found{
		"worker-2": {mapping.Target{APIVersion: "v1", Kind: "Node", Name: "worker-2"}, Remembered},
		"":         {reported("ne-1").Target, Unscheduled},
	} {
		api := &fakeAPI{}
		api.answer("pods/ne-1", onNode(node))
		r := api.resolver(t)
		clock := r.now
		_, err := r.Find(t.Context(), reported("ne-1"))
		require.NoError(t, err)
		api.answer("pods/ne-1", nil)
		r.now = func() time.Time { return clock().Add(2 * maxObjectAge) }
		found, err := r.Find(t.Context(), reported("ne-1"))
		require.NoError(t, err)
		require.Equal(t, want, found)
	}
}

// One pod can be a host for one alert and the subject of another.
func TestAPodAndItsNodeAreAskedForApart(t *testing.T) {
	api := &fakeAPI{owners: map[string]string{"daemonsets/node-exporter": "null"}}
	whole := onNode("worker-2")
	api.answer("pods/ne-1", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") == "application/json" {
			whole(w, r)
			return
		}
		fmt.Fprintf(w, `{"metadata":{"name":"ne-1","ownerReferences":%s}}`, controlled("apps/v1 DaemonSet node-exporter"))
	})
	r := api.resolver(t)
	for range 2 {
		found, err := r.Find(t.Context(), about("v1", "Pod", "ne-1"))
		require.NoError(t, err)
		require.Equal(t, "DaemonSet", found.Target.Kind)
		found, err = r.Find(t.Context(), reported("ne-1"))
		require.NoError(t, err)
		require.Equal(t, "Node", found.Target.Kind)
	}
}
