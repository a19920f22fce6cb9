//go:build kube

package owner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"onefire/function/kube"
	"onefire/test/client"
	"onefire/test/wholekube"
)

// label gives an object without a namespace the label of the scope.
func (c cluster) label(resource, name string) {
	c.t.Helper()
	_, err := c.Resource(wholekube.Admin, "", "v1", resource).Patch(c.t.Context(), name, types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"kubernaut.ai/managed":"true"}}}`), metav1.PatchOptions{})
	require.NoError(c.t, err)
}

// scoped runs the function with a scope until the test ends.
func (c cluster) scoped() string {
	_, url := c.Serve(wholekube.Function, map[string]string{"SCOPE": "kubernaut.ai/managed=true"})
	return url
}

// names posts one event with an alert for each node, and returns what requests there
// are then.
func (c cluster) names(url, id string, nodes ...string) (made []string) {
	c.t.Helper()
	var alerts []any
	for _, node := range nodes {
		alerts = append(alerts, map[string]any{"status": "firing", "labels": map[string]string{"alertname": "NotReady", "node": node}})
	}
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": alerts})
	require.NoError(c.t, err)
	status, answer, err := client.Post(c.t.Context(), url, id, body)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, status, "%s", answer)
	all, err := c.Resource(wholekube.Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").Namespace(wholekube.Namespace).List(c.t.Context(), metav1.ListOptions{})
	require.NoError(c.t, err)
	for _, o := range all.Items {
		if target := o.Object["spec"].(map[string]any)["targetResource"].(map[string]any); target["kind"] == "Node" {
			made = append(made, fmt.Sprint(target["name"]))
		}
	}
	return made
}

func TestTheScopesRoleIsEnoughAndNothingMore(t *testing.T) {
	c := cluster{wholekube.Deploy(t, *binaries), t}
	c.apply("../../knative/components/scope/role/clusterrole.yaml")
	c.Create("", "v1", "namespaces", "", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+shop+`"}}`))
	c.Create("", "v1", "serviceaccounts", shop, []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`))
	for _, name := range []string{"in", "out"} {
		c.Create("", "v1", "nodes", "", bytes.ReplaceAll([]byte(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"NAME"}}`), []byte("NAME"), []byte(name)))
	}
	c.label("nodes", "in")
	c.await(true)
	for _, r := range kube.ScopeResources() {
		require.True(t, c.may("get", "", r.Group, r.Resource), r)
		for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			require.False(t, c.may(verb, "", r.Group, r.Resource), "%s %s", verb, r)
		}
	}
	for _, resource := range []string{"secrets", "configmaps", "pods/log", "services"} {
		require.False(t, c.may("get", shop, "", resource), resource)
	}

	pod := c.make("", "Pod", "alone", nil)
	require.Empty(t, c.fire(c.scoped(), "1", "Crash", pod), "its namespace has no label, and neither has it")
	require.Equal(t, []string{"in"}, c.names(c.scoped(), "2", "in", "out"))
	c.label("namespaces", shop)
	require.Equal(t, []string{"Pod alone 1"}, c.fire(c.scoped(), "3", "Crash", pod))

	// Without its rights it settles every alert.
	bindings := c.Resource(wholekube.Admin, "rbac.authorization.k8s.io", "v1", "clusterrolebindings")
	require.NoError(t, bindings.Delete(t.Context(), "onefire-scope", metav1.DeleteOptions{}))
	c.await(false)
	require.ElementsMatch(t, []string{"in", "out"}, c.names(c.scoped(), "4", "out"))
}
