package cmd

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"k8s.io/client-go/rest"

	"onefire/mapping"
)

func TestATargetIsLookedForAtThePathOfItsKind(t *testing.T) {
	for want, target := range map[string]mapping.Target{
		"/api/v1/namespaces/shop/pods/x":                                  {APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "x"},
		"/api/v1/namespaces/shop/services/x":                              {APIVersion: "v1", Kind: "Service", Namespace: "shop", Name: "x"},
		"/api/v1/namespaces/shop/persistentvolumeclaims/x":                {APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "x"},
		"/api/v1/namespaces/shop/resourcequotas/x":                        {APIVersion: "v1", Kind: "ResourceQuota", Namespace: "shop", Name: "x"},
		"/api/v1/nodes/x":                                                 {APIVersion: "v1", Kind: "Node", Name: "x"},
		"/api/v1/persistentvolumes/x":                                     {APIVersion: "v1", Kind: "PersistentVolume", Name: "x"},
		"/api/v1/namespaces/x":                                            {APIVersion: "v1", Kind: "Namespace", Name: "x"},
		"/apis/apps/v1/namespaces/shop/deployments/x":                     {APIVersion: "apps/v1", Kind: "Deployment", Namespace: "shop", Name: "x"},
		"/apis/apps/v1/namespaces/shop/statefulsets/x":                    {APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: "shop", Name: "x"},
		"/apis/apps/v1/namespaces/shop/daemonsets/x":                      {APIVersion: "apps/v1", Kind: "DaemonSet", Namespace: "shop", Name: "x"},
		"/apis/apps/v1/namespaces/shop/replicasets/x":                     {APIVersion: "apps/v1", Kind: "ReplicaSet", Namespace: "shop", Name: "x"},
		"/apis/batch/v1/namespaces/shop/jobs/x":                           {APIVersion: "batch/v1", Kind: "Job", Namespace: "shop", Name: "x"},
		"/apis/batch/v1/namespaces/shop/cronjobs/x":                       {APIVersion: "batch/v1", Kind: "CronJob", Namespace: "shop", Name: "x"},
		"/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/x": {APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Namespace: "shop", Name: "x"},
		"/apis/policy/v1/namespaces/shop/poddisruptionbudgets/x":          {APIVersion: "policy/v1", Kind: "PodDisruptionBudget", Namespace: "shop", Name: "x"},
		"/apis/networking.k8s.io/v1/namespaces/shop/ingresses/x":          {APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Namespace: "shop", Name: "x"},
		"/api/v1/namespaces/shop/pods/" + "a.b":                           {APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "a.b"},
	} {
		require.Equal(t, want, path(target))
	}
	for reason, target := range map[string]mapping.Target{
		"another kind":        {APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "x"},
		"another version":     {APIVersion: "apps/v2", Kind: "Deployment", Namespace: "shop", Name: "x"},
		"another group":       {APIVersion: "v1", Kind: "Job", Namespace: "shop", Name: "x"},
		"no name":             {APIVersion: "v1", Kind: "Pod", Namespace: "shop"},
		"a name with a slash": {APIVersion: "v1", Kind: "Node", Name: "x/proxy"},
		"no namespace":        {APIVersion: "v1", Kind: "Pod", Name: "x"},
		"a namespace of two":  {APIVersion: "v1", Kind: "Pod", Namespace: "a/pods/b", Name: "x"},
	} {
		require.Empty(t, path(target), reason)
	}
}

// answering is an API server that is asked within the process.
type answering func(*http.Request) (status int, body string)

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := a(r)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewBufferString(body)), Request: r}, nil
}

func TestAnAnswerAboutATargetIsRead(t *testing.T) {
	failure := func(status int, details string) string {
		return `{"kind":"Status","apiVersion":"v1","status":"Failure","code":` + strconv.Itoa(status) + details + `}`
	}
	for reason, row := range map[string]struct {
		status int
		body   string
		want   found
		err    string
	}{
		"it is there":              {200, `{}`, exists, ""},
		"it is not":                {404, failure(404, `,"details":{"name":"x","kind":"nodes"}`), absent, ""},
		"not even the kind is":     {404, failure(404, ""), forbidden, ""},
		"something else is not":    {404, failure(404, `,"details":{"name":"y"}`), forbidden, ""},
		"nobody knows the path":    {404, "404 page not found", forbidden, ""},
		"one may not ask":          {403, failure(403, `,"details":{"name":"x"}`), forbidden, ""},
		"the server has a problem": {500, failure(500, `,"details":{"name":"x"}`), 0, "looking for Node/x: "},
		"it has moved for good":    {410, failure(410, `,"details":{"name":"x"}`), 0, "looking for Node/x: "},
	} {
		t.Run(reason, func(t *testing.T) {
			l, err := newLookup(&rest.Config{Host: "https://api.test", Transport: answering(func(r *http.Request) (int, string) {
				require.Equal(t, "/api/v1/nodes/x", r.URL.Path)
				require.Equal(t, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json", r.Header.Get("Accept"))
				deadline, ok := r.Context().Deadline()
				require.True(t, ok, deadline)
				return row.status, row.body
			})})
			require.NoError(t, err)
			got, err := l.get(t.Context(), mapping.Target{APIVersion: "v1", Kind: "Node", Name: "x"})
			require.Equal(t, row.want, got)
			if row.err != "" {
				require.ErrorContains(t, err, row.err)
			} else {
				require.NoError(t, err)
			}
		})
	}
	_, err := newLookup(&rest.Config{Host: "https://[::1"})
	require.Error(t, err)
}

// closing is an API server that has each object, whose answer notes that it is closed.
type closing struct {
	io.Reader
	asked  context.Context
	closed bool
}

func (c *closing) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = r.Context()
	return &http.Response{StatusCode: http.StatusOK, Body: c, Request: r}, nil
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

func TestALookupLeavesNothingOpen(t *testing.T) {
	server := &closing{Reader: bytes.NewBufferString("{}")}
	l, err := newLookup(&rest.Config{Host: "https://api.test", Transport: server})
	require.NoError(t, err)
	_, err = l.get(t.Context(), mapping.Target{APIVersion: "v1", Kind: "Node", Name: "x"})
	require.NoError(t, err)
	require.True(t, server.closed)
	require.ErrorIs(t, server.asked.Err(), context.Canceled, "its timer runs on")
}

func TestAFewTargetsAreLookedForAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int64
		release := make(chan struct{})
		l, err := newLookup(&rest.Config{Host: "https://api.test", QPS: -1, Transport: answering(func(*http.Request) (int, string) {
			asked.Add(1)
			<-release
			return 200, "{}"
		})})
		require.NoError(t, err)
		var targets []mapping.Target
		for i := range 2 * maxCalls {
			targets = append(targets, mapping.Target{APIVersion: "v1", Kind: "Node", Name: "n" + strconv.Itoa(i)})
		}
		ended := make(chan map[mapping.Target]found, 1)
		go func() {
			said, err := l.all(t.Context(), targets)
			if err == nil {
				ended <- said
			}
			close(ended)
		}()
		synctest.Wait()
		require.EqualValues(t, maxCalls, asked.Load())
		close(release)
		require.Len(t, <-ended, 2*maxCalls)
	})
}
