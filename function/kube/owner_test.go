package kube

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onefire/mapping"
)

func TestTheTopLevelControllerIsFound(t *testing.T) {
	cases := map[string]struct {
		of     mapping.Signal
		owners map[string]string
		want   string
		result OwnerResult
		calls  int
	}{
		"a Deployment, through its ReplicaSet": {pod("api-5d9c7b8f4-x7k2p"), deployed(), "apps/v1 Deployment api", Resolved, 3},
		"a StatefulSet": {pod("db-0"), map[string]string{
			"pods/db-0": controlled("apps/v1 StatefulSet db"), "statefulsets/db": "null",
		}, "apps/v1 StatefulSet db", Resolved, 2},
		"a DaemonSet": {pod("log-b2c4d"), map[string]string{
			"pods/log-b2c4d": controlled("apps/v1 DaemonSet log"), "daemonsets/log": "null",
		}, "apps/v1 DaemonSet log", Resolved, 2},
		"a CronJob, through its Job": {pod("sum-29384720-b2c4d"), map[string]string{
			"pods/sum-29384720-b2c4d": controlled("batch/v1 Job sum-29384720"), "jobs/sum-29384720": controlled("batch/v1 CronJob sum"), "cronjobs/sum": "null",
		}, "batch/v1 CronJob sum", Resolved, 3},
		"a Job that nothing made": {pod("once-b2c4d"), map[string]string{
			"pods/once-b2c4d": controlled("batch/v1 Job once"), "jobs/once": "null",
		}, "batch/v1 Job once", Resolved, 2},
		"a kind that cannot be read ends it": {pod("api-1"), map[string]string{
			"pods/api-1": controlled("apps/v1 ReplicaSet api"), "replicasets/api": controlled("argoproj.io/v1alpha1 Rollout api"),
		}, "argoproj.io/v1alpha1 Rollout api", Resolved, 2},
		"a Deployment that a Revision made": {pod("api-1"), map[string]string{
			"pods/api-1": controlled("apps/v1 ReplicaSet api"), "replicasets/api": controlled("apps/v1 Deployment api-1-deployment"),
			"deployments/api-1-deployment": controlled("serving.knative.dev/v1 Revision api-00001"),
		}, "serving.knative.dev/v1 Revision api-00001", Resolved, 3},
		"a kind of another group is not followed": {pod("api-1"), map[string]string{
			"pods/api-1": controlled("apps.kruise.io/v1beta1 StatefulSet api"), "statefulsets/api": controlled("x/v1 X x"),
		}, "apps.kruise.io/v1beta1 StatefulSet api", Resolved, 1},
		"an old version of a reference is": {pod("api-1"), map[string]string{
			"pods/api-1": controlled("apps/v1beta2 StatefulSet api"), "statefulsets/api": "null",
		}, "apps/v1 StatefulSet api", Resolved, 2},
		"no owner: the pod itself":          {pod("alone"), map[string]string{"pods/alone": "null"}, "v1 Pod alone", Resolved, 1},
		"a static pod, which a Node has":    {pod("etcd-n1"), map[string]string{"pods/etcd-n1": controlled("v1 Node n1")}, "v1 Pod etcd-n1", Resolved, 1},
		"an owner that does not control it": {pod("x"), map[string]string{"pods/x": strings.Replace(controlled("apps/v1 ReplicaSet y"), "true", "false", 1)}, "v1 Pod x", Resolved, 1},
		"the controller among several owners": {pod("x"), map[string]string{
			"pods/x": `[{"apiVersion":"v1","kind":"ConfigMap","name":"c"},{"apiVersion":"a/v1","kind":"A","name":"a","controller":true},{"apiVersion":"b/v1","kind":"B","name":"b","controller":false}]`,
		}, "a/v1 A a", Resolved, 1},
		"a reference that no object can have": {pod("x"), map[string]string{"pods/x": controlled("a/v1 A ../../secrets/x")}, "v1 Pod x", Resolved, 1},
		"the longest kind":                    {pod("x"), map[string]string{"pods/x": controlled("a/v1 " + strings.Repeat("A", maxKind) + " a")}, "a/v1 " + strings.Repeat("A", maxKind) + " a", Resolved, 1},
		"a version as long as a book":         {pod("x"), map[string]string{"pods/x": controlled(strings.Repeat("a", maxKind+1) + " A a")}, "v1 Pod x", Resolved, 1},
		"a kind as long as a book":            {pod("x"), map[string]string{"pods/x": controlled("a/v1 " + strings.Repeat("A", 300) + " a")}, "v1 Pod x", Resolved, 1},
		"a Deployment is followed too":        {about("apps/v1", "Deployment", "api"), map[string]string{"deployments/api": controlled("x/v1 App api")}, "x/v1 App api", Resolved, 1},
		"a Job of the labels is followed":     {about("batch/v1", "Job", "sum-29384720"), map[string]string{"jobs/sum-29384720": controlled("batch/v1 CronJob sum"), "cronjobs/sum": "null"}, "batch/v1 CronJob sum", Resolved, 2},

		"a pod that is gone, by its name":                         {pod("api-5d9c7b8f4-zzzzz"), deployed(), "apps/v1 Deployment api", ByName, 5},
		"its ReplicaSet gone as well":                             {pod("api-7f9c7b8f4-zzzzz"), deployed(), "apps/v1 Deployment api", ByName, 5},
		"a pod and its Job, both gone":                            {pod("sum-29384720-b2c4d"), map[string]string{"cronjobs/sum": "null"}, "batch/v1 CronJob sum", ByName, 5},
		"all gone":                                                {pod("api-7f9c7b8f4-zzzzz"), nil, "v1 Pod api-7f9c7b8f4-zzzzz", Gone, 5},
		"a name that leads to two, each through one that is gone": {pod("a-29446895-b2c4d"), map[string]string{"cronjobs/a": "null", "daemonsets/a-29446895": "null"}, "v1 Pod a-29446895-b2c4d", Ambiguous, 5},
		"a ReplicaSet that is gone, by its name":                  {about("apps/v1", "ReplicaSet", "api-7f9c7b8f4"), deployed(), "apps/v1 Deployment api", ByName, 2},
		"its owner gone, by that one's name":                      {pod("x"), map[string]string{"pods/x": controlled("apps/v1 ReplicaSet api-5d9c7b8f4"), "deployments/api": "null"}, "apps/v1 Deployment api", ByName, 3},
		"a pod of a StatefulSet, between two lives":               {pod("db-0"), map[string]string{"statefulsets/db": "null"}, "apps/v1 StatefulSet db", ByName, 2},
		"a pod of a finished CronJob's Job":                       {pod("sum-29384720-b2c4d"), map[string]string{"jobs/sum-29384720": controlled("batch/v1 CronJob sum"), "cronjobs/sum": "null"}, "batch/v1 CronJob sum", ByName, 5},
		"a pod of an indexed Job":                                 {pod("train-3-b2c4d"), map[string]string{"jobs/train": "null"}, "batch/v1 Job train", ByName, 5},
		"a name that leads to two":                                {pod("log-b2c4d"), map[string]string{"jobs/log": "null", "daemonsets/log": "null"}, "v1 Pod log-b2c4d", Ambiguous, 4},
		"a name that no controller makes":                         {pod("api-green"), deployed(), "v1 Pod api-green", Gone, 1},
		"an owner that is gone":                                   {pod("x"), map[string]string{"pods/x": controlled("apps/v1 DaemonSet y")}, "apps/v1 DaemonSet y", Gone, 2},
		"owners in a circle": {pod("x"), map[string]string{
			"pods/x": controlled("apps/v1 ReplicaSet a"), "replicasets/a": controlled("apps/v1 Deployment b"), "deployments/b": controlled("apps/v1 ReplicaSet a"),
		}, "apps/v1 Deployment b", Loop, 3},
		"a pod of another cluster":    {mapping.Signal{Target: pod("db-0").Target, Cluster: "there"}, deployed(), "v1 Pod db-0", OtherCluster, 0},
		"a name that no pod can have": {pod("../secrets/x"), deployed(), "v1 Pod ../secrets/x", Unnamed, 0},
		"a node":                      {about("v1", "Node", "n1"), deployed(), "v1 Node n1", "", 0},
		"no Kubernetes object":        {about("", mapping.KindUnknown, "0123456789abcdef"), deployed(), " Unknown 0123456789abcdef", "", 0},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			api := &fakeAPI{owners: row.owners}
			found, err := api.resolver(t).Find(t.Context(), row.of)
			require.NoError(t, err)
			got := found.Target
			require.Equal(t, row.want, got.APIVersion+" "+got.Kind+" "+got.Name, api.called())
			require.Equal(t, "shop", got.Namespace)
			require.Equal(t, row.result, found.Result)
			require.Len(t, api.called(), row.calls)
		})
	}
}

func TestAPodWithoutANamespaceIsNotAskedFor(t *testing.T) {
	api := &fakeAPI{owners: deployed()}
	s := pod("api-5d9c7b8f4-x7k2p")
	s.Target.Namespace = ""
	found, err := api.resolver(t).Find(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, Found{s.Target, Unnamed}, found)
	require.Empty(t, api.called())
}

func TestOwnersAreNotFollowedForEver(t *testing.T) {
	api := &fakeAPI{owners: map[string]string{}}
	for i := range 100 {
		api.owners[fmt.Sprintf("replicasets/r%d", i)] = controlled(fmt.Sprintf("apps/v1 ReplicaSet r%d", i+1))
	}
	found, err := api.resolver(t).Find(t.Context(), about("apps/v1", "ReplicaSet", "r0"))
	require.NoError(t, err)
	require.Equal(t, TooDeep, found.Result)
	require.Equal(t, fmt.Sprintf("r%d", maxDepth), found.Target.Name)
	require.Len(t, api.called(), maxDepth+1)
}

// The API server's answer decides: some answers for good, some only now.
func TestEachAnswerInTurn(t *testing.T) {
	cut := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"metadata":`)
	}
	cases := map[string]struct {
		answer http.HandlerFunc
		result OwnerResult // Empty for an error.
	}{
		"400":                      {status(http.StatusBadRequest, "BadRequest"), Refused},
		"401":                      {status(http.StatusUnauthorized, "Unauthorized"), ""},
		"403":                      {status(http.StatusForbidden, "Forbidden"), Forbidden},
		"404":                      {status(http.StatusNotFound, "NotFound"), Gone},
		"404 of no such resource":  {http.NotFound, Gone},
		"405":                      {status(http.StatusMethodNotAllowed, "MethodNotAllowed"), Refused},
		"406":                      {status(http.StatusNotAcceptable, "NotAcceptable"), Refused},
		"408":                      {status(http.StatusRequestTimeout, "Timeout"), ""},
		"409":                      {status(http.StatusConflict, "Conflict"), ""},
		"410":                      {status(http.StatusGone, "Gone"), Refused},
		"429":                      {status(http.StatusTooManyRequests, "TooManyRequests"), ""},
		"500":                      {status(http.StatusInternalServerError, "InternalError"), ""},
		"502 of a proxy":           {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, ""},
		"503":                      {status(http.StatusServiceUnavailable, "ServiceUnavailable"), ""},
		"504":                      {status(http.StatusGatewayTimeout, "Timeout"), ""},
		"a connection that breaks": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ""},
		"an answer that breaks":    {cut, ""},
		"no JSON":                  {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }, ""},
		"no owners of an object": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"metadata":{"name":%q,"ownerReferences":"none"}}`, r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
		}, ""},
		"another object": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"metadata":{"name":"other"}}`) }, ""},
		"an object without end": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"metadata":{"name":"x","annotations":{"a":%q}}}`, strings.Repeat("a", maxObject))
		}, Refused},
	}
	// The pod itself, then its first owner, then the last; and what a name leads
	// to where the pod is gone.
	steps := map[string]struct {
		object string
		gone   bool
		known  string // the owner that is known when the walk ends there
	}{
		"the pod":        {"pods/api-5d9c7b8f4-x7k2p", false, "Pod api-5d9c7b8f4-x7k2p"},
		"the ReplicaSet": {"replicasets/api-5d9c7b8f4", false, "ReplicaSet api-5d9c7b8f4"},
		"the Deployment": {"deployments/api", false, "Deployment api"},
		"by name":        {"replicasets/api-5d9c7b8f4", true, "Pod api-5d9c7b8f4-x7k2p"},
	}
	for name, row := range cases {
		for where, step := range steps {
			t.Run(name+" for "+where, func(t *testing.T) {
				api := &fakeAPI{owners: deployed()}
				if step.gone {
					delete(api.owners, "pods/api-5d9c7b8f4-x7k2p")
				}
				if where != "the pod" && row.result == Gone { // Else names lead on.
					maps.DeleteFunc(api.owners, func(object, _ string) bool { return object == "deployments/api" })
				}
				api.answer(step.object, row.answer)
				r := api.resolver(t)
				found, err := r.Find(t.Context(), pod("api-5d9c7b8f4-x7k2p"))
				if row.result == "" {
					require.Error(t, err)
					require.Contains(t, err.Error(), "reading ")
					api.answer(step.object, nil)
					found, err = r.Find(t.Context(), pod("api-5d9c7b8f4-x7k2p"))
					require.NoError(t, err)
					require.Equal(t, "Deployment", found.Target.Kind, "nothing of the failure is remembered")
					return
				}
				require.NoError(t, err)
				if where == "the pod" && row.result == Gone {
					require.Equal(t, Found{mapping.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: "api", Namespace: "shop"}, ByName}, found)
					return
				}
				require.Equal(t, step.known, found.Target.Kind+" "+found.Target.Name)
				if step.gone {
					require.Equal(t, Gone, found.Result, "a name that cannot be checked leads nowhere")
				} else {
					require.Equal(t, row.result, found.Result)
				}
			})
		}
	}
}

func TestAnEndedDeadlineIsAnError(t *testing.T) {
	api := &fakeAPI{owners: deployed()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := api.resolver(t).Find(ctx, pod("api-5d9c7b8f4-x7k2p"))
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, api.called())
}

func TestWhatWasSaidIsGoodForSeconds(t *testing.T) {
	api := &fakeAPI{owners: deployed()}
	r := api.resolver(t)
	now := time.Unix(1_000_000, 0)
	r.now = func() time.Time { return now }
	find := func(name string) Found {
		found, err := r.Find(t.Context(), pod(name))
		require.NoError(t, err)
		return found
	}
	find("api-5d9c7b8f4-x7k2p")
	require.Len(t, api.called(), 3)
	find("api-5d9c7b8f4-x7k2p")
	require.Len(t, api.called(), 3, "nothing is asked again")
	find("api-5d9c7b8f4-b2c4d")
	require.Len(t, api.called(), 4, "of another pod only itself")
	find("api-5d9c7b8f4-zzzzz")
	require.Len(t, api.called(), 4+3, "a pod that is gone, and what else its name could mean")
	find("api-5d9c7b8f4-zzzzz")
	require.Len(t, api.called(), 4+3, "that something is gone is known too")
	now = now.Add(maxObjectAge)
	find("api-5d9c7b8f4-x7k2p")
	require.Len(t, api.called(), 4+3+3)
	require.Equal(t, ByName, find("api-5d9c7b8f4-zzzzz").Result, "what is still gone is still found by its name")
}

func TestAPodThatIsGoneKeepsTheOwnerThatItHad(t *testing.T) {
	api := &fakeAPI{owners: map[string]string{"pods/kafka-broker": controlled("core.strimzi.io/v1 StrimziPodSet kafka")}}
	r := api.resolver(t)
	now := time.Unix(1_000_000, 0)
	r.now = func() time.Time { return now }
	for _, want := range []OwnerResult{Resolved, Remembered, Remembered} {
		found, err := r.Find(t.Context(), pod("kafka-broker"))
		require.NoError(t, err)
		require.Equal(t, "StrimziPodSet", found.Target.Kind)
		require.Equal(t, want, found.Result)
		now = now.Add(maxObjectAge)
		api.mu.Lock()
		clear(api.owners)
		api.mu.Unlock()
	}
	require.Len(t, api.called(), 3)
}

func TestMemoryOfOwnersIsBounded(t *testing.T) {
	api := &fakeAPI{}
	r := api.resolver(t)
	for i := range maxObjects + 100 {
		r.memory.Add(pod(fmt.Sprintf("p%d", i)).Target, answer{result: Gone, at: r.now()})
	}
	require.Equal(t, maxObjects, r.memory.Len())
	_, err := r.Find(t.Context(), pod("p0"))
	require.NoError(t, err)
	require.Equal(t, []string{"pods/p0"}, api.called(), "the oldest are forgotten")
}

// Many alerts on one pod come at once; so do alerts on its neighbours.
func TestThoseWhoAskAtTheSameTimeShareTheCalls(t *testing.T) {
	api := &fakeAPI{owners: deployed()}
	began, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	api.answer("pods/api-5d9c7b8f4-x7k2p", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(began) })
		<-proceed
		fmt.Fprintf(w, `{"metadata":{"name":"api-5d9c7b8f4-x7k2p","ownerReferences":%s}}`, controlled("apps/v1 ReplicaSet api-5d9c7b8f4"))
	})
	r := api.resolver(t)
	// The first caller gives up; the others still need the answer.
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := r.Find(ctx, pod("api-5d9c7b8f4-x7k2p"))
		first <- err
	}()
	<-began
	cancel()
	var asking sync.WaitGroup
	for range 50 {
		asking.Go(func() {
			found, err := r.Find(t.Context(), pod("api-5d9c7b8f4-x7k2p"))
			if err != nil || found.Target.Kind != "Deployment" {
				t.Errorf("%v, %v", found, err)
			}
		})
	}
	close(proceed)
	asking.Wait()
	require.ErrorIs(t, <-first, context.Canceled)
	require.Len(t, api.called(), 3)
}

func TestCallsUnderWayAreBounded(t *testing.T) {
	api := &fakeAPI{}
	var under, most atomic.Int64
	full, proceed := make(chan struct{}), make(chan struct{})
	for i := range 4 * maxGets {
		api.answer(fmt.Sprintf("pods/p%d", i), func(w http.ResponseWriter, r *http.Request) {
			n := under.Add(1)
			most.Store(max(most.Load(), n))
			if n == maxGets {
				close(full)
			}
			<-proceed
			under.Add(-1)
			status(http.StatusNotFound, "NotFound")(w, r)
		})
	}
	r := api.resolver(t)
	var asking sync.WaitGroup
	for i := range 4 * maxGets {
		asking.Go(func() {
			if _, err := r.Find(t.Context(), pod(fmt.Sprintf("p%d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	<-full
	close(proceed)
	asking.Wait()
	require.EqualValues(t, maxGets, most.Load())
	require.Len(t, api.called(), 4*maxGets)
}

// An API server that does not answer holds nobody for longer than a call.
func TestACallThatIsStuckEnds(t *testing.T) {
	api := &fakeAPI{}
	api.answer("pods/p", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	begun := time.Now()
	_, err := api.resolver(t).Find(t.Context(), pod("p"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.InDelta(t, getTimeout, time.Since(begun), float64(2*time.Second))
}
