package kube

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/labels"

	"onefire/mapping"
)

const (
	managed = `{"managed":"true"}`
	other   = `{"managed":"false"}`
)

// scoped asks that API server with the scope managed=true.
func (f *fakeAPI) scoped(t testing.TB) *Resolver {
	t.Helper()
	scope, err := labels.Parse("managed=true")
	require.NoError(t, err)
	return f.resolverWith(t, ResolverOptions{Scope: scope})
}

// without is a signal about an object without a namespace.
func without(apiVersion, kind, name string) mapping.Signal {
	return mapping.Signal{Target: mapping.Target{APIVersion: apiVersion, Kind: kind, Name: name}}
}

func TestTheNamespaceOrTheTargetPutsAnAlertInTheScope(t *testing.T) {
	for reason, row := range map[string]struct {
		of     mapping.Signal
		labels map[string]string
		in     bool
		calls  []string
	}{
		"the namespace fits":             {pod("a"), map[string]string{"namespaces/shop": managed, "pods/a": other}, true, []string{"namespaces/shop"}},
		"only the target fits":           {pod("a"), map[string]string{"namespaces/shop": other, "pods/a": managed}, true, []string{"namespaces/shop", "pods/a"}},
		"neither fits":                   {pod("a"), map[string]string{"namespaces/shop": other, "pods/a": other}, false, []string{"namespaces/shop", "pods/a"}},
		"neither has labels":             {pod("a"), map[string]string{"namespaces/shop": "null", "pods/a": "null"}, false, []string{"namespaces/shop", "pods/a"}},
		"the target is gone":             {pod("a"), map[string]string{"namespaces/shop": "null"}, false, []string{"namespaces/shop", "pods/a"}},
		"its namespace fits, it is gone": {pod("a"), map[string]string{"namespaces/shop": managed}, true, []string{"namespaces/shop"}},
		"the namespace is gone":          {pod("a"), map[string]string{"pods/a": managed}, true, []string{"namespaces/shop", "pods/a"}},
		"both are gone":                  {pod("a"), nil, false, []string{"namespaces/shop", "pods/a"}},
		"a Node that fits":               {without("v1", "Node", "n1"), map[string]string{"nodes/n1": managed}, true, []string{"nodes/n1"}},
		"a Node that does not":           {without("v1", "Node", "n1"), map[string]string{"nodes/n1": other}, false, []string{"nodes/n1"}},
		"a Node that is gone":            {without("v1", "Node", "n1"), nil, false, []string{"nodes/n1"}},
		"a volume that fits":             {without("v1", "PersistentVolume", "v"), map[string]string{"persistentvolumes/v": managed}, true, []string{"persistentvolumes/v"}},
		"a Namespace that fits":          {without("v1", "Namespace", "shop"), map[string]string{"namespaces/shop": managed}, true, []string{"namespaces/shop"}},
		"a kind that is not read, in a namespace that fits":     {about("v1", "PersistentVolumeClaim", "c"), map[string]string{"namespaces/shop": managed}, true, []string{"namespaces/shop"}},
		"a kind that is not read, in a namespace that does not": {about("v1", "PersistentVolumeClaim", "c"), map[string]string{"namespaces/shop": other}, false, []string{"namespaces/shop"}},
		"no object, in a namespace that fits":                   {about("", mapping.KindUnknown, "0123456789abcdef"), map[string]string{"namespaces/shop": managed}, true, []string{"namespaces/shop"}},
		"no object, in one that does not":                       {about("", mapping.KindUnknown, "0123456789abcdef"), map[string]string{"namespaces/shop": other}, false, []string{"namespaces/shop"}},
		"no object and no namespace":                            {without("", mapping.KindUnknown, "0123456789abcdef"), nil, false, nil},
		"a kind without a namespace that is not read":           {without("cert-manager.io/v1", "ClusterIssuer", "i"), nil, false, nil},
		"a pod without a namespace":                             {without("v1", "Pod", "a"), map[string]string{"pods/a": managed}, false, nil},
		"a Node of another group":                               {without("example.com/v1", "Node", "n1"), map[string]string{"nodes/n1": managed}, false, nil},
		"a name that no pod can have":                           {pod("../secrets/x"), map[string]string{"namespaces/shop": other}, false, []string{"namespaces/shop"}},
		"a name that no Node can have":                          {without("v1", "Node", "n1/status"), nil, false, nil},
		"a namespace that none can be":                          {mapping.Signal{Target: mapping.Target{APIVersion: "v1", Kind: "Pod", Name: "a", Namespace: "../nodes"}}, nil, false, nil},
		"a target of another cluster":                           {mapping.Signal{Target: pod("a").Target, Cluster: "there"}, map[string]string{"namespaces/shop": managed}, false, nil},
	} {
		t.Run(reason, func(t *testing.T) {
			api := &fakeAPI{labels: row.labels}
			r := api.scoped(t)
			for range 2 { // The second time is from memory.
				got, err := r.Scope(t.Context(), row.of)
				require.NoError(t, err)
				require.Equal(t, Scoped{In: row.in}, got)
				require.Equal(t, row.calls, api.called())
			}
		})
	}
}

func TestWithoutAScopeNothingIsAsked(t *testing.T) {
	api := &fakeAPI{}
	got, err := api.resolver(t).Scope(t.Context(), pod("a"))
	require.NoError(t, err)
	require.Equal(t, Scoped{In: true}, got)
	require.Empty(t, api.called())
}

// One Get says who the owner is, and whether it fits.
func TestAnOwnerThatWasFoundIsNotReadAgain(t *testing.T) {
	api := &fakeAPI{owners: deployed(), labels: map[string]string{"namespaces/shop": other, "deployments/api": managed}}
	r := api.scoped(t)
	s := pod("api-5d9c7b8f4-x7k2p")
	found, err := r.Find(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, "Deployment", found.Target.Kind)
	s.Target = found.Target
	got, err := r.Scope(t.Context(), s)
	require.NoError(t, err)
	require.True(t, got.In)
	require.Equal(t, []string{"pods/api-5d9c7b8f4-x7k2p", "replicasets/api-5d9c7b8f4", "deployments/api", "namespaces/shop"}, api.called())
}

// A pod in a namespace that does not fit had the label itself. The end of its alert
// comes when it is gone, and must meet the beginning.
func TestATargetThatFittedStillDoesWhenItIsGone(t *testing.T) {
	api := &fakeAPI{labels: map[string]string{"namespaces/shop": other, "pods/a": managed}}
	r := api.scoped(t)
	clock := r.now
	got, err := r.Scope(t.Context(), pod("a"))
	require.NoError(t, err)
	require.True(t, got.In)
	delete(api.labels, "pods/a")
	r.now = func() time.Time { return clock().Add(2 * maxObjectAge) }
	got, err = r.Scope(t.Context(), pod("a"))
	require.NoError(t, err)
	require.Equal(t, Scoped{In: true}, got)
}

func TestALabelThatChangesIsSeenInAWhile(t *testing.T) {
	api := &fakeAPI{labels: map[string]string{"namespaces/shop": other}}
	r := api.scoped(t)
	now := time.Unix(1_000_000, 0)
	r.now = func() time.Time { return now }
	of := about("v1", "PersistentVolumeClaim", "c")
	for _, step := range []struct {
		later time.Duration
		in    bool
	}{{0, false}, {maxObjectAge - 1, false}, {1, true}} {
		now = now.Add(step.later)
		got, err := r.Scope(t.Context(), of)
		require.NoError(t, err)
		require.Equal(t, step.in, got.In)
		api.labels["namespaces/shop"] = managed
	}
}

// An object that the function may not read does not lose the alert. If the API server
// fails, the alert is not settled.
func TestEachAnswerAboutAScope(t *testing.T) {
	node := without("v1", "Node", "n1")
	for reason, row := range map[string]struct {
		of     mapping.Signal
		object string
		answer http.HandlerFunc
		labels map[string]string
		want   Scoped
		// fails is what cannot be told now.
		fails string
	}{
		"the namespace is forbidden, the target does not fit": {pod("a"), "namespaces/shop", status(http.StatusForbidden, "Forbidden"), map[string]string{"pods/a": other}, Scoped{true, Forbidden}, ""},
		"the namespace is forbidden, the target fits":         {pod("a"), "namespaces/shop", status(http.StatusForbidden, "Forbidden"), map[string]string{"pods/a": managed}, Scoped{true, ""}, ""},
		"the namespace is forbidden, the target is gone":      {pod("a"), "namespaces/shop", status(http.StatusForbidden, "Forbidden"), nil, Scoped{true, Forbidden}, ""},
		"the target is forbidden: the namespace decides":      {pod("a"), "pods/a", status(http.StatusForbidden, "Forbidden"), map[string]string{"namespaces/shop": other}, Scoped{false, Forbidden}, ""},
		"a Node is forbidden":                                 {node, "nodes/n1", status(http.StatusForbidden, "Forbidden"), nil, Scoped{true, Forbidden}, ""},
		"a Node is refused":                                   {node, "nodes/n1", status(http.StatusBadRequest, "BadRequest"), nil, Scoped{true, Refused}, ""},
		"the namespace cannot be told now":                    {pod("a"), "namespaces/shop", status(http.StatusServiceUnavailable, "ServiceUnavailable"), map[string]string{"namespaces/shop": managed}, Scoped{true, ""}, "Namespace shop"},
		"the target cannot be told now":                       {pod("a"), "pods/a", status(http.StatusInternalServerError, "InternalError"), map[string]string{"namespaces/shop": other, "pods/a": managed}, Scoped{true, ""}, "Pod shop/a"},
		"a token that is not valid now":                       {node, "nodes/n1", status(http.StatusUnauthorized, "Unauthorized"), map[string]string{"nodes/n1": other}, Scoped{false, ""}, "Node n1"},
	} {
		t.Run(reason, func(t *testing.T) {
			api := &fakeAPI{labels: row.labels}
			api.answer(row.object, row.answer)
			r := api.scoped(t)
			got, err := r.Scope(t.Context(), row.of)
			if row.fails != "" {
				require.ErrorContains(t, err, "reading "+row.fails+": ")
				require.Zero(t, got)
				api.answer(row.object, nil)
				got, err = r.Scope(t.Context(), row.of)
			}
			require.NoError(t, err)
			require.Equal(t, row.want, got)
		})
	}
}
