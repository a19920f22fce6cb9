package wholekube

import (
	"bytes"
	"context"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"onefire/function"
	"onefire/knative/crd"
	"onefire/mapping"
	"onefire/test/datastorage"
)

const (
	// Namespace is where all of it is deployed.
	Namespace = "onefire"
	// StartTimeout bounds the wait for any server; a whole API server takes ten
	// seconds.
	StartTimeout = 2 * time.Minute
	// PollEvery is how often a wait looks.
	PollEvery = 100 * time.Millisecond
)

// The users of the API server. All but the first are service accounts that have
// only the roles of knative/base.
const (
	Admin    = "admin"
	Function = "onefire"
	Store    = "onefire-deadletters"
	Replay   = "onefire-replay"
	Prune    = "onefire-prune"
)

// Deployed is a cluster that has the CRD, and service accounts with the roles
// that are deployed.
type Deployed struct {
	*Cluster
	token map[string]string
}

// Deploy starts a cluster that ends with the test. binaries is the directory of
// kube-apiserver and etcd.
func Deploy(t *testing.T, binaries string) *Deployed {
	t.Helper()
	c := &Deployed{Cluster: Start(t, binaries), token: map[string]string{Admin: ""}}
	c.Create("", "v1", "namespaces", "", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+Namespace+`"}}`))
	c.Create("apiextensions.k8s.io", "v1", "customresourcedefinitions", "", crd.YAML)
	for _, account := range []string{Function, Store, Replay, Prune} {
		c.Create("", "v1", "serviceaccounts", Namespace, []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"`+account+`"}}`))
		c.token[account] = c.Token(Namespace, account)
	}
	applied := 0
	for _, file := range []string{"function.yaml", "deadletters.yaml", "prune.yaml"} {
		manifests, err := os.ReadFile(filepath.Join("..", "..", "knative", "base", file))
		require.NoError(t, err)
		for _, text := range bytes.Split(manifests, []byte("\n---\n")) {
			for kind, resource := range map[string]string{"\nkind: Role\n": "roles", "\nkind: RoleBinding\n": "rolebindings"} {
				if strings.Contains(string(text), kind) {
					c.role(resource, text)
					applied++
				}
			}
		}
	}
	require.Equal(t, 10, applied, "the roles of the function, its brake, the dead-letter store, the replay and the prune")
	require.Eventually(t, func() bool {
		_, err := c.Resource(Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").List(t.Context(), metav1.ListOptions{})
		return err == nil
	}, StartTimeout, PollEvery, "the CRD is not served")
	return c
}

// Kubeconfig is a file with which a user comes to the API server.
func (c *Deployed) Kubeconfig(user string) string {
	return c.Cluster.Kubeconfig(user, c.Config(c.token[user]).BearerToken)
}

// Resource is a client for a resource, as a user.
func (c *Deployed) Resource(user, group, version, resource string) dynamic.NamespaceableResourceInterface {
	client, err := dynamic.NewForConfig(c.Config(c.token[user]))
	require.NoError(c.t, err)
	return client.Resource(schema.GroupVersionResource{Group: group, Version: version, Resource: resource})
}

// Serve runs the function as a user, with a DataStorage and what environment
// adds, until the test ends.
func (c *Deployed) Serve(user string, environment map[string]string) (f *function.Function, url string) {
	c.t.Helper()
	data, err := datastorage.Open(datastorage.Options{Path: filepath.Join(c.t.TempDir(), "data.db"), Schema: mapping.Schema202608})
	require.NoError(c.t, err)
	sink := httptest.NewServer(data)
	all := map[string]string{
		"KUBECONFIG": c.Kubeconfig(user), "AUDIT_SINK": sink.URL + datastorage.AuditPath,
		"REMEDIATION_NAMESPACE": Namespace, "POD_NAMESPACE": Namespace, "LOG_LEVEL": "error",
	}
	maps.Copy(all, environment)
	f = function.New()
	require.NoError(c.t, f.Start(context.Background(), all))
	server := httptest.NewServer(f)
	c.t.Cleanup(func() {
		server.Close()
		require.NoError(c.t, f.Stop(context.Background()))
		sink.Close()
		require.NoError(c.t, data.Close())
	})
	return f, server.URL
}

// role makes a role or a binding, whose subjects are those of the namespace.
func (c *Deployed) role(resource string, text []byte) {
	var o unstructured.Unstructured
	require.NoError(c.t, yaml.Unmarshal(text, &o.Object))
	o.SetNamespace(Namespace)
	for _, subject := range nested(o.Object, "subjects") {
		subject.(map[string]any)["namespace"] = Namespace
	}
	text, err := o.MarshalJSON()
	require.NoError(c.t, err)
	c.Create("rbac.authorization.k8s.io", "v1", resource, Namespace, text)
}

func nested(o map[string]any, field string) []any {
	list, _, _ := unstructured.NestedFieldNoCopy(o, field) // It is nil where there is none.
	items, _ := list.([]any)
	return items
}

// May asks the API server what a service account may do to a resource of the
// core group.
func (c *Deployed) May(user, verb, namespace, resource string) bool {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{"verb": verb, "namespace": namespace, "resource": resource}},
	}}
	answer, err := c.Resource(user, "authorization.k8s.io", "v1", "selfsubjectaccessreviews").Create(c.t.Context(), review, metav1.CreateOptions{})
	require.NoError(c.t, err)
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	require.NoError(c.t, err)
	return allowed
}
