//go:build kube

package restarter

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"onefire/dedup"
	"onefire/test/wholekube"
)

var binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")

// The role is enough on a whole Kubernetes API, whose Deployments have a status of
// their own, and it gives nothing more.
func TestTheRoleIsEnoughAndNothingMore(t *testing.T) {
	c := wholekube.Deploy(t, *binaries)
	const shop, name = "shop", "onefire-restarter"
	role, err := os.ReadFile("rbac.yaml")
	require.NoError(t, err)
	c.Create("rbac.authorization.k8s.io", "v1", "clusterroles", "", role)
	c.Create("", "v1", "serviceaccounts", wholekube.Namespace, []byte(`{apiVersion: v1, kind: ServiceAccount, metadata: {name: `+name+`}}`))
	for _, namespace := range []string{shop, "other"} {
		c.Create("", "v1", "namespaces", "", []byte(`{apiVersion: v1, kind: Namespace, metadata: {name: `+namespace+`}}`))
	}
	for _, namespace := range []string{shop, wholekube.Namespace} {
		c.Create("rbac.authorization.k8s.io", "v1", "rolebindings", namespace, []byte(fmt.Sprintf(`{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding,
			metadata: {name: %s}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s},
			subjects: [{kind: ServiceAccount, name: %[1]s, namespace: %s}]}`, name, wholekube.Namespace)))
	}
	client, err := dynamic.NewForConfig(c.Config(c.Token(wholekube.Namespace, name)))
	require.NoError(t, err)
	w := &world{
		t: t, client: client, namespace: shop, requestNamespace: wholekube.Namespace, now: time.Now().UTC().Truncate(time.Second), statusOf: []string{"status"},
		requests:    c.Resource(wholekube.Admin, dedup.Resource.Group, dedup.Resource.Version, dedup.Resource.Resource).Namespace(wholekube.Namespace),
		deployments: c.Resource(wholekube.Admin, "apps", "v1", "deployments").Namespace(shop),
	}
	w.restarter = w.another()
	// A role takes a moment to be in effect.
	require.Eventually(t, func() bool { return w.restarter.Pass(t.Context()) == nil }, wholekube.StartTimeout, wholekube.PollEvery)

	w.deploy("api")
	_, url := c.Serve(wholekube.Function, nil)
	w.fire(url, "1", "firing", "api")
	request := w.all()[0].GetName()
	w.pass()
	require.Equal(t, "Restarting", w.status(request, "overallPhase"))
	require.Equal(t, w.after(0), w.restarted("api"))
	w.pass()
	require.Equal(t, "Restarting", w.status(request, "overallPhase"), "the Deployment's controller has not seen the restart")
	w.rollOut("api")
	w.pass()
	require.Equal(t, "Completed", w.status(request, "overallPhase"))

	own := client.Resource(dedup.Resource).Namespace(wholekube.Namespace)
	deployments := client.Resource(appsv1.SchemeGroupVersion.WithResource("deployments")).Namespace
	_, patched := own.Patch(t.Context(), request, types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
	_, other := deployments("other").Get(t.Context(), "api", metav1.GetOptions{})
	for what, err := range map[string]error{
		"delete a request": own.Delete(t.Context(), request, metav1.DeleteOptions{}), "patch a request": patched, "read other Deployments": other,
		"delete a Deployment": deployments(shop).Delete(t.Context(), "api", metav1.DeleteOptions{}),
	} {
		require.True(t, apierrors.IsForbidden(err), "it may %s: %v", what, err)
	}
}
