package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"onefire/mapping"
	"onefire/test/kubefault"
)

// workloads makes and deletes objects of a namespace as Kubernetes' controllers
// do: what has an owner is controlled by it.
type workloads struct {
	t         testing.TB
	client    dynamic.Interface
	namespace string
}

func newWorkloads(t testing.TB, namespace string) workloads {
	t.Helper()
	client, err := dynamic.NewForConfig(kubeConfig)
	require.NoError(t, err)
	return workloads{t, client, namespace}
}

func (k workloads) resource(apiVersion, kind string) dynamic.ResourceInterface {
	version, err := schema.ParseGroupVersion(apiVersion)
	require.NoError(k.t, err)
	return k.client.Resource(version.WithResource(strings.ToLower(kind) + "s")).Namespace(k.namespace)
}

// make makes an object; a name that ends with a hyphen is for the API server to
// complete.
func (k workloads) make(apiVersion, kind, name string, owner *unstructured.Unstructured) *unstructured.Unstructured {
	k.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	if o.SetName(name); strings.HasSuffix(name, "-") {
		o.SetName("")
		o.SetGenerateName(name)
	}
	if owner != nil {
		o.SetOwnerReferences([]metav1.OwnerReference{
			{APIVersion: "v1", Kind: "ConfigMap", Name: "somebody-else", UID: "1"},
			*metav1.NewControllerRef(owner, owner.GroupVersionKind()),
		})
	}
	made, err := k.resource(apiVersion, kind).Create(k.t.Context(), o, metav1.CreateOptions{})
	require.NoError(k.t, err)
	return made
}

func (k workloads) delete(all ...*unstructured.Unstructured) {
	k.t.Helper()
	for _, o := range all {
		require.NoError(k.t, k.resource(o.GetAPIVersion(), o.GetKind()).Delete(k.t.Context(), o.GetName(), metav1.DeleteOptions{}))
	}
}

// deploy makes a Deployment, its ReplicaSet and pods of that, and returns those.
func (k workloads) deploy(name string, pods int) []*unstructured.Unstructured {
	k.t.Helper()
	replicas := k.make("apps/v1", "ReplicaSet", name+"-5d9c7b8f4", k.make("apps/v1", "Deployment", name, nil))
	var all []*unstructured.Unstructured
	for range pods {
		all = append(all, k.make("v1", "Pod", replicas.GetName()+"-", replicas))
	}
	return all
}

// crash is an alert on a pod.
func (k workloads) crash(status string, pod *unstructured.Unstructured) string {
	return alert(status, "alertname=Crash", "severity=critical", "namespace="+k.namespace, "pod="+pod.GetName())
}

// target is what a request is about.
func target(o *unstructured.Unstructured) string {
	return fmt.Sprintf("%s %s %s", field(o, "spec", "targetResource", "apiVersion"), field(o, "spec", "targetResource", "kind"), field(o, "spec", "targetResource", "name"))
}

func TestAlertsOnPodsOfOneControllerAreOneRequest(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		// make gives two pods.
		make func(k workloads) []*unstructured.Unstructured
		want string
	}{
		"a Deployment": {func(k workloads) []*unstructured.Unstructured {
			return k.deploy("api", 2)
		}, "apps/v1 Deployment api"},
		"a Deployment in a rollout": {func(k workloads) []*unstructured.Unstructured {
			api := k.make("apps/v1", "Deployment", "api", nil)
			before, after := k.make("apps/v1", "ReplicaSet", "api-5d9c7b8f4", api), k.make("apps/v1", "ReplicaSet", "api-6b7c8d9f4b", api)
			return []*unstructured.Unstructured{k.make("v1", "Pod", before.GetName()+"-", before), k.make("v1", "Pod", after.GetName()+"-", after)}
		}, "apps/v1 Deployment api"},
		"a StatefulSet": {func(k workloads) []*unstructured.Unstructured {
			set := k.make("apps/v1", "StatefulSet", "db", nil)
			return []*unstructured.Unstructured{k.make("v1", "Pod", "db-0", set), k.make("v1", "Pod", "db-1", set)}
		}, "apps/v1 StatefulSet db"},
		"a DaemonSet": {func(k workloads) []*unstructured.Unstructured {
			set := k.make("apps/v1", "DaemonSet", "log", nil)
			return []*unstructured.Unstructured{k.make("v1", "Pod", "log-", set), k.make("v1", "Pod", "log-", set)}
		}, "apps/v1 DaemonSet log"},
		"a CronJob": {func(k workloads) []*unstructured.Unstructured {
			cron := k.make("batch/v1", "CronJob", "sum", nil)
			first, second := k.make("batch/v1", "Job", "sum-29384720", cron), k.make("batch/v1", "Job", "sum-29384780", cron)
			return []*unstructured.Unstructured{k.make("v1", "Pod", first.GetName()+"-", first), k.make("v1", "Pod", second.GetName()+"-", second)}
		}, "batch/v1 CronJob sum"},
		"a kind of an operator": {func(k workloads) []*unstructured.Unstructured {
			rollout := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout"}}
			rollout.SetName("web")
			rollout.SetUID("2")
			set := k.make("apps/v1", "ReplicaSet", "web-5d9c7b8f4", rollout)
			return []*unstructured.Unstructured{k.make("v1", "Pod", "web-5d9c7b8f4-", set), k.make("v1", "Pod", "web-5d9c7b8f4-", set)}
		}, "argoproj.io/v1alpha1 Rollout web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, mapping.Schema202608)
			k := newWorkloads(t, w.namespace)
			pods := row.make(k)
			f := w.start("TARGET=owner")
			require.Equal(t, http.StatusOK, w.post(f, "1", webhook(k.crash("firing", pods[0]), k.crash("firing", pods[1]))))
			require.Equal(t, row.want, target(w.only()))
			require.EqualValues(t, 2, count(w.only()))
			for _, e := range w.audit("") {
				require.Contains(t, row.want, " "+e.Data.ResourceKind+" ")
			}
			// Both are deleted before their event comes again, to a process that
			// has not seen them, and before it says that they ended.
			k.delete(pods...)
			fresh := w.start("TARGET=owner")
			require.Equal(t, http.StatusOK, w.post(f, "1", webhook(k.crash("firing", pods[0]), k.crash("firing", pods[1]))))
			if name != "a kind of an operator" {
				require.Equal(t, http.StatusOK, w.post(fresh, "1", webhook(k.crash("firing", pods[0]), k.crash("firing", pods[1]))))
			}
			require.EqualValues(t, 2, count(w.only()), "a redelivery has no further effect")
			require.Equal(t, http.StatusOK, w.post(f, "2", webhook(k.crash("resolved", pods[0]))))
			require.Empty(t, field(w.only(), "status", "deduplication", "lastResolvedAt"), "the other pod's alert fires")
			require.Equal(t, http.StatusOK, w.post(f, "3", webhook(k.crash("resolved", pods[1]))))
			require.NotEmpty(t, field(w.only(), "status", "deduplication", "lastResolvedAt"))
			w.requireUniqueAudit()
		})
	}
}

// Where the labels decide, nothing is asked, and each pod has its own request.
func TestWithoutAnOwnerTheLabelsDecide(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	k := newWorkloads(t, w.namespace)
	pods := k.deploy("api", 2)
	way := newFaulty(t, func(kubefault.Call) kubefault.Fault { return kubefault.Fault{} })
	f := w.start("KUBECONFIG=" + way.kubeconfig)
	require.Equal(t, http.StatusOK, w.post(f, "1", webhook(k.crash("firing", pods[0]), k.crash("firing", pods[1]))))
	require.Len(t, w.list(), 2)
	require.Zero(t, way.Tally()["get calls"])
}

// Each Get on the way to the controller fails once, in each way.
func TestAControllerThatCannotBeAskedForNowIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	k := newWorkloads(t, w.namespace)
	var mu sync.Mutex
	left := map[string]int{} // By Deployment: the Gets that succeed before the one that fails.
	kinds := map[string]kubefault.Kind{}
	way := newFaulty(t, func(c kubefault.Call) kubefault.Fault {
		if c.Verb != "get" {
			return kubefault.Fault{}
		}
		mu.Lock()
		defer mu.Unlock()
		n, ok := left[c.Subjects[0]]
		if !ok {
			return kubefault.Fault{}
		}
		if left[c.Subjects[0]]--; n != 0 {
			return kubefault.Fault{}
		}
		return kubefault.Fault{Kind: kinds[c.Subjects[0]]}
	})
	f := w.start("TARGET=owner", "KUBECONFIG="+way.kubeconfig)
	var cases sync.WaitGroup
	for i, kind := range append(kubefault.Kinds(), kubefault.Hang) {
		for step := range 3 {
			name := fmt.Sprintf("x%d", 3*i+step)
			pods := k.deploy("d-"+name, 1)
			mu.Lock()
			left[name], kinds[name] = step, kind
			mu.Unlock()
			cases.Go(func() {
				tries := 1
				for w.post(f, name, webhook(k.crash("firing", pods[0]))) != http.StatusOK {
					tries++
				}
				if kind == kubefault.Error && tries < 2 { // Some others client-go tries again by itself.
					t.Errorf("a 500 in step %d was settled at once", step)
				}
			})
		}
	}
	cases.Wait()
	all := w.list()
	require.Len(t, all, 3*(len(kubefault.Kinds())+1))
	for _, o := range all {
		require.Contains(t, target(&o), "apps/v1 Deployment d-x", "none was settled on something else")
		require.EqualValues(t, 1, count(&o))
	}
	w.requireUniqueAudit()
}

func TestExplainFindsTheControllerToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mapping.Schema202608)
	k := newWorkloads(t, w.namespace)
	pods := k.deploy("api", 1)
	body := webhook(k.crash("firing", pods[0]))
	explain := func(args ...string) (string, string) {
		command := exec.CommandContext(t.Context(), functionBinary, append(append([]string{"explain"}, args...), "-")...)
		command.Env = append(os.Environ(), "REMEDIATION_NAMESPACE="+w.namespace, "TARGET=owner")
		command.Stdin = strings.NewReader(body)
		var problems bytes.Buffer
		command.Stderr = &problems
		out, err := command.Output()
		require.NoError(t, err, "%s", problems.String())
		return string(out), problems.String()
	}
	table, problems := explain("-kubeconfig", kubeconfig)
	require.Empty(t, problems)
	require.Contains(t, table, "Deployment/api in "+w.namespace+" (resolved)")
	text, _ := explain("-o", "json", "-kubeconfig", kubeconfig)
	var all []struct{ Fingerprint, Object, Owner string }
	require.NoError(t, json.Unmarshal([]byte(text), &all))
	require.Equal(t, "resolved", all[0].Owner)

	table, problems = explain()
	require.Contains(t, table, "Pod/"+pods[0].GetName())
	require.Contains(t, problems, "TARGET=owner needs the API server", "it would ask")

	f := w.start("TARGET=owner")
	require.Equal(t, http.StatusOK, w.post(f, "1", body))
	w.requireForecast(all[0].Object, w.only().GetName())
	require.Equal(t, all[0].Fingerprint, field(w.only(), "spec", "signalFingerprint"))
}
