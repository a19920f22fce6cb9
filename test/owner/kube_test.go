//go:build kube

package owner

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"onefire/function/kube"
	"onefire/mapping"
	"onefire/test/client"
	"onefire/test/wholekube"
)

var binaries = flag.String("binaries", "../../bin", "where kube-apiserver and etcd are")

// shop is the namespace of what burns.
const shop = "shop"

type cluster struct {
	*wholekube.Deployed
	t *testing.T
}

// prepared is a cluster with the component's role, and a namespace for pods.
func prepared(t *testing.T) cluster {
	t.Helper()
	c := cluster{wholekube.Deploy(t, *binaries), t}
	c.apply("../../knative/components/owner/clusterrole.yaml")
	c.Create("", "v1", "namespaces", "", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"`+shop+`"}}`))
	// No controller runs here that would make what each pod runs as.
	c.Create("", "v1", "serviceaccounts", shop, []byte(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}`))
	c.await(true)
	return c
}

// apply makes the objects of a manifest that belong to no namespace.
func (c cluster) apply(path string) {
	c.t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(c.t, err)
	for _, part := range bytes.Split(text, []byte("\n---\n")) {
		var o unstructured.Unstructured
		require.NoError(c.t, yaml.Unmarshal(part, &o.Object))
		c.Create("rbac.authorization.k8s.io", "v1", strings.ToLower(o.GetKind())+"s", "", part)
	}
}

// make makes an object with the least that a whole API server takes, controlled
// by another.
func (c cluster) make(group, kind, name string, controller *unstructured.Unstructured) *unstructured.Unstructured {
	c.t.Helper()
	labels := map[string]any{"app": "x"}
	pod := map[string]any{"containers": []any{map[string]any{"name": "x", "image": "x"}}, "restartPolicy": "Always"}
	template := map[string]any{"metadata": map[string]any{"labels": labels}, "spec": pod}
	spec := map[string]any{"selector": map[string]any{"matchLabels": labels}, "template": template}
	switch kind {
	case "Pod":
		spec = pod
	case "Job", "CronJob":
		pod["restartPolicy"] = "Never"
		if spec = map[string]any{"template": template}; kind == "CronJob" {
			spec = map[string]any{"schedule": "0 0 * * *", "jobTemplate": map[string]any{"spec": spec}}
		}
	}
	o := &unstructured.Unstructured{Object: map[string]any{"kind": kind, "spec": spec}}
	o.SetAPIVersion(strings.TrimPrefix(group+"/v1", "/"))
	if o.SetName(name); strings.HasSuffix(name, "-") {
		o.SetName("")
		o.SetGenerateName(name)
	}
	if controller != nil {
		o.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(controller, controller.GroupVersionKind())})
	}
	made, err := c.Resource(wholekube.Admin, group, "v1", strings.ToLower(kind)+"s").Namespace(shop).Create(c.t.Context(), o, metav1.CreateOptions{})
	require.NoError(c.t, err)
	return made
}

// end deletes a pod at once.
func (c cluster) end(pod string) {
	c.t.Helper()
	at := int64(0)
	require.NoError(c.t, c.Resource(wholekube.Admin, "", "v1", "pods").Namespace(shop).Delete(c.t.Context(), pod, metav1.DeleteOptions{GracePeriodSeconds: &at}))
}

// serve runs the function as its service account until the test ends.
func (c cluster) serve() string {
	_, url := c.Serve(wholekube.Function, map[string]string{"TARGET": "owner"})
	return url
}

// fire posts one event with an alert for each pod, and returns what there is then.
func (c cluster) fire(url, id, alertname string, pods ...*unstructured.Unstructured) []string {
	c.t.Helper()
	var alerts []any
	for _, p := range pods {
		alerts = append(alerts, map[string]any{"status": "firing", "startsAt": "2026-01-17T11:00:00Z",
			"labels": map[string]string{"alertname": alertname, "namespace": shop, "pod": p.GetName()}})
	}
	body, err := json.Marshal(map[string]any{"version": "4", "alerts": alerts})
	require.NoError(c.t, err)
	status, answer, err := client.Post(c.t.Context(), url, id, body)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, status, "%s", answer)
	all, err := c.Resource(wholekube.Admin, "kubernaut.ai", "v1alpha1", "remediationrequests").Namespace(wholekube.Namespace).List(c.t.Context(), metav1.ListOptions{})
	require.NoError(c.t, err)
	var made []string
	for _, o := range all.Items {
		spec, deduplication := o.Object["spec"].(map[string]any), o.Object["status"].(map[string]any)["deduplication"].(map[string]any)
		if target := spec["targetResource"].(map[string]any); spec["signalName"] == alertname {
			made = append(made, fmt.Sprintf("%v %v %v", target["kind"], target["name"], deduplication["occurrenceCount"]))
		}
	}
	slices.Sort(made)
	return made
}

// may asks the API server what the function may do.
func (c cluster) may(verb, namespace, group, resource string) bool {
	c.t.Helper()
	allowed, err := c.review(verb, namespace, group, resource)
	require.NoError(c.t, err)
	return allowed
}

// review is may, where asking itself may not yet be allowed: just after its
// start the API server still makes the roles that everybody has.
func (c cluster) review(verb, namespace, group, resource string) (bool, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
		"spec": map[string]any{"resourceAttributes": map[string]any{"verb": verb, "namespace": namespace, "group": group, "resource": resource}},
	}}
	answer, err := c.Resource(wholekube.Function, "authorization.k8s.io", "v1", "selfsubjectaccessreviews").Create(c.t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	allowed, _, err := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, err
}

// await waits until the API server says so of getting pods.
func (c cluster) await(want bool) {
	c.t.Helper()
	require.Eventually(c.t, func() bool {
		allowed, err := c.review("get", shop, "", "pods")
		return err == nil && allowed == want
	}, wholekube.StartTimeout, wholekube.PollEvery, "the component's role does not take effect")
}

func TestTheComponentsRoleIsEnoughAndNothingMore(t *testing.T) {
	c := prepared(t)
	for _, r := range kube.Resources() {
		require.True(t, c.may("get", shop, r.Group, r.Resource), r)
		for _, verb := range []string{"list", "watch", "create", "update", "patch", "delete", "deletecollection"} {
			require.False(t, c.may(verb, shop, r.Group, r.Resource), "%s %s", verb, r)
		}
		require.False(t, c.may("get", shop, r.Group, r.Resource+"/status"), r)
	}
	for _, resource := range []string{"secrets", "configmaps", "pods/log", "pods/exec", "nodes", "services"} {
		require.False(t, c.may("get", shop, "", resource), resource)
	}

	api := c.make("apps", "Deployment", "api", nil)
	replicas := c.make("apps", "ReplicaSet", "api-5d9c7b8f4", api)
	set, daemons, cron := c.make("apps", "StatefulSet", "db", nil), c.make("apps", "DaemonSet", "log", nil), c.make("batch", "CronJob", "sum", nil)
	job := c.make("batch", "Job", "sum-29384720", cron)
	pods := []*unstructured.Unstructured{
		c.make("", "Pod", "api-5d9c7b8f4-", replicas), c.make("", "Pod", "api-5d9c7b8f4-", replicas), c.make("", "Pod", "db-0", set), c.make("", "Pod", "db-1", set),
		c.make("", "Pod", "log-", daemons), c.make("", "Pod", "sum-29384720-", job), c.make("", "Pod", "alone", nil),
	}
	want := []string{"CronJob sum 1", "DaemonSet log 1", "Deployment api 2", "Pod alone 1", "StatefulSet db 2"}
	url := c.serve()
	require.Equal(t, want, c.fire(url, "1", "Crash", pods...))

	// All of them are deleted; the event comes again, to one that has not seen
	// them: the name of the pod that nothing controls is all that is known of it.
	for _, p := range pods {
		c.end(p.GetName())
		_, err := c.Resource(wholekube.Admin, "", "v1", "pods").Namespace(shop).Get(t.Context(), p.GetName(), metav1.GetOptions{})
		require.True(t, apierrors.IsNotFound(err))
	}
	require.Equal(t, want, c.fire(url, "1", "Crash", pods...))
	require.Equal(t, want, c.fire(c.serve(), "1", "Crash", pods...))

	// Without its rights it settles every alert, on what the labels say.
	bindings := c.Resource(wholekube.Admin, "rbac.authorization.k8s.io", "v1", "clusterrolebindings")
	require.NoError(t, bindings.Delete(t.Context(), "onefire-owner", metav1.DeleteOptions{}))
	c.await(false)
	require.Equal(t, []string{"Pod " + pods[2].GetName() + " 1", "Pod " + pods[3].GetName() + " 1"}, c.fire(c.serve(), "2", "Forbidden", pods[2:4]...))
}

// The test prints how long it takes to find an alert's controller on a whole API
// server.
func TestHowLongOwnersTake(t *testing.T) {
	c := prepared(t)
	const n = 200
	var firsts, seconds []mapping.Signal
	for i := range n {
		replicas := c.make("apps", "ReplicaSet", fmt.Sprintf("api%d-5d9c7b8f4", i), c.make("apps", "Deployment", fmt.Sprintf("api%d", i), nil))
		for _, list := range []*[]mapping.Signal{&firsts, &seconds} {
			pod := c.make("", "Pod", replicas.GetName()+"-", replicas)
			*list = append(*list, mapping.Signal{Target: mapping.Target{APIVersion: "v1", Kind: "Pod", Name: pod.GetName(), Namespace: shop}})
		}
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig(wholekube.Function))
	require.NoError(t, err)
	r, err := kube.NewResolver(config, kube.ResolverOptions{})
	require.NoError(t, err)
	measure(t, r, "first pods (3 Gets)", firsts)
	measure(t, r, "second pods (1 Get)", seconds)
	measure(t, r, "known pods (0 Gets)", firsts)
	for _, s := range firsts {
		c.end(s.Target.Name)
	}
	r, err = kube.NewResolver(config, kube.ResolverOptions{})
	require.NoError(t, err)
	measure(t, r, "pods that are gone (5 Gets)", firsts)
}

func measure(t *testing.T, r *kube.Resolver, what string, signals []mapping.Signal) {
	t.Helper()
	var took []time.Duration
	for _, s := range signals {
		begun := time.Now()
		found, err := r.Find(t.Context(), s)
		took = append(took, time.Since(begun))
		require.NoError(t, err)
		require.Equal(t, "Deployment", found.Target.Kind)
	}
	slices.Sort(took)
	t.Logf("%s: p50 %s, p99 %s", what, took[len(took)/2], took[len(took)*99/100])
}
