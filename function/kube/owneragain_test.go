package kube

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

// An API server that has just started forbids everything until it has read the
// roles. Settled on that, an alert would be on the pod, and later on its Deployment.
func TestARefusalThatPassesIsNotBelieved(t *testing.T) {
	api := &fakeAPI{owners: deployed()}
	for _, object := range []string{"pods/api-5d9c7b8f4-x7k2p", "replicasets/api-5d9c7b8f4", "pods/api-5d9c7b8f4-b2c4d"} {
		api.answer(object, func(w http.ResponseWriter, r *http.Request) {
			api.answer(object, nil)
			status(http.StatusForbidden, "Forbidden")(w, r)
		})
	}
	r := api.resolver(t)
	for i, name := range []string{"api-5d9c7b8f4-x7k2p", "api-5d9c7b8f4-b2c4d"} {
		found, err := r.Find(t.Context(), pod(name))
		require.NoError(t, err)
		require.Equal(t, Resolved, found.Result)
		require.Equal(t, "Deployment", found.Target.Kind)
		require.Len(t, api.called(), 5+2*i, "no refusal makes another one believed")
	}
}

// The resolver asks twice about a kind that it may not read, and not for every pod.
func TestARefusalThatStaysIsBelievedOfItsKind(t *testing.T) {
	api := &fakeAPI{}
	for _, name := range []string{"a", "b", "c"} {
		api.answer("pods/"+name, status(http.StatusForbidden, "Forbidden"))
	}
	r := api.resolver(t)
	now := time.Unix(1_000_000, 0)
	r.now = func() time.Time { return now }
	for i, name := range []string{"a", "b"} {
		found, err := r.Find(t.Context(), pod(name))
		require.NoError(t, err)
		require.Equal(t, Found{pod(name).Target, Forbidden}, found)
		require.Len(t, api.called(), 2+i)
	}
	api.answer("jobs/a", status(http.StatusForbidden, "Forbidden"))
	_, err := r.Find(t.Context(), about("batch/v1", "Job", "a"))
	require.NoError(t, err)
	require.Len(t, api.called(), 5, "of another kind it is doubted")
	now = now.Add(maxObjectAge)
	_, err = r.Find(t.Context(), pod("c"))
	require.NoError(t, err)
	require.Len(t, api.called(), 7, "and later twice again")
}

// The largest event, all of whose pods are gone, is remembered whole: when the
// time was not enough for it, its redelivery goes on where that ended.
func TestWhatAnEventAskedForIsKnownToItsRedelivery(t *testing.T) {
	api := &fakeAPI{}
	r := api.resolver(t)
	now := time.Now()
	r.now = func() time.Time { return now }
	deliver := func() {
		for i := range mapping.MaxAlerts {
			found, err := r.Find(t.Context(), pod(fmt.Sprintf("p%d-5d9c7b8f4-zzzzz", i)))
			require.NoError(t, err)
			require.Equal(t, Gone, found.Result)
		}
	}
	deliver()
	asked := len(api.called())
	deliver()
	again := len(api.called())
	require.Equal(t, asked, again)
}
